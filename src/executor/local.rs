//! Python in workers of this process: whose turn it is, and on what.

use std::sync::Arc;

use shirabe_wire::Limits;
use shirabe_wire::host::PythonWorkers;

use super::admission::Admission;
use super::kept::KeptInputs;
use super::run::{self, OVERHEAD_BYTES, Prepared, Turn};
use super::workers::{Progress, Workers};
use super::{Class, ExecutorHealth, ExecutorSettings, ExecutorState, MEMORY, PythonRun, Ran, Timeouts};
use crate::error::{Error, Result};
use crate::ids::UserId;

/// Workers of this process, and whose turn it is.
#[derive(Debug)]
pub(super) struct Local {
    workers: Workers,
    admission: Admission,
    kept: Arc<KeptInputs>,
    timeouts: Timeouts,
}

impl Local {
    pub(super) fn new(settings: ExecutorSettings) -> Self {
        let ExecutorSettings { python, admission, kept_bytes_max, timeouts } = settings;
        let kept = Arc::new(KeptInputs::new(kept_bytes_max));
        Self { workers: Workers::new(python), admission: Admission::new(admission), kept, timeouts }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(super) fn warm(&self) {
        self.workers.warm();
    }

    pub(super) async fn run(&self, run: PythonRun) -> Ran {
        match self.run_to_its_end(run).await {
            Ok(ended) => ended.into(),
            Err(error) => Ran::failed(error),
        }
    }

    async fn run_to_its_end(&self, run: PythonRun) -> Result<run::Ended> {
        let run = Prepared::new(run)?;
        let turn = self.turn(&run.user_id, run.class, &run.limits).await?;
        Ok(turn.begin(run).await?.finish().await)
    }

    /// The memory for a run, and workers to run it on.
    ///
    /// # Errors
    /// `Unavailable`, which names the limit, or `SandboxUnavailable`, which says why nothing runs.
    pub(super) async fn turn(&self, user: &UserId, class: Class, limits: &Limits) -> Result<Turn> {
        // What is known to be impossible does not wait for a turn.
        if let Some(reason) = self.workers.failure() {
            return Err(unavailable(&reason));
        }
        let wanted = limits.memory_bytes_max.saturating_add(OVERHEAD_BYTES);
        let slot = self.admission.enter(user, class, wanted).await?;
        let starting = tokio::time::timeout(self.admission.limits().wait_max, self.workers());
        let workers = starting.await.map_err(|_| Error::Unavailable {
            message: "the sandbox for Python is still being tested: try again later".to_owned(),
            cause: None,
        })??;
        Ok(Turn::new(slot, workers, Arc::clone(&self.kept), class))
    }

    async fn workers(&self) -> Result<Arc<PythonWorkers>> {
        self.workers.ready().await.map_err(|reason| unavailable(&reason))
    }

    pub(super) fn health(&self) -> ExecutorHealth {
        let (state, workers, reason) = match self.workers.progress() {
            Progress::NotStarted => (ExecutorState::NotStarted, None, None),
            Progress::Starting => (ExecutorState::Starting, None, None),
            Progress::Ready(workers) => (ExecutorState::Ready, Some(workers), None),
            Progress::Failed(reason) => (ExecutorState::Unavailable, None, Some(reason.to_string())),
        };
        ExecutorHealth {
            state,
            tier: workers.as_ref().map(|workers| run::letter(workers.tier())),
            memory: MEMORY.to_owned(),
            selftest: workers.as_ref().map(|workers| workers.self_test().score()),
            reason,
            running_count: self.admission.running() as u64,
            waiting_count: self.admission.waiting() as u64,
            memory_reserved_bytes: self.admission.memory_bytes(),
            memory_bytes_max: self.admission.limits().memory_bytes_max,
        }
    }
}

fn unavailable(reason: &str) -> Error {
    Error::SandboxUnavailable(format!("Python does not run here: {reason}"))
}
