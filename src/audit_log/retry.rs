//! The port for records that wait for the store.

use std::fmt;

use async_trait::async_trait;

use crate::catalog::record::AuditRecord;
use crate::error::Error;

/// Records that the store did not take, in the order in which they came, until it does.
///
/// One process owns a queue. What was kept is still there after a crash; what was forgotten may come
/// back after one, which is harmless, because the store keeps a record of one id once.
#[async_trait]
pub trait RetryQueue: fmt::Debug + Send + Sync {
    /// Keeps `record` behind all others. `OverLimit` when the queue is full, `Unavailable` when it cannot
    /// be written.
    async fn push(&self, record: AuditRecord) -> Result<(), Error>;

    /// The oldest records, at most `limit`.
    async fn oldest(&self, limit: usize) -> Result<Vec<AuditRecord>, Error>;

    /// Forgets the `count` oldest.
    async fn forget(&self, count: usize) -> Result<(), Error>;

    /// How many wait.
    fn waiting(&self) -> usize;
}
