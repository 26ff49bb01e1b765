//! The ports for transforms and their executions.

use std::fmt;

use async_trait::async_trait;

use super::{Owner, Page, PageRequest, StoreError};
use crate::catalog::transform::{ExecutionRecord, TransformRecord};
use crate::clock::Timestamp;
use crate::ids::{DatasetId, ExecutionId, TransformId};

/// Transforms.
#[async_trait]
pub trait TransformStore: fmt::Debug + Send + Sync {
    /// The transforms with these ids, each once, in no order; those that are not there are left out. At most
    /// [`crate::limits::PAGE_ITEMS_MAX`] ids.
    async fn lookup(&self, ids: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError>;

    /// Transforms of an owner, newest first, and how many there are in all.
    async fn list(
        &self,
        owner: &Owner,
        page: PageRequest,
    ) -> Result<(Page<TransformRecord>, u64), StoreError>;

    /// Stores `record` if the stored revision is still `record.revision` (0: not stored), and returns the new
    /// revision. `Conflict` for the later of two writers. It has at most
    /// [`crate::limits::TRANSFORM_INPUTS_MAX`] inputs.
    async fn put(&self, record: TransformRecord) -> Result<u64, StoreError>;

    /// Removes a transform if the stored revision is still this; otherwise, and when it is gone, `Conflict`. Its
    /// executions stay.
    async fn remove(&self, id: &TransformId, revision: u64) -> Result<(), StoreError>;

    /// The transforms that read this dataset, in no order.
    async fn readers(&self, id: &DatasetId) -> Result<Vec<TransformRecord>, StoreError>;

    /// The transforms whose schedule is live ([`crate::catalog::transform::Schedule::is_live`]), in no order.
    async fn scheduled(&self, page: PageRequest) -> Result<Page<TransformRecord>, StoreError>;
}

/// Whether an execution could begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// It is stored, under revision 1.
    Yes,
    /// Another one of the same transform runs: this one.
    AlreadyRunning(Box<ExecutionRecord>),
    /// There is one already for its due time, whatever came of it.
    AlreadyDone,
}

/// Executions of transforms.
#[async_trait]
pub trait ExecutionStore: fmt::Debug + Send + Sync {
    /// Stores a new one, unless there is one for its due time, or it runs and so does another of its transform. One
    /// that has ended already, as a copy has, is stored beside one that runs. `Conflict` when its id or its start is
    /// taken.
    async fn begin(&self, record: ExecutionRecord) -> Result<Begun, StoreError>;

    /// Stores `record` if the stored revision is still `record.revision`, and returns the new revision; otherwise
    /// `Conflict`. One that does not run any more lets the next one of its transform begin, and never runs again:
    /// `Conflict`. Its transform, its start, its due time and whether that was the clock's stay what they were when it
    /// began.
    async fn put(&self, record: ExecutionRecord) -> Result<u64, StoreError>;

    async fn get(
        &self,
        transform: &TransformId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRecord>, StoreError>;

    /// Executions of a transform, newest first, and how many there are in all.
    async fn list(
        &self,
        transform: &TransformId,
        page: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError>;

    /// Those that run, of all transforms, in no order.
    async fn running(&self, page: PageRequest) -> Result<Page<ExecutionRecord>, StoreError>;

    /// The latest due time of which there is an execution with [`crate::catalog::transform::Reason::Due`].
    async fn last_due(&self, transform: &TransformId) -> Result<Option<Timestamp>, StoreError>;

    /// Forgets all but the newest `keep` executions of a transform that do not run, and returns how many. The one of
    /// its latest due time stays, and so do those of due times after `since`.
    async fn trim(&self, transform: &TransformId, keep: u64, since: Timestamp) -> Result<u64, StoreError>;
}
