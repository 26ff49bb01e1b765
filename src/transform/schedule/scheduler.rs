//! The loop.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use metrics::counter;
use tokio_util::task::AbortOnDropHandle;

use super::Leases;
use super::start::Starter;
use super::sweep::Watch;
use crate::catalog::store::{DatasetStore, TransformStore, every};
use crate::catalog::transform::{ExecutionRecord, TransformRecord};
use crate::clock::Timestamp;
use crate::error::{Code, Result};
use crate::tasks;
use crate::telemetry::{SCHEDULER_FAILURES, SCHEDULER_TICKS};

/// What running a transform takes.
#[async_trait]
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Runs an execution that has begun, and stores its end. It holds the execution by [`Leases::hold`], stops when it is
    /// lost, and commits under the revision that [`super::Held::take`] returns. Dropped in the middle, it leaves the
    /// execution to the sweep.
    ///
    /// The transform is as it was when the scheduler looked; the execution may be a further attempt.
    async fn run(&self, transform: TransformRecord, execution: ExecutionRecord);

    /// Is told of an execution that nobody ran any more, after it was stored as failed.
    async fn interrupted(&self, execution: &ExecutionRecord);
}

/// What a scheduler is made of.
#[derive(Debug)]
pub struct SchedulerParts<R> {
    pub transforms: Arc<dyn TransformStore>,
    pub datasets: Arc<dyn DatasetStore>,
    pub leases: Leases,
    pub runner: Arc<R>,
    /// Whether anything is started by the clock. What nobody answers for is looked for in any case.
    pub enabled: bool,
}

/// Starts what is due. Dropping it ends what it runs.
#[derive(Debug)]
pub struct Scheduler<R> {
    pub(super) starter: Arc<Starter<R>>,
    pub(super) enabled: bool,
    watch: Mutex<Watch>,
    running: Mutex<Vec<AbortOnDropHandle<()>>>,
}

impl<R: Runner> Scheduler<R> {
    #[must_use]
    pub fn new(parts: SchedulerParts<R>) -> Self {
        let SchedulerParts { transforms, datasets, leases, runner, enabled } = parts;
        let starter = Arc::new(Starter::new(transforms, datasets, leases, runner));
        Self { starter, enabled, watch: Mutex::default(), running: Mutex::default() }
    }

    /// Looks at what is due, and at what nobody answers for, again and again.
    pub async fn run(&self) {
        let Leases { clock, timer, timing, .. } = &self.starter.leases;
        let (mut next_tick, mut next_sweep) = (timer.uptime(), timer.uptime());
        let mut failing = false;
        loop {
            if timer.uptime() >= next_sweep {
                next_sweep = timer.uptime() + timing.sweep;
                let outcome = self.sweep(clock.now()).await;
                if let Err(error) = &outcome {
                    counter!(SCHEDULER_FAILURES).increment(1);
                    // Every two seconds of an outage would be too often to say it.
                    if !failing {
                        tracing::warn!(%error, "executions that nobody runs could not be looked for; it is tried again");
                    }
                }
                failing = outcome.is_err();
            }
            if self.enabled && timer.uptime() >= next_tick {
                next_tick = timer.uptime() + timing.interval;
                if let Err(error) = self.tick(clock.now()).await {
                    counter!(SCHEDULER_FAILURES).increment(1);
                    tracing::warn!(%error, "what is due could not be looked for; it is at the next tick");
                }
            }
            let next = if self.enabled { next_tick.min(next_sweep) } else { next_sweep };
            tokio::select! {
                biased;
                () = timer.wait_until(next) => {}
                // There is a slot now, or the transform has more to catch up with.
                () = self.starter.ended.notified(), if self.enabled => {
                    next_tick = next_tick.min(timer.uptime() + timing.sweep / 2);
                }
            }
        }
    }

    /// Begins what is due at `now`, and returns how many executions that are.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer. What has begun goes on.
    pub async fn tick(&self, now: Timestamp) -> Result<u64> {
        counter!(SCHEDULER_TICKS).increment(1);
        let scheduled = every(|page| self.starter.transforms.scheduled(page)).await?;
        let mut begun = 0;
        for transform in self.starter.in_turn(scheduled) {
            if self.starter.slots.available_permits() == 0 {
                break;
            }
            match self.starter.start(&transform, now).await {
                Ok(Some(ready)) => {
                    begun += 1;
                    self.starter.had_turn(&transform);
                    self.spawn(ready.run());
                }
                Ok(None) => {}
                // The others would wait for it as long.
                Err(error) if error.code() == Code::ServiceUnavailable => return Err(error),
                Err(error) => {
                    counter!(SCHEDULER_FAILURES).increment(1);
                    tracing::warn!(transform.id = %transform.id, %error, "a transform could not be started");
                }
            }
        }
        Ok(begun)
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|task| !task.is_finished());
        running.push(tasks::spawn(work));
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
