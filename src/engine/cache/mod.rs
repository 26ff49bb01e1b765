//! Results that need not be computed again.
//!
//! ```text
//! spec ─▶ statement key ─▶ plan ─▶ plan key, row limit, format ─▶ kept? ─▶ its bytes
//!                            │                                      └─▶ a run that somebody waits for? ─▶ join it
//!                            └─ volatile ─▶ no key: it runs          └─▶ run, and keep what it was
//! ```
//!
//! Why it is exact: versions never change, a plan says all that is done with them, and a statement whose
//! answer depends on anything else (`now()`, `random()`) is not kept. So nothing expires, and two callers
//! share a result exactly when the engine would compute the same one for both. Who may read what was decided
//! before, when the names were resolved; this stage knows no callers, no formats and no HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

mod flight;
mod flights;
mod key;
mod parsed;
mod plans;
mod store;
#[cfg(test)]
mod tests;
mod volatile;

pub use flight::Running;
pub(super) use key::{PlanKey, StatementKey};
pub(super) use parsed::Statements;
pub(super) use plans::{Known, Planned, Plans};
pub use store::{Ended, Fill, Kept};
pub(super) use volatile::is_volatile;

use crate::catalog::record::CacheUse;
use crate::error::Result;
use crate::telemetry::RESULT_CACHE;
use flights::{Arrived, Flights, Way};
use key::ResultKey;
use store::Store;

/// How long the first bytes of a result wait for its last ones.
const PATIENCE: Duration = Duration::from_millis(10);

/// Results that are kept, and runs that several callers wait for. Cheap to clone: clones share all.
#[derive(Debug, Clone)]
pub(super) struct Results(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    flights: Arc<Flights>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A result on its way to one caller.
#[derive(Debug)]
pub struct Answer {
    /// Whether this caller made it run.
    pub cache: CacheUse,
    pub body: Body,
}

/// An encoded result.
pub enum Body {
    Whole(Arc<Kept>),
    /// As it is made. A failure that the format cannot tell in its own words is the last item.
    Frames(BoxStream<'static, Result<Bytes>>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(kept) => f.debug_tuple("Whole").field(kept).finish(),
            Self::Frames(_) => f.debug_struct("Frames").finish_non_exhaustive(),
        }
    }
}

impl Results {
    /// Keeps results of `bytes_max` bytes.
    ///
    /// # Errors
    /// `Internal` when a cache of that size cannot be laid out.
    pub(super) fn new(bytes_max: usize) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            store: Arc::new(Store::new(bytes_max)?),
            flights: Arc::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })))
    }

    /// The result of `key`: kept, or of a run that is on its way, or of the run that `start` makes. A failure
    /// of a run is everybody's, but for one that concerns only who started it; then the next one starts.
    ///
    /// # Errors
    /// What the run failed with before its first bytes; for who joined it, whatever it failed with.
    pub(super) async fn ask<F>(&self, key: ResultKey, start: impl FnOnce() -> F) -> Result<Answer>
    where
        F: Future<Output = Result<Running>> + Send + 'static,
    {
        if let Some(kept) = self.0.store.get(&key) {
            return Ok(self.hit(kept));
        }
        loop {
            match self.0.flights.board(key, &self.0.store) {
                Way::Kept(kept) => return Ok(self.hit(kept)),
                Way::First(takeoff) => {
                    self.count(CacheUse::Miss);
                    let (flight, rest) = takeoff.start(start());
                    flight.started().await?;
                    // Most results are small, and a whole one is told its length.
                    if let Ok(Ok(Arrived::Kept(kept))) =
                        tokio::time::timeout(PATIENCE, flight.arrived()).await
                    {
                        return Ok(Answer { cache: CacheUse::Miss, body: Body::Whole(kept) });
                    }
                    let frames = flight::first_in_line(flight.seen(), rest, flight);
                    return Ok(Answer { cache: CacheUse::Miss, body: Body::Frames(frames) });
                }
                Way::Join(flight) => match flight.arrived().await? {
                    Arrived::Kept(kept) => return Ok(self.hit(kept)),
                    Arrived::Large => return self.alone(start()).await,
                    Arrived::Again => {}
                },
                Way::Alone => return self.alone(start()).await,
            }
        }
    }

    /// What is kept now, and how often it was what was asked for.
    #[must_use]
    pub(super) fn fill(&self) -> Fill {
        Fill {
            entries: self.0.store.entries(),
            bytes: self.0.store.bytes(),
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: Some(self.0.misses.load(Ordering::Relaxed)),
        }
    }

    fn hit(&self, kept: Arc<Kept>) -> Answer {
        self.count(CacheUse::Hit);
        Answer { cache: CacheUse::Hit, body: Body::Whole(kept) }
    }

    async fn alone(&self, run: impl Future<Output = Result<Running>>) -> Result<Answer> {
        self.count(CacheUse::Miss);
        let running = run.await?;
        Ok(Answer { cache: CacheUse::Miss, body: Body::Frames(running.frames) })
    }

    fn count(&self, cache: CacheUse) {
        match cache {
            CacheUse::Hit => self.0.hits.fetch_add(1, Ordering::Relaxed),
            CacheUse::Miss => self.0.misses.fetch_add(1, Ordering::Relaxed),
            // Who does not ask does not come here.
            CacheUse::Bypass => 0,
        };
        metrics::counter!(RESULT_CACHE, "use" => cache.as_str()).increment(1);
    }
}
