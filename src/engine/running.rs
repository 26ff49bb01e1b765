//! Queries that are being answered: seen while they run, cancelled by their id, and told of in the history once
//! they have ended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::history::History;
use super::memory::Peak;
use super::report;
use super::spec::About;
use super::stream::{Deadline, Progress};
use crate::catalog::record::{CacheUse, QueryFailure, QueryOutcome, QueryRecord};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{QueryId, UserId};
use crate::telemetry::{QUERIES, QUERY_DURATION, QUERY_QUEUE_DURATION};

/// All queries that are being answered. Clones are the same list.
#[derive(Debug, Clone)]
pub(super) struct Running(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    live: Mutex<HashMap<QueryId, Arc<Live>>>,
    history: Arc<History>,
}

/// A query that is being answered.
#[derive(Debug)]
pub(super) struct Live {
    about: About,
    began: Instant,
    cancel: CancellationToken,
    progress: Arc<Progress>,
    peak: Peak,
    /// Microseconds after `began`; 0 until it happened.
    admitted_us: AtomicU64,
    planned_us: AtomicU64,
    plan: OnceLock<Arc<dyn ExecutionPlan>>,
    retried: OnceLock<()>,
    cache: OnceLock<CacheUse>,
}

/// Holds a query in the list; dropped, it is in the history.
#[derive(Debug)]
pub(super) struct Run {
    list: Running,
    live: Arc<Live>,
    /// None: whoever asked went away before the end.
    end: Option<(QueryOutcome, Option<QueryFailure>)>,
}

impl Running {
    pub(super) fn new(history: Arc<History>) -> Self {
        Self(Arc::new(Shared { live: Mutex::default(), history }))
    }

    fn live(&self) -> MutexGuard<'_, HashMap<QueryId, Arc<Live>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a query on the list.
    ///
    /// # Errors
    /// `Duplicate` when one with its id is there, which a caller may have chosen.
    pub(super) fn begin(&self, about: About) -> Result<Run> {
        let live = Arc::new(Live {
            began: Instant::now(),
            cancel: CancellationToken::new(),
            progress: Arc::new(Progress::new()),
            peak: Peak::default(),
            admitted_us: AtomicU64::new(0),
            planned_us: AtomicU64::new(0),
            plan: OnceLock::new(),
            retried: OnceLock::new(),
            cache: OnceLock::new(),
            about,
        });
        match self.live().entry(live.about.query_id.clone()) {
            Entry::Occupied(taken) => {
                return Err(Error::Duplicate(format!("a query `{}` is running", taken.key())));
            }
            Entry::Vacant(free) => free.insert(Arc::clone(&live)),
        };
        Ok(Run { list: self.clone(), live, end: None })
    }

    /// How many are on the list.
    pub(super) fn count(&self) -> usize {
        self.live().len()
    }

    /// Those on the list, as far as they have come; the newest first.
    pub(super) fn all(&self) -> Vec<QueryRecord> {
        let live: Vec<_> = self.live().values().cloned().collect();
        let mut records: Vec<_> = live.iter().map(|live| live.record(live.phase(), None)).collect();
        records.sort_by(|a, b| (b.asked_at, &b.id).cmp(&(a.asked_at, &a.id)));
        records
    }

    /// The one with this id.
    pub(super) fn get(&self, id: &QueryId) -> Option<QueryRecord> {
        let live = self.live().get(id).cloned()?;
        Some(live.record(live.phase(), None))
    }

    /// Ends a query, and says whether it was there.
    pub(super) fn cancel(&self, id: &QueryId) -> bool {
        let found = self.live().get(id).cloned();
        found.inspect(|live| live.cancel.cancel()).is_some()
    }
}

impl Live {
    pub(super) fn query_id(&self) -> &QueryId {
        &self.about.query_id
    }

