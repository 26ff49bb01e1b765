//! The due times of a range in the past, one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::start::Starter;
use super::{Cron, Runner, Scheduler, Started, new_execution};
use crate::catalog::store::{ExecutionStore, PageRequest, StoreError};
use crate::catalog::transform::{Reason, TransformRecord};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::TransformId;
use crate::limits::BACKFILL_DUE_TIMES_MAX;

/// Executions that are read at a time: each may have a long log.
const PAGE_EXECUTIONS: usize = 100;

impl<R: Runner> Scheduler<R> {
    /// Runs the transform for each due time of its schedule from `from` to `to`, both included, that has passed and that
    /// there is no execution for, and returns these times. They are begun one after the other in the background; those
    /// that have not begun when the process ends are not. Asking again goes on with them.
    ///
    /// # Errors
    /// `Invalid` when it has no schedule of times, or there are too many of them; `Unavailable`.
    pub async fn backfill(
        &self,
        transform: &TransformRecord,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Timestamp>> {
        let Some(cron) = &transform.schedule.cron else {
            let message = "the transform has no `schedule_cron`, which says what is due in a range";
            return Err(Error::invalid_field("schedule_cron", message));
        };
        let cron = Cron::parse(cron, &transform.schedule.time_zone)?;
        let before = Timestamp::from_micros(from.micros().saturating_sub(1));
        let due = cron.due(before, to.min(now), BACKFILL_DUE_TIMES_MAX + 1);
        if due.len() > BACKFILL_DUE_TIMES_MAX {
            let message = format!(
                "more than {BACKFILL_DUE_TIMES_MAX} times are due in the range: choose a shorter one"
            );
            return Err(Error::invalid_field("to", message));
        }
        let executions = Arc::clone(&self.starter.leases.executions);
        let done = scheduled(executions.as_ref(), &transform.id).await?;
        let times: Vec<_> = due.into_iter().filter(|time| !done.contains(time)).collect();
        if !times.is_empty() {
            self.spawn(run_all(Arc::clone(&self.starter), transform.id.clone(), times.clone(), self.enabled));
        }
        Ok(times)
    }
}

/// The due times that there are executions for.
async fn scheduled(
    executions: &dyn ExecutionStore,
    transform: &TransformId,
) -> Result<BTreeSet<Timestamp>, StoreError> {
    let mut found = BTreeSet::new();
    let mut request = PageRequest::first(PAGE_EXECUTIONS);
    loop {
        let (page, _) = executions.list(transform, request).await?;
        found.extend(page.items.iter().filter_map(|execution| execution.scheduled_at));
        match page.next {
            Some(next) => request = PageRequest { after: Some(next), limit: PAGE_EXECUTIONS },
            None => return Ok(found),
        }
    }
}

/// Runs the due times, each to its end before the next begins.
async fn run_all<R: Runner>(
    starter: Arc<Starter<R>>,
    id: TransformId,
    times: Vec<Timestamp>,
    is_scheduler: bool,
) {
    let mut times = times.into_iter().peekable();
    while let Some(time) = times.peek().copied() {
        match run_one(&starter, &id, time, is_scheduler).await {
            Ok(Progress::Done) => drop(times.next()),
            Ok(Progress::Gone) => return,
            Ok(Progress::Busy) => starter.pause().await,
            Err(error) => {
                tracing::warn!(transform.id = %id, %error, "a backfill waits: an execution could not begin");
                starter.pause().await;
            }
        }
    }
}

/// How far a due time of a backfill has come.
#[derive(Debug)]
enum Progress {
    /// There is an execution for it.
    Done,
    /// Another execution of the transform runs.
    Busy,
    /// There is no such transform any more.
    Gone,
}

async fn run_one<R: Runner>(
    starter: &Starter<R>,
    id: &TransformId,
    time: Timestamp,
    is_scheduler: bool,
) -> Result<Progress> {
    let now = starter.leases.clock.now();
    let Some(transform) = starter.transforms.lookup(std::slice::from_ref(id)).await?.pop() else {
        return Ok(Progress::Gone);
    };
    // What is due now would otherwise find the transform running whenever it is tried, and come too late.
    if is_scheduler && let Some(ready) = starter.start_due(&transform, now).await? {
        ready.run().await;
    }
    let slot = Arc::clone(&starter.slots).acquire_owned().await.map_err(Error::internal)?;
    let execution = new_execution(&transform, Reason::Backfill, Some(time), starter.leases.clock.now());
    match starter.leases.begin(execution).await? {
        Started::Yes(execution) => {
            starter.ready(&transform, *execution, slot).run().await;
            Ok(Progress::Done)
        }
        Started::AlreadyDone => Ok(Progress::Done),
        Started::AlreadyRunning(_) => Ok(Progress::Busy),
    }
}

impl<R: Runner> Starter<R> {
    async fn pause(&self) {
        let timer = &self.leases.timer;
        timer.wait_until(timer.uptime() + self.leases.timing.sweep).await;
    }
}
