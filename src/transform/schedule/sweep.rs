//! Executions that nobody answers for.
//!
//! How long one has gone unchanged is measured here, by the timer, from the moment that its revision was first seen. What
//! time it is, and what the holder believed, does not matter: a clock that jumps forth ends nothing, and one that jumps
//! back keeps nothing alive.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::counter;

use super::claim::{Claim, Refused};
use super::start::{Ready, Starter};
use super::{Runner, Scheduler};
use crate::catalog::store::{StoreError, every};
use crate::catalog::transform::{
    ExecutionFailure, ExecutionRecord, ExecutionStatus, Reason, TransformRecord, Usage,
};
use crate::clock::Timestamp;
use crate::error::Code;
use crate::ids::ExecutionId;
use crate::telemetry::SCHEDULER_TAKEOVERS;

/// How much longer a process that starts nothing waits for those that do to try an execution again, before it ends it.
const PATIENCES_OF_OTHERS: u32 = 4;

/// What was seen of executions that run.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeMap<ExecutionId, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    revision: u64,
    /// When the first look that found this revision had ended.
    first: Duration,
}

impl Watch {
    /// Takes a look, and returns for how long each has been as it is. The look `began` and `ended` at these times: in
    /// between is when it was true.
    fn look(
        &mut self,
        running: Vec<ExecutionRecord>,
        began: Duration,
        ended: Duration,
    ) -> Vec<(ExecutionRecord, Duration)> {
        let mut seen = BTreeMap::new();
        let mut unchanged = Vec::new();
        for record in running {
            let now = Seen { revision: record.revision, first: ended };
            let before = self.0.get(&record.id).filter(|before| before.revision == record.revision);
            let kept = *before.unwrap_or(&now);
            seen.insert(record.id.clone(), kept);
            unchanged.push((record, began.saturating_sub(kept.first)));
        }
        self.0 = seen;
        unchanged
    }
}

impl<R: Runner> Scheduler<R> {
    /// Looks at all executions that run, and takes those that nobody answers for: they are run again when they were not
    /// asked for by a person who waits and have attempts left, and otherwise end as failed.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        let timer = &self.starter.leases.timer;
        let began = timer.uptime();
        let running = every(|page| self.starter.leases.executions.running(page)).await?;
        let ended = timer.uptime();
        let unchanged = self.watch().look(running, began, ended);
        let patience = self.starter.leases.timing.patience();
        for (record, time) in unchanged {
            // Whoever let it go on purpose says so by leaving no lease.
            if record.lease.is_some() && time < patience {
                continue;
            }
            let transform =
                self.starter.transforms.lookup(std::slice::from_ref(&record.transform_id)).await?.pop();
            match transform.filter(|transform| has_attempts_left(transform, &record)) {
                Some(transform) if self.enabled => {
                    if let Some(ready) = self.starter.take_over(&transform, record).await {
                        self.spawn(ready.run());
                    }
                }
                // A process that starts nothing leaves it to those that do, for a while.
                Some(_) if time < PATIENCES_OF_OTHERS * patience => {}
                _ => self.end(record, now).await?,
            }
        }
        Ok(())
    }

    /// Ends an execution that is run no more.
    async fn end(&self, record: ExecutionRecord, now: Timestamp) -> Result<(), StoreError> {
        let ended = ExecutionRecord {
            status: ExecutionStatus::Failed,
            // The clock of whoever began it may have been ahead.
            finished_at: Some(now.max(record.started_at)),
            failure: Some(ExecutionFailure {
                code: Code::ServiceUnavailable,
                message: "interrupted: the process that ran it has ended or could not reach the metadata store; nothing \
                          was published"
                    .to_owned(),
                traceback: None,
                line: None,
            }),
            lease: None,
            ..record
        };
        let executions = &self.starter.leases.executions;
        let ended = match executions.put(ended.clone()).await {
            Ok(revision) => ExecutionRecord { revision, ..ended },
            // Its holder has come back, or another process was faster.
            Err(StoreError::Conflict(_)) => return Ok(()),
            // Perhaps only the answer was lost.
            Err(cause) => match executions.get(&ended.transform_id, &ended.id).await? {
                Some(stored) if stored.status == ended.status && stored.finished_at == ended.finished_at => {
                    stored
                }
                _ => return Err(cause),
            },
        };
        counter!(SCHEDULER_TAKEOVERS, "outcome" => "failed").increment(1);
        tracing::warn!(execution.id = %ended.id, "an execution was interrupted, and has failed");
        self.starter.runner.interrupted(&ended).await;
        Ok(())
    }
}

impl<R: Runner> Starter<R> {
    /// Takes an execution over for another attempt. Its revision moves, and whoever held it can commit nothing any more.
    async fn take_over(&self, transform: &TransformRecord, record: ExecutionRecord) -> Option<Ready<R>> {
        let slot = std::sync::Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let again = ExecutionRecord {
            attempt: record.attempt + 1,
            lease: Some(self.leases.lease()),
            checks: Vec::new(),
            usage: Usage::default(),
            ..record
        };
        let mut claim = Claim::new(std::sync::Arc::clone(&self.leases.executions), again);
        let outcome = match claim.write().await {
            Err(Refused::Later(_)) => claim.settle().await,
            outcome => outcome,
        };
        // When it is not known, the next sweep sees what came of it.
        outcome.ok()?;
        counter!(SCHEDULER_TAKEOVERS, "outcome" => "again").increment(1);
        Some(self.ready(transform, claim.record, slot))
    }
}

/// Whether an execution that was interrupted may be tried once more.
fn has_attempts_left(transform: &TransformRecord, record: &ExecutionRecord) -> bool {
    record.reason != Reason::Request && record.attempt <= transform.settings.retries.max
}
