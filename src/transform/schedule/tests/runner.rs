//! What runs executions in tests: nothing, for a while, and then a commit through the real port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::faulty::{Chaos, Faulty};
use super::next_version;
use super::time::Local;
use crate::catalog::store::{Commit, DatasetStore, StoreError};
use crate::catalog::transform::{
    ExecutionFailure, ExecutionRecord, ExecutionStatus, ReadVersion, TransformRecord,
};
use crate::clock::{Clock as _, Timer as _, Timestamp};
use crate::error::Code;
use crate::ids::CommitId;
use crate::transform::schedule::{Held, Leases, Runner};

/// How one run goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) takes: Duration,
    /// Whether it stops when the lease is lost. One that does not sees only the store refuse its commit.
    pub(super) heeds: bool,
    pub(super) end: End,
    /// The process is stopped between the end of the work and the commit.
    pub(super) stopped: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Publishes,
    Fails,
    /// It goes away without a word, as one that panics does.
    Vanishes,
}

impl Course {
    pub(super) fn takes(takes: Duration) -> Self {
        Self { takes, heeds: true, end: End::Publishes, stopped: Duration::ZERO }
    }
}

#[derive(Debug)]
pub(super) struct Fake {
    store: Faulty,
    leases: Leases,
    local: Arc<Local>,
    chaos: Arc<Chaos>,
    /// How all runs go; as chance has it when it is none.
    course: Mutex<Option<Course>>,
    told: Mutex<Told>,
}

/// What a runner was asked for.
#[derive(Debug, Default)]
struct Told {
    runs: Vec<ExecutionRecord>,
    interrupted: Vec<ExecutionRecord>,
}

impl Fake {
    pub(super) fn new(store: Faulty, leases: Leases, local: Arc<Local>, chaos: Arc<Chaos>) -> Self {
        Self { store, leases, local, chaos, course: Mutex::default(), told: Mutex::default() }
    }

    pub(super) fn set(&self, course: Course) {
        *self.course.lock().unwrap() = Some(course);
    }

    pub(super) fn interrupted_runs(&self) -> Vec<ExecutionRecord> {
        self.told().interrupted.clone()
    }

    pub(super) fn runs(&self) -> Vec<ExecutionRecord> {
        self.told().runs.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn course(&self) -> Course {
        if let Some(course) = *self.course.lock().unwrap() {
            return course;
        }
        let takes = match self.chaos.draw(20) {
            0 => self.chaos.seconds(60, 250),
            1..5 => self.chaos.seconds(10, 60),
            _ => self.chaos.seconds(1, 10),
        };
        let end = match self.chaos.draw(100) {
            0..3 => End::Vanishes,
            3..10 => End::Fails,
            _ => End::Publishes,
        };
        let stopped = match self.chaos.draw(30) {
            0 => self.chaos.seconds(100, 250),
            _ => Duration::ZERO,
        };
        Course { takes, heeds: self.chaos.draw(2) == 0, end, stopped }
    }

    /// Notes what is read, and works.
    async fn work(&self, held: &Held, transform: &TransformRecord, course: Course) -> Result<(), StoreError> {
        let ids: Vec<_> = transform.input_ids().cloned().collect();
        if !ids.is_empty() {
            let found = self.store.lookup(&ids, &[]).await?;
            let read = |dataset: &crate::catalog::record::DatasetRecord| ReadVersion {
                dataset_id: dataset.id.clone(),
                version: dataset.current.number,
            };
            // Without an answer it is stored later, with the next renewal.
            let _ = held.update(|record| record.inputs = found.iter().map(read).collect()).await;
        }
        let done = self.local.wait_until(self.local.uptime() + course.takes);
        if course.heeds {
            let lost = held.lost();
            tokio::select! {
                biased;
                () = lost.cancelled() => {}
                () = done => {}
            }
        } else {
            done.await;
        }
        Ok(())
    }

    /// Publishes a version and ends the execution with it.
    async fn publish(&self, transform: &TransformRecord, held: ExecutionRecord) -> Result<(), StoreError> {
        let id = &transform.output_dataset_id;
        let stored = self.store.lookup(std::slice::from_ref(id), &[]).await?.pop();
        let change = next_version(stored, id, &transform.owner_id, self.local.now());
        let ended = ExecutionRecord {
            status: ExecutionStatus::Success,
            finished_at: Some(self.end_of(&held)),
            output_dataset_id: Some(id.clone()),
            ..held
        };
        let commit = Commit { id: CommitId::random(), change, audit: None, execution: Some(ended) };
        self.store.commit(commit).await
    }

    fn end_of(&self, record: &ExecutionRecord) -> Timestamp {
        self.local.now().max(record.started_at)
    }
}

#[async_trait]
impl Runner for Fake {
    async fn run(&self, transform: TransformRecord, execution: ExecutionRecord) {
        self.told().runs.push(execution.clone());
        let held = self.leases.hold(execution);
        let course = self.course();
        let worked = self.work(&held, &transform, course).await;
        if course.heeds && held.lost().is_cancelled() {
            return;
        }
        match (worked, course.end) {
            (_, End::Vanishes) => {}
            (Ok(()), End::Publishes) => {
                let Ok(record) = held.take().await else { return };
                if !course.stopped.is_zero() {
                    self.local.stop_for(course.stopped);
                    self.local.runs().await;
                }
                // An outcome that is not known is the sweep's business: it is ended, or it is run again.
                let _ = self.publish(&transform, record).await;
            }
            _ => {
                let failure = ExecutionFailure {
                    code: Code::ExecutionError,
                    message: "as told".to_owned(),
                    traceback: None,
                    line: None,
                };
                let at = self.local.now();
                let end = |record: &mut ExecutionRecord| {
                    record.status = ExecutionStatus::Failed;
                    record.finished_at = Some(at.max(record.started_at));
                    record.failure = Some(failure);
                };
                let _ = held.end(end).await;
            }
        }
    }

    async fn interrupted(&self, execution: &ExecutionRecord) {
        self.told().interrupted.push(execution.clone());
    }
}
