//! The runs that callers can wait for, by key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::flight::{Phase, Pilot, Rest, Running, Seen, stopped};
use super::key::ResultKey;
use super::store::{Kept, Store};
use crate::error::{Error, Result};
use crate::tasks;

/// Keys of results that were too large to be kept, remembered so that nobody waits for them in vain.
const LARGE_KEYS_MAX: usize = 1024;

/// All runs that somebody waits for.
#[derive(Debug)]
pub(super) struct Flights {
    by_key: Mutex<HashMap<ResultKey, Entry>>,
    large: quick_cache::sync::Cache<ResultKey, ()>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// Tells a run from a later one of the same key.
    number: u64,
    flight: Weak<Flight>,
}

/// A run. Everybody who waits for it holds it; when the last lets go, it is cancelled.
#[derive(Debug)]
pub(super) struct Flight {
    seen: watch::Receiver<Seen>,
    task: OnceLock<AbortOnDropHandle<()>>,
}

/// How a caller comes to a result that is not kept.
#[derive(Debug)]
pub(super) enum Way {
    /// It was kept while the caller was on the way.
    Kept(Arc<Kept>),
    /// By a run of its own, that others may join.
    First(Takeoff),
    /// By the run of somebody else.
    Join(Arc<Flight>),
    /// By a run that nobody joins.
    Alone,
}

/// A run that is on the list and has to be started at once: others wait for it already.
#[derive(Debug)]
pub(super) struct Takeoff {
    flight: Arc<Flight>,
    pilot: Pilot,
    rest: mpsc::Receiver<Rest>,
}

impl Takeoff {
    /// Starts it, and returns what its first caller reads from.
    pub(super) fn start<F>(self, run: F) -> (Arc<Flight>, mpsc::Receiver<Rest>)
    where
        F: Future<Output = Result<Running>> + Send + 'static,
    {
        let Self { flight, pilot, rest } = self;
        flight.task.get_or_init(|| tasks::spawn(pilot.fly(run)));
        (flight, rest)
    }
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            by_key: Mutex::default(),
            large: quick_cache::sync::Cache::new(LARGE_KEYS_MAX),
            numbers: AtomicU64::new(0),
        }
    }
}

impl Flights {
    /// Joins the run of `key`, or puts a new one on the list.
    pub(super) fn board(self: &Arc<Self>, key: ResultKey, store: &Arc<Store>) -> Way {
        if self.large.get(&key).is_some() {
            return Way::Alone;
        }
        let mut by_key = self.lock();
        if let Some(flight) = by_key.get(&key).and_then(|entry| entry.flight.upgrade()) {
            return Way::Join(flight);
        }
        // Whoever looked into the store before may have missed a run that has landed since.
        if let Some(kept) = store.get(&key) {
            return Way::Kept(kept);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (seen_by, seen) = watch::channel(Seen::default());
        let (rest_to, rest) = mpsc::channel(1);
        let flight = Arc::new(Flight { seen, task: OnceLock::new() });
        by_key.insert(key, Entry { number, flight: Arc::downgrade(&flight) });
        drop(by_key);
        let landing = Landing { flights: Arc::clone(self), key, number };
        let pilot = Pilot { key, seen: seen_by, rest: rest_to, store: Arc::clone(store), landing };
        Way::First(Takeoff { flight, pilot, rest })
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    #[cfg(test)]
    pub(super) fn forget_large(&self) {
        self.large.clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ResultKey, Entry>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller who waited got.
#[derive(Debug)]
pub(super) enum Arrived {
    Kept(Arc<Kept>),
    /// It is too large to be shared.
    Large,
    /// The run ended for a reason that concerns only who started it.
    Again,
}

impl Flight {
    pub(super) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Waits until the first rows are there.
    ///
    /// # Errors
    /// What the run failed with before.
    pub(super) async fn started(&self) -> Result<()> {
        let mut seen = self.seen.clone();
        let seen = seen.wait_for(|seen| !matches!(seen.phase, Phase::Starting)).await;
        match &seen.map_err(|_| stopped())?.phase {
            Phase::Failed { error, untold: true } => Err(error.again()),
            _ => Ok(()),
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What the run failed with, when it would fail for everybody.
    pub(super) async fn arrived(&self) -> Result<Arrived> {
        let mut seen = self.seen.clone();
        let seen = seen.wait_for(|seen| !matches!(seen.phase, Phase::Starting | Phase::Streaming)).await;
        match &seen.map_err(|_| stopped())?.phase {
            Phase::Complete(kept) => Ok(Arrived::Kept(Arc::clone(kept))),
            Phase::Failed { error, .. } if concerns_all(error) => Err(error.again()),
            Phase::Failed { .. } => Ok(Arrived::Again),
            Phase::Starting | Phase::Streaming | Phase::Large => Ok(Arrived::Large),
        }
    }
}

/// Whether whoever runs the same query fails as well. A deadline, a turn in the queue or a cancelled query
/// is one caller's own.
fn concerns_all(error: &Error) -> bool {
    !matches!(
        error,
        Error::TimedOut(_)
            | Error::Cancelled
            | Error::RateLimited { .. }
            | Error::Unavailable { .. }
            | Error::Forbidden(_)
            | Error::Unauthenticated(_)
    )
}

/// Takes a run off the list when it ends, however it ends.
#[derive(Debug)]
pub(super) struct Landing {
    flights: Arc<Flights>,
    key: ResultKey,
    number: u64,
}

impl Landing {
    /// From now on nobody joins.
    pub(super) fn land(&mut self) {
        let mut by_key = self.flights.lock();
        if by_key.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            by_key.remove(&self.key);
        }
    }

    /// The same, and nobody tries again.
    pub(super) fn large(&mut self) {
        self.flights.large.insert(self.key, ());
        self.land();
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.land();
    }
}
