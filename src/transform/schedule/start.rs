//! Beginning what is to be begun: the store is asked what has happened, and an execution is begun under its condition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::due::{after, due};
use super::inputs::news;
use super::{Cron, Leases, Runner, Started};
use crate::catalog::store::{DatasetStore, PageRequest, TransformStore};
use crate::catalog::transform::{
    ExecutionRecord, ExecutionStatus, ReadVersion, Reason, Schedule, TransformRecord, Trigger, Usage,
};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::{ExecutionId, TransformId};
use crate::limits::SCHEDULED_RUNS_MAX;
use crate::telemetry::{SCHEDULER_LATENESS, SCHEDULER_STARTED};

/// Executions that are asked for what they read. Older ones have read older versions.
const EXECUTIONS_LOOKED_AT: usize = 10;

/// Begins executions.
#[derive(Debug)]
pub(super) struct Starter<R> {
    pub(super) transforms: Arc<dyn TransformStore>,
    pub(super) datasets: Arc<dyn DatasetStore>,
    pub(super) leases: Leases,
    pub(super) runner: Arc<R>,
    /// One for each execution that may be under way.
    pub(super) slots: Arc<Semaphore>,
    /// Told whenever one has ended: there may be more to begin.
    pub(super) ended: Arc<Notify>,
    known: Mutex<BTreeMap<TransformId, Known>>,
}

/// What was found out about the schedule of a transform. All of it is true at any time, so that a clock that jumps makes
/// none of it wrong.
#[derive(Debug, Clone)]
struct Known {
    /// Of the transform.
    revision: u64,
    cron: Option<Arc<Cron>>,
    /// Nothing is to be started before this.
    next: Option<Timestamp>,
    /// There is an execution for each due time up to this one that there is to be one for.
    done: Option<Timestamp>,
    /// Versions of the inputs that were found to be no news.
    read: Option<Vec<ReadVersion>>,
    /// Higher than that of all that were begun before it; 0 if it was not.
    turn: u64,
}

/// An execution that has begun, and is to be run.
#[derive(Debug)]
pub(super) struct Ready<R> {
    pub(super) transform: TransformRecord,
    pub(super) execution: ExecutionRecord,
    runner: Arc<R>,
    ended: Arc<Notify>,
    _slot: OwnedSemaphorePermit,
}

impl<R: Runner> Ready<R> {
    /// Runs it to its end.
    pub(super) async fn run(self) {
        let Self { transform, execution, runner, ended, _slot } = self;
        runner.run(transform, execution).await;
        drop(_slot);
        ended.notify_one();
    }
}

/// A new execution, to be begun by [`Leases::begin`]. Its parameters are none over those of the transform.
#[must_use]
pub fn new_execution(
    transform: &TransformRecord,
    reason: Reason,
    scheduled_at: Option<Timestamp>,
    now: Timestamp,
) -> ExecutionRecord {
    let triggered_by = match reason {
        Reason::Request | Reason::Backfill => Trigger::Manual,
        Reason::Due | Reason::InputChanged => Trigger::Schedule,
    };
    ExecutionRecord {
        id: ExecutionId::random(),
        transform_id: transform.id.clone(),
        started_at: now,
        status: ExecutionStatus::Running,
        finished_at: None,
        triggered_by,
        reason,
        user_id: transform.owner_id.clone(),
        scheduled_at,
        attempt: 1,
        params: serde_json::json!({}),
        inputs: Vec::new(),
        output_dataset_id: None,
        output_version: None,
        output_row_count: None,
        failure: None,
        checks: Vec::new(),
        usage: Usage::default(),
        log: String::new(),
        lease: None,
        revision: 0,
    }
}

