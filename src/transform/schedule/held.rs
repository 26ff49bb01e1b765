//! An execution while this process runs it. A task says again and again that it does; whoever runs it changes it here and
//! nowhere else, so that two writers of one process never meet.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Leases;
use super::claim::{Claim, Refused};
use crate::catalog::store::StoreError;
use crate::catalog::transform::ExecutionRecord;
use crate::error::Result;
use crate::tasks;

/// A lease that renews itself until this is dropped, taken or ended. Dropped without either, the execution is found as
/// that of a process that has ended.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    _renewal: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    leases: Leases,
    lost: CancellationToken,
    /// Locked for as long as a write takes. `None` once it was taken or lost.
    live: Mutex<Option<Live>>,
}

#[derive(Debug)]
struct Live {
    claim: Claim,
    /// When others may think that nobody runs it, by the timer.
    deadline: Duration,
}

impl Held {
    pub(super) fn new(leases: &Leases, execution: ExecutionRecord) -> Self {
        let claim = Claim::new(Arc::clone(&leases.executions), execution);
        let live = Live { claim, deadline: leases.deadline() };
        let shared = Arc::new(Shared {
            leases: leases.clone(),
            lost: CancellationToken::new(),
            live: Mutex::new(Some(live)),
        });
        let renewal = tasks::spawn(renew(Arc::clone(&shared)));
        Self { shared, _renewal: renewal }
    }

    /// Cancelled when the execution is another's, or may soon be: what it does here is in vain, and is to be stopped.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.shared.lost.clone()
    }

    /// Changes what is told of the execution, such as its log, and stores it. When the store does not answer, the change
    /// stays and is stored with the next one, or with the next renewal.
    ///
    /// # Errors
    /// `Conflict` when it is lost, `Unavailable` when the store does not answer.
    pub async fn update(&self, change: impl FnOnce(&mut ExecutionRecord) + Send) -> Result<()> {
        let mut slot = self.shared.live.lock().await;
        let live = slot.as_mut().ok_or(Refused::Lost)?;
        change(&mut live.claim.record);
        let outcome = self.shared.write(live).await;
        if self.shared.is_over(live, &outcome) {
            self.shared.lose(&mut slot);
        }
        Ok(outcome?)
    }

    /// Ends the renewal and returns the execution under its revision, for a commit that ends it. There are at least
    /// two thirds of a lease for that.
    ///
    /// # Errors
    /// `Conflict` when it is lost; `Unavailable` when that cannot be found out before it is.
    pub async fn take(self) -> Result<ExecutionRecord> {
        Ok(self.take_claim().await?.record)
    }

    /// Ends the execution without a commit, as `change` says.
    ///
    /// # Errors
    /// As [`Held::take`].
    pub async fn end(self, change: impl FnOnce(&mut ExecutionRecord) + Send) -> Result<ExecutionRecord> {
        let shared = Arc::clone(&self.shared);
        let mut live = Live { claim: self.take_claim().await?, deadline: shared.leases.deadline() };
        change(&mut live.claim.record);
        shared.persist(&mut live).await?;
        Ok(live.claim.record)
    }

    /// Lets another process, or the next start of this one, go on with it at once.
    ///
    /// # Errors
    /// As [`Held::take`].
    pub async fn release(self) -> Result<()> {
        self.end(|record| record.lease = None).await.map(drop)
    }

    async fn take_claim(self) -> Result<Claim> {
        let mut slot = self.shared.live.lock().await;
        let mut live = slot.take().ok_or(Refused::Lost)?;
        drop(slot);
        // A write that may still happen would make the revision an old one between here and the commit.
        if live.claim.is_unsettled() {
            self.shared.persist(&mut live).await?;
        }
        Ok(live.claim)
    }
}

impl Shared {
    /// Writes the record with a lease from now on. One that is over may still be renewed by a process that was stopped
    /// for a while, if nobody has noticed; but then it has little time.
    async fn write(&self, live: &mut Live) -> Result<(), Refused> {
        if let Some(lease) = &mut live.claim.record.lease {
            lease.until = self.leases.until();
        }
        let renewed = self.leases.deadline();
        let timer = &self.leases.timer;
        let patience = live.deadline.max(timer.uptime() + self.pause());
        tokio::select! {
            biased;
            outcome = live.claim.write() => outcome?,
            () = timer.wait_until(patience) => {
                return Err(Refused::Later(StoreError::Unavailable("no answer within the lease".into())));
            }
        }
        live.deadline = renewed;
        Ok(())
    }

    /// Whether others have the execution, or may soon.
    fn is_over(&self, live: &Live, outcome: &Result<(), Refused>) -> bool {
        match outcome {
            Ok(()) => false,
            Err(Refused::Lost) => true,
            Err(Refused::Later(_)) => self.leases.timer.uptime() >= live.deadline,
        }
    }

    /// Tries to write until it is known what happened, or others may think that nobody runs it.
    async fn persist(&self, live: &mut Live) -> Result<(), Refused> {
        loop {
            let outcome = self.write(live).await;
            if outcome.is_ok() || self.is_over(live, &outcome) {
                return outcome;
            }
            self.wait(self.pause()).await;
        }
    }

    async fn wait(&self, time: Duration) {
        let timer = &self.leases.timer;
        timer.wait_until(timer.uptime() + time).await;
    }

    /// Between two tries while the store does not answer.
    fn pause(&self) -> Duration {
        self.leases.timing.renewal / 5
    }

    fn lose(&self, slot: &mut Option<Live>) {
        if let Some(live) = slot.take() {
            let execution = live.claim.record.id;
            tracing::warn!(execution.id = %execution, "an execution is lost: its lease could not be renewed");
        }
        self.lost.cancel();
    }
}

/// Renews a lease until it is taken or lost.
async fn renew(shared: Arc<Shared>) {
    let mut time = shared.leases.timing.renewal;
    loop {
        shared.wait(time).await;
        let mut slot = shared.live.lock().await;
        let Some(live) = slot.as_mut() else { return };
        let outcome = shared.write(live).await;
        if shared.is_over(live, &outcome) {
            shared.lose(&mut slot);
            return;
        }
        time = if outcome.is_ok() { shared.leases.timing.renewal } else { shared.pause() };
    }
}
