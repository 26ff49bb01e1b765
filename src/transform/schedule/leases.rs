//! What a process says about the executions that it runs: where they begin, and how they are held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Timing;
use super::held::Held;
use crate::catalog::store::{Begun, ExecutionStore, StoreError};
use crate::catalog::transform::{ExecutionRecord, Lease};
use crate::clock::{Clock, Timer, Timestamp};

/// Starts that are tried when another execution of the transform has started in the same microsecond.
const TRIES: usize = 5;

/// The leases of one process. Clones are of the same process.
#[derive(Debug, Clone)]
pub struct Leases {
    pub(super) executions: Arc<dyn ExecutionStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) timing: Timing,
    process: Arc<str>,
    taken: Arc<AtomicU64>,
}

/// Whether an execution could begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Started {
    /// As it is stored, with the lease of this process.
    Yes(Box<ExecutionRecord>),
    /// Another one of the same transform runs: this one.
    AlreadyRunning(Box<ExecutionRecord>),
    /// There is one already for its due time, whatever came of it.
    AlreadyDone,
}

impl Leases {
    /// Those of the process that is called `process`: a name that no other one has or had.
    #[must_use]
    pub fn new(
        executions: Arc<dyn ExecutionStore>,
        clock: Arc<dyn Clock>,
        timer: Arc<dyn Timer>,
        timing: Timing,
        process: &str,
    ) -> Self {
        Self { executions, clock, timer, timing, process: process.into(), taken: Arc::default() }
    }

    /// Stores a new execution that this process runs. Its start moves by microseconds when another one has it.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer. Then it may be stored all the same, with a holder that does not
    /// know about it: it is found like one whose process has ended.
    pub async fn begin(&self, record: ExecutionRecord) -> Result<Started, StoreError> {
        let mut record = ExecutionRecord { lease: Some(self.lease()), ..record };
        for _ in 0..TRIES {
            let cause = match self.executions.begin(record.clone()).await {
                Ok(Begun::Yes) => {
                    return Ok(Started::Yes(Box::new(ExecutionRecord { revision: 1, ..record })));
                }
                Ok(Begun::AlreadyRunning(other)) => return Ok(Started::AlreadyRunning(other)),
                Ok(Begun::AlreadyDone) => return Ok(Started::AlreadyDone),
                Err(StoreError::Conflict(_)) => {
                    record.started_at = Timestamp::from_micros(record.started_at.micros() + 1);
                    continue;
                }
                Err(cause) => cause,
            };
            // Perhaps only the answer was lost.
            let stored = self.executions.get(&record.transform_id, &record.id).await.ok().flatten();
            return match stored {
                Some(stored) if stored.is_running() && stored.lease == record.lease => {
                    Ok(Started::Yes(Box::new(stored)))
                }
                _ => Err(cause),
            };
        }
        Err(StoreError::Conflict(format!("the start of execution `{}`", record.id)))
    }

    /// Holds an execution that began here, or was taken over here.
    #[must_use]
    pub fn hold(&self, execution: ExecutionRecord) -> Held {
        Held::new(self, execution)
    }

    /// A lease that begins now, of nobody else.
    pub(super) fn lease(&self) -> Lease {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        Lease { holder: format!("{}-{number}", self.process), until: self.until() }
    }

    /// The end of a lease that begins now.
    pub(super) fn until(&self) -> Timestamp {
        let micros = i64::try_from(self.timing.lease.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.clock.now().micros().saturating_add(micros))
    }

    /// When a lease that is asked for now is over, by the timer.
    pub(super) fn deadline(&self) -> Duration {
        self.timer.uptime() + self.timing.lease
    }
}