impl<R: Runner> Starter<R> {
    pub(super) fn new(
        transforms: Arc<dyn TransformStore>,
        datasets: Arc<dyn DatasetStore>,
        leases: Leases,
        runner: Arc<R>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(SCHEDULED_RUNS_MAX));
        Self { transforms, datasets, leases, runner, slots, ended: Arc::default(), known: Mutex::default() }
    }

    /// Begins what is to be begun of a transform. Nothing when no slot is free: whatever begins must be run at once.
    pub(super) async fn start(
        &self,
        transform: &TransformRecord,
        now: Timestamp,
    ) -> Result<Option<Ready<R>>> {
        if let Some(ready) = self.start_due(transform, now).await? {
            return Ok(Some(ready));
        }
        self.start_changed(transform, now).await
    }

    /// Begins the oldest due time that there is no execution for. Another one that runs is waited for, until the next
    /// call.
    pub(super) async fn start_due(
        &self,
        transform: &TransformRecord,
        now: Timestamp,
    ) -> Result<Option<Ready<R>>> {
        let known = self.known(transform)?;
        let Some(cron) = known.cron.filter(|_| transform.schedule.enabled) else { return Ok(None) };
        if known.next.is_some_and(|next| now < next) {
            return Ok(None);
        }
        let last = self.leases.executions.last_due(&transform.id).await?.max(known.done);
        let times = due(&cron, &transform.schedule, last, now, self.grace_s());
        if times.is_empty() {
            let next = cron.next(after(&transform.schedule, last));
            self.learn(transform, |known| known.next = next);
        }
        for time in times {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return Ok(None) };
            let execution = new_execution(transform, Reason::Due, Some(time), now);
            match self.leases.begin(execution).await? {
                Started::Yes(execution) => {
                    let late = Duration::from_micros(now.micros().abs_diff(time.micros()));
                    histogram!(SCHEDULER_LATENESS).record(late.as_secs_f64());
                    return Ok(Some(self.ready(transform, *execution, slot)));
                }
                Started::AlreadyRunning(_) => return Ok(None),
                Started::AlreadyDone => {
                    self.learn(transform, |known| known.done = known.done.max(Some(time)))
                }
            }
        }
        Ok(None)
    }

    /// Begins an execution when an input has a version that none has read.
    async fn start_changed(&self, transform: &TransformRecord, now: Timestamp) -> Result<Option<Ready<R>>> {
        if !(transform.schedule.enabled && transform.schedule.on_input_change) {
            return Ok(None);
        }
        let ids: Vec<_> = transform.input_ids().cloned().collect();
        let current = self.datasets.lookup(&ids, &[]).await?;
        let mut versions: Vec<ReadVersion> = current
            .iter()
            .map(|dataset| ReadVersion { dataset_id: dataset.id.clone(), version: dataset.current.number })
            .collect();
        versions.sort_by(|a, b| a.dataset_id.cmp(&b.dataset_id));
        if self.known(transform)?.read.as_ref() == Some(&versions) {
            return Ok(None);
        }
        let page = PageRequest::first(EXECUTIONS_LOOKED_AT);
        let recent = self.leases.executions.list(&transform.id, page).await?.0.items;
        // What it has read is not known yet.
        if recent.iter().any(ExecutionRecord::is_running) {
            return Ok(None);
        }
        let Some(inputs) = news(transform, &recent, &current) else {
            self.learn(transform, |known| known.read = Some(versions));
            return Ok(None);
        };
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return Ok(None) };
        let execution =
            ExecutionRecord { inputs, ..new_execution(transform, Reason::InputChanged, None, now) };
        match self.leases.begin(execution).await? {
            Started::Yes(execution) => Ok(Some(self.ready(transform, *execution, slot))),
            Started::AlreadyRunning(_) | Started::AlreadyDone => Ok(None),
        }
    }

    pub(super) fn ready(
        &self,
        transform: &TransformRecord,
        execution: ExecutionRecord,
        slot: OwnedSemaphorePermit,
    ) -> Ready<R> {
        let reason = match execution.reason {
            Reason::Request => "request",
            Reason::Due => "due",
            Reason::InputChanged => "input_changed",
            Reason::Backfill => "backfill",
        };
        counter!(SCHEDULER_STARTED, "reason" => reason).increment(1);
        tracing::info!(
            transform.id = %transform.id,
            execution.id = %execution.id,
            execution.attempt = execution.attempt,
            execution.scheduled_at = execution.scheduled_at.map(Timestamp::rfc3339),
            reason,
            "an execution begins"
        );
        Ready {
            transform: transform.clone(),
            execution,
            runner: Arc::clone(&self.runner),
            ended: Arc::clone(&self.ended),
            _slot: slot,
        }
    }

    /// These transforms, in the order that they have their turn: one that was just begun is the last, so that none with
    /// much to catch up with keeps others from a slot.
    pub(super) fn in_turn(&self, mut transforms: Vec<TransformRecord>) -> Vec<TransformRecord> {
        let mut known = self.lock();
        let live: BTreeSet<_> = transforms.iter().map(|transform| &transform.id).collect();
        known.retain(|id, _| live.contains(id));
        transforms.sort_by_key(|transform| known.get(&transform.id).map(|known| known.turn));
        transforms
    }

    /// Notes that a transform had its turn.
    pub(super) fn had_turn(&self, transform: &TransformRecord) {
        let mut known = self.lock();
        let last = known.values().map(|known| known.turn).max().unwrap_or(0);
        if let Some(known) = known.get_mut(&transform.id) {
            known.turn = last + 1;
        }
    }

    fn grace_s(&self) -> i64 {
        i64::try_from(self.leases.timing.grace.as_secs()).unwrap_or(i64::MAX)
    }

    fn known(&self, transform: &TransformRecord) -> Result<Known> {
        if let Some(known) =
            self.lock().get(&transform.id).filter(|known| known.revision == transform.revision)
        {
            return Ok(known.clone());
        }
        let Schedule { cron, time_zone, .. } = &transform.schedule;
        let cron = cron.as_ref().map(|cron| Cron::parse(cron, time_zone)).transpose().map_err(|error| {
            // It was checked when it was stored: nobody who could mend it waits for this.
            Error::internal(format!("the schedule of transform `{}` cannot be read: {error}", transform.id))
        })?;
        let cron = cron.map(Arc::new);
        let known = Known { revision: transform.revision, cron, next: None, done: None, read: None, turn: 0 };
        self.lock().insert(transform.id.clone(), known.clone());
        Ok(known)
    }

    fn learn(&self, transform: &TransformRecord, learn: impl FnOnce(&mut Known)) {
        if let Some(known) =
            self.lock().get_mut(&transform.id).filter(|known| known.revision == transform.revision)
        {
            learn(known);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TransformId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
