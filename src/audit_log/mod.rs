//! The audit log: who did what, kept for those who must be able to ask.
//!
//! Two ways in. What changes a dataset carries its record in the same commit. What changes nothing,
//! such as a sign-in, is noted here afterwards: a failure to record never fails the request; it goes
//! to the log and to a metric. (Retrying such a record from a durable queue is not done yet.)
//! This folder must not know HTTP, nor which store is behind the port.

use std::sync::Arc;

use serde_json::Value;

use crate::catalog::record::{AuditEvent, AuditRecord};
use crate::catalog::store::AuditStore;
use crate::clock::Timestamp;
use crate::ids::{LogId, UserId};

/// Counts records that could not be written.
pub const WRITE_FAILURES_METRIC: &str = "shirabe_audit_write_failures_total";

/// What happened, before it has an id.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub event: AuditEvent,
    /// Who did it; none when nobody had proven who they are.
    pub by: Option<&'a UserId>,
    /// The kind of thing it was done to, such as `dataset` or `user`, and its id.
    pub target: (&'a str, &'a str),
    /// What else matters. Never a secret.
    pub details: Value,
    pub request_id: Option<&'a str>,
}

impl Entry<'_> {
    /// The record of it, for the log or for a commit.
    #[must_use]
    pub fn record(self, now: Timestamp) -> AuditRecord {
        let (target_type, target_id) = self.target;
        AuditRecord {
            id: LogId::random(),
            timestamp: now,
            event: self.event,
            user_id: self.by.cloned(),
            target_type: target_type.to_owned(),
            target_id: target_id.to_owned(),
            details: self.details,
            request_id: self.request_id.map(str::to_owned),
        }
    }
}

/// Where records go that belong to no commit.
#[derive(Debug, Clone)]
pub struct AuditLog {
    store: Arc<dyn AuditStore>,
}

impl AuditLog {
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self { store }
    }

    /// Records what happened, as well as can be.
    pub async fn note(&self, entry: Entry<'_>, now: Timestamp) {
        let record = entry.record(now);
        let (id, event) = (record.id.clone(), record.event);
        if let Err(cause) = self.store.append(record).await {
            metrics::counter!(WRITE_FAILURES_METRIC).increment(1);
            tracing::error!(audit.id = %id, audit.event = ?event, error = ?cause, "cannot write an audit record");
        }
    }
}
