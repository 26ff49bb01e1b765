//! A process that runs a scheduler. It may end at any moment, and another one takes its place.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::faulty::{Chaos, Faulty};
use super::runner::Fake;
use super::time::{Local, Time};
use super::{Stores, TIMING};
use crate::catalog::transform::TransformRecord;
use crate::clock::{Clock as _, Timestamp};
use crate::tasks;
use crate::transform::schedule::{Leases, Scheduler, SchedulerParts};

/// A place for processes, one after the other.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: usize,
    pub(super) local: Arc<Local>,
    pub(super) leases: Leases,
    pub(super) scheduler: Arc<Scheduler<Fake>>,
    runner: Arc<Fake>,
    running: Vec<AbortOnDropHandle<()>>,
    time: Arc<Time>,
    stores: Stores,
    chaos: Arc<Chaos>,
}

impl Process {
    /// One with an enabled scheduler that does nothing yet.
    pub(super) fn new(number: usize, time: Arc<Time>, stores: Stores, chaos: Arc<Chaos>) -> Self {
        Self::make(number, time, stores, chaos, true)
    }

    fn make(number: usize, time: Arc<Time>, stores: Stores, chaos: Arc<Chaos>, enabled: bool) -> Self {
        let local = Arc::new(Local::new(Arc::clone(&time)));
        let store = Faulty::new(stores.clone(), Arc::clone(&chaos), Arc::clone(&local), number, enabled);
        let port = Arc::new(store.clone());
        let name = format!("p{number}-{}", time.now().as_micros());
        let leases = Leases::new(
            Arc::clone(&port) as _,
            Arc::clone(&local) as _,
            Arc::clone(&local) as _,
            TIMING,
            &name,
        );
        let runner = Arc::new(Fake::new(store, leases.clone(), Arc::clone(&local), Arc::clone(&chaos)));
        let scheduler = Arc::new(Scheduler::new(SchedulerParts {
            transforms: Arc::clone(&port) as _,
            datasets: port as _,
            leases: leases.clone(),
            runner: Arc::clone(&runner),
            enabled,
        }));
        Self { number, local, leases, scheduler, runner, running: Vec::new(), time, stores, chaos }
    }

    /// Lets its scheduler look again and again.
    pub(super) fn start(&mut self) {
        let scheduler = Arc::clone(&self.scheduler);
        self.running.push(tasks::spawn(async move { scheduler.run().await }));
    }

    /// Asks for a backfill, and does not wait for the answer: it may be stopped, or not reach the store.
    pub(super) fn ask_backfill(&mut self, transform: TransformRecord, from: Timestamp, to: Timestamp) {
        let (scheduler, now) = (Arc::clone(&self.scheduler), self.local.now());
        self.running.push(tasks::spawn(async move {
            // Asked in vain, nobody was told that it will be done.
            let _ = scheduler.backfill(&transform, from, to, now).await;
        }));
    }

    /// Ends it where it is, as by SIGKILL, and puts a new one in its place, which is not started yet.
    pub(super) fn kill(&mut self, enabled: bool) {
        let next = Self::make(
            self.number,
            Arc::clone(&self.time),
            self.stores.clone(),
            Arc::clone(&self.chaos),
            enabled,
        );
        *self = next;
    }

    pub(super) fn runner(&self) -> Arc<Fake> {
        Arc::clone(&self.runner)
    }
}