    pub(super) fn user_id(&self) -> &UserId {
        &self.about.user_id
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(super) fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(super) fn peak(&self) -> Peak {
        self.peak.clone()
    }

    /// It may run now.
    pub(super) fn admitted(&self) {
        self.admitted_us.store(self.elapsed_us(), Ordering::Relaxed);
    }

    /// It is planned; its numbers will be read off `plan`.
    pub(super) fn planned(&self, plan: Arc<dyn ExecutionPlan>) {
        self.planned_us.store(self.elapsed_us(), Ordering::Relaxed);
        // A second plan is one for less memory; what the first one did is not worth telling.
        let _ = self.plan.set(plan);
    }

    /// It is planned in another process, and its numbers are there.
    pub(super) fn planned_elsewhere(&self) {
        self.planned_us.store(self.elapsed_us(), Ordering::Relaxed);
    }

    /// It ran out of memory and runs again in another way.
    pub(super) fn retried(&self) {
        let _ = self.retried.set(());
    }

    /// How the cache was used; what is said first counts.
    pub(super) fn used_cache(&self, cache: CacheUse) {
        let _ = self.cache.set(cache);
    }

    /// Waits for `work`, but neither beyond the deadline nor after somebody cancelled.
    pub(super) async fn bound<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            done = deadline.bound(work) => done,
        }
    }

    fn elapsed_us(&self) -> u64 {
        micros(self.began.elapsed()).max(1)
    }

    fn phase(&self) -> QueryOutcome {
        match (self.admitted_us.load(Ordering::Relaxed), self.planned_us.load(Ordering::Relaxed)) {
            (0, _) => QueryOutcome::Queued,
            (_, 0) => QueryOutcome::Planning,
            (_, _) => QueryOutcome::Running,
        }
    }

    fn record(&self, outcome: QueryOutcome, failure: Option<QueryFailure>) -> QueryRecord {
        let total_us = self.elapsed_us();
        let admitted_us = self.admitted_us.load(Ordering::Relaxed);
        let planned_us = self.planned_us.load(Ordering::Relaxed);
        let mut work = self.plan.get().map(report::read).unwrap_or_default();
        work.files_total = self.about.tables.iter().map(|table| table.files).sum();
        let about = self.about.clone();
        QueryRecord {
            id: about.query_id,
            user_id: about.user_id,
            kind: about.kind,
            statement: about.statement,
            tables: about.tables,
            asked_at: about.asked_at,
            ended_at: (!outcome.is_live())
                .then(|| Timestamp::from_micros(about.asked_at.micros().saturating_add_unsigned(total_us))),
            outcome,
            failure,
            cache: self.cache.get().copied().unwrap_or(about.cache),
            total_us,
            queue_us: if admitted_us == 0 { total_us } else { admitted_us },
            plan_us: planned_us.saturating_sub(admitted_us),
            encode_us: self.progress.encode_us(),
            rows: self.progress.rows(),
            bytes: self.progress.bytes(),
            memory_peak_bytes: self.peak.bytes(),
            retried: self.retried.get().is_some(),
            work,
        }
    }
}

impl Run {
    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// It came to its end; what is said first counts.
    pub(super) fn complete(&mut self) {
        let truncated = self.live.progress.truncated();
        let outcome = if truncated { QueryOutcome::Truncated } else { QueryOutcome::Complete };
        self.end.get_or_insert((outcome, None));
    }

    /// It failed.
    pub(super) fn fail(&mut self, error: &Error) {
        let outcome = match error.code() {
            Code::Cancelled => QueryOutcome::Cancelled,
            Code::QueryTimeout => QueryOutcome::TimedOut,
            Code::RateLimitExceeded => QueryOutcome::Rejected,
            Code::ServiceUnavailable if self.live.phase() == QueryOutcome::Queued => QueryOutcome::Rejected,
            _ => QueryOutcome::Failed,
        };
        let failure = QueryFailure { code: error.code(), message: error.to_string() };
        self.end.get_or_insert((outcome, Some(failure)));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.list.live().remove(&self.live.about.query_id);
        let (outcome, failure) = self.end.take().unwrap_or((QueryOutcome::Cancelled, None));
        let record = self.live.record(outcome, failure);
        metrics::counter!(QUERIES, "kind" => record.kind.as_str(), "outcome" => outcome.as_str())
            .increment(1);
        metrics::histogram!(QUERY_DURATION, "kind" => record.kind.as_str()).record(seconds(record.total_us));
        metrics::histogram!(QUERY_QUEUE_DURATION).record(seconds(record.queue_us));
        self.list.0.history.push(record);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
