//! The one writer of an execution that runs. It knows under which revision the next write goes, also after one whose
//! answer was lost, and notices when somebody else wrote.

use std::sync::Arc;

use crate::catalog::store::{ExecutionStore, StoreError};
use crate::catalog::transform::ExecutionRecord;
use crate::error::Error;

/// Writes that are tried when an earlier one of our own arrives in between. There is one of them at most, so the second
/// try meets no other.
const TRIES: usize = 3;

/// An execution, as its holder has it and as it is stored but for what was not written yet.
#[derive(Debug)]
pub(super) struct Claim {
    executions: Arc<dyn ExecutionStore>,
    pub(super) record: ExecutionRecord,
    /// A write was sent and not answered: it happened, or it did not, or it still will.
    unsettled: bool,
}

/// Why nothing was written, or perhaps nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The execution is somebody else's, or has ended.
    #[error("another process has taken the execution over")]
    Lost,
    /// The store does not answer. Another try may tell more.
    #[error(transparent)]
    Later(StoreError),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lost => {
                Self::Conflict { message: Refused::Lost.to_string(), details: serde_json::json!({}) }
            }
            Refused::Later(cause) => cause.into(),
        }
    }
}

impl Claim {
    /// The claim of whoever `record.lease` names.
    pub(super) fn new(executions: Arc<dyn ExecutionStore>, record: ExecutionRecord) -> Self {
        Self { executions, record, unsettled: false }
    }

    /// Whether a write may still happen under a revision that the record had.
    pub(super) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Stores the record as it is here.
    pub(super) async fn write(&mut self) -> Result<(), Refused> {
        for _ in 0..TRIES {
            if self.unsettled {
                self.settle().await?;
                if !self.record.is_running() && !self.unsettled {
                    return Ok(());
                }
            }
            // Also when this future is dropped before the answer is there.
            self.unsettled = true;
            match self.executions.put(self.record.clone()).await {
                Ok(revision) => {
                    self.record.revision = revision;
                    self.unsettled = false;
                    return Ok(());
                }
                // Somebody else wrote, or a write of ours that was not answered happened after we looked.
                Err(StoreError::Conflict(_)) => {}
                Err(cause) => return Err(Refused::Later(cause)),
            }
        }
        Err(Refused::Lost)
    }

    /// Finds out what became of what was written, and under which revision to go on. An end that was stored is settled
    /// by that; everything else only by the next write that happens.
    pub(super) async fn settle(&mut self) -> Result<(), Refused> {
        let stored = self.executions.get(&self.record.transform_id, &self.record.id).await;
        match stored.map_err(Refused::Later)? {
            Some(stored) if self.is_ours(&stored) => {
                self.record.revision = stored.revision;
                self.unsettled = stored.is_running();
                Ok(())
            }
            _ => Err(Refused::Lost),
        }
    }

    /// Whether what is stored was written by this claim, or is what it began with: each claim has a holder's name of its
    /// own, and whoever takes an execution over writes another one.
    fn is_ours(&self, stored: &ExecutionRecord) -> bool {
        let ours = &self.record;
        let holder = |record: &ExecutionRecord| record.lease.as_ref().map(|lease| lease.holder.clone());
        let ended_by_us = stored.status == ours.status && stored.finished_at == ours.finished_at;
        holder(stored) == holder(ours) && (stored.is_running() || ended_by_us)
    }
}
