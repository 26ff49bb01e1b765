//! The audit log: who did what, kept for those who must be able to ask.
//!
//! Two ways in. What changes a dataset carries its record in the same commit. What changes nothing,
//! such as a sign-in, is noted here afterwards: a failure to record never fails the request. A record
//! that the store does not take waits in a durable queue and is offered again, in order: after the next
//! record that the store takes, at start, and every hour. The store keeps an id once, so offering a record
//! twice is harmless. A record for which the queue has no room either stands, whole, in the log.
//! This folder must not know HTTP, nor which store is behind the port.

mod retry;
mod retry_file;

use std::sync::Arc;

use metrics::{counter, gauge};
use serde_json::Value;
use tokio::sync::Mutex;

pub use retry::RetryQueue;
pub use retry_file::RetryFile;

use crate::catalog::record::{AuditEvent, AuditRecord};
use crate::catalog::store::{AuditStore, StoreError};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{LogId, UserId};
use crate::tasks;
use crate::telemetry::{AUDIT_DROPPED, AUDIT_QUEUED, AUDIT_WRITE_FAILURES};

/// Records that are offered again after one that the store took: whoever caused that one waits for them.
const OFFERED_WITH_ANOTHER: usize = 16;

/// Records that are read from the queue at a time.
const BATCH: usize = 256;

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

/// Where records go that belong to no commit. Cheap to clone: clones share the queue.
#[derive(Debug, Clone)]
pub struct AuditLog {
    store: Arc<dyn AuditStore>,
    queue: Arc<dyn RetryQueue>,
    /// Held by the one who offers records again.
    turn: Arc<Mutex<()>>,
}

impl AuditLog {
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, queue: Arc<dyn RetryQueue>) -> Self {
        Self { store, queue, turn: Arc::default() }
    }

    /// Records what happened, as well as can be, also when the caller goes away meanwhile.
    pub async fn note(&self, entry: Entry<'_>, now: Timestamp) {
        let (log, record) = (self.clone(), entry.record(now));
        let id = record.id.clone();
        if let Err(error) = tasks::to_the_end(async move { log.write(record).await }).await {
            tracing::error!(audit.id = %id, ?error, "an audit record came to no end");
        }
    }

    async fn write(&self, record: AuditRecord) {
        match self.store.append(record.clone()).await {
            Ok(()) => self.offer(OFFERED_WITH_ANOTHER).await,
            Err(cause) => self.keep(record, cause).await,
        }
    }

    /// Offers all that waits to the store again, until it refuses.
    pub async fn retry(&self) {
        self.offer(usize::MAX).await;
    }

    /// Records that wait for the store.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    async fn keep(&self, record: AuditRecord, cause: StoreError) {
        counter!(AUDIT_WRITE_FAILURES).increment(1);
        if !is_passing(&cause) {
            return drop_record(&record, &cause.into());
        }
        match self.queue.push(record.clone()).await {
            Ok(()) => tracing::warn!(audit.id = %record.id, %cause, "an audit record waits for the store"),
            Err(full) => drop_record(&record, &full),
        }
        self.show();
    }

    /// Hands up to `limit` of the oldest records to the store.
    async fn offer(&self, mut limit: usize) {
        // Whoever has the turn offers what we would.
        let Ok(_turn) = self.turn.try_lock() else { return };
        while limit > 0 && self.queue.waiting() > 0 {
            match self.offer_batch(limit.min(BATCH)).await {
                Ok(0) => break,
                Ok(taken) => limit -= taken,
                Err(error) => {
                    tracing::error!(%error, "the queue of audit records cannot be used");
                    break;
                }
            }
        }
        self.show();
    }

    /// How many of the oldest `limit` records are settled now.
    async fn offer_batch(&self, limit: usize) -> Result<usize, Error> {
        let mut settled = 0;
        for record in self.queue.oldest(limit).await? {
            match self.store.append(record.clone()).await {
                Ok(()) => {}
                Err(cause) if is_passing(&cause) => break,
                // It must not stand in the way of all others for ever.
                Err(cause) => drop_record(&record, &cause.into()),
            }
            settled += 1;
        }
        self.queue.forget(settled).await?;
        Ok(settled)
    }

    fn show(&self) {
        gauge!(AUDIT_QUEUED).set(u32::try_from(self.queue.waiting()).unwrap_or(u32::MAX));
    }
}

/// Whether the store may take the same record later.
fn is_passing(cause: &StoreError) -> bool {
    matches!(cause, StoreError::Full | StoreError::Unavailable(_) | StoreError::Unusable(_))
}

/// The log is the last place that can keep it.
fn drop_record(record: &AuditRecord, error: &Error) {
    counter!(AUDIT_DROPPED).increment(1);
    let text = serde_json::to_string(record).unwrap_or_else(|_| format!("{record:?}"));
    tracing::error!(audit.id = %record.id, audit.record = %text, %error, "an audit record is only here");
}
