//! Workers that are there before anybody asks for them: each runs one query at a time, is used again, and is
//! replaced after many queries, or when it has grown, or when one ended it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use object_store::ObjectStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::begin::Begin;
use super::conversation;
use super::granted::Granted;
use super::worker::Worker;
use crate::engine::{Batches, EngineConfig, Isolation, QuerySpec};
use crate::error::{Error, Result};
use crate::tasks;

/// A worker that has answered this many is replaced: what may have gone wrong in it does not stay for ever.
const QUERIES_MAX: u32 = 500;

/// What workers are and may use.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The program, which becomes a worker by [`super::ARGUMENT`].
    pub program: PathBuf,
    /// Queries at a time.
    pub workers: usize,
    /// What operators of one query may hold.
    pub memory_bytes_max: usize,
    pub spill_bytes_max: u64,
    /// Where files without names are made, one a worker.
    pub spill_dir: PathBuf,
    /// Threads of one worker.
    pub threads: usize,
    pub batch_rows: usize,
    pub footer_cache_bytes_max: usize,
    pub time_zone: String,
    /// Whether objects are files, of which a worker gets descriptors; else the service reads for it.
    pub objects_are_files: bool,
}

impl WorkerSettings {
    /// Equal shares of what an engine of `config` may use, for as many workers as it cuts plans into parts. The
    /// program is this one.
    #[must_use]
    pub fn shares_of(config: &EngineConfig) -> Self {
        let workers = config.target_partitions.max(1);
        Self {
            program: PathBuf::from("/proc/self/exe"),
            workers,
            memory_bytes_max: config.memory_per_query_bytes_max.min(config.memory_bytes_max / workers),
            spill_bytes_max: config.spill_per_query_bytes_max.min(config.spill_bytes_max / workers as u64),
            spill_dir: config.spill_dir.clone(),
            threads: workers,
            batch_rows: config.batch_rows,
            footer_cache_bytes_max: config.footer_cache_bytes_max / workers,
            time_zone: config.time_zone.clone(),
            objects_are_files: true,
        }
    }

    /// What expressions, results and stacks take comes on top of what operators are counted for.
    fn address_space_bytes(&self) -> u64 {
        2 * self.memory_bytes_max as u64 + (3 << 30)
    }

    pub(super) fn begin(&self) -> Begin {
        Begin {
            memory_bytes_max: self.memory_bytes_max,
            address_space_bytes: self.address_space_bytes(),
            spill_bytes_max: self.spill_bytes_max,
            threads: self.threads,
            batch_rows: self.batch_rows,
            footer_cache_bytes_max: self.footer_cache_bytes_max,
            time_zone: self.time_zone.clone(),
        }
    }

    /// A worker that has more when its query is done is replaced.
    fn memory_kept_max(&self) -> u64 {
        (self.memory_bytes_max + self.footer_cache_bytes_max) as u64 + (256 << 20)
    }
}

/// How workers are at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkersReport {
    /// Queries at a time.
    pub workers: usize,
    pub busy: usize,
    /// Workers that ended with a query.
    pub lost: u64,
}

/// Workers. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct SqlWorkers(Arc<Pool>);

#[derive(Debug)]
pub(super) struct Pool {
    settings: WorkerSettings,
    objects: Arc<dyn ObjectStore>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Worker>>,
    lost: AtomicU64,
}

impl SqlWorkers {
    /// Workers that read from `objects`, of which none is started yet.
    #[must_use]
    pub fn new(settings: WorkerSettings, objects: Arc<dyn ObjectStore>) -> Self {
        let turns = Arc::new(Semaphore::new(settings.workers));
        Self(Arc::new(Pool { settings, objects, turns, idle: Mutex::default(), lost: AtomicU64::new(0) }))
    }

    /// Starts all of them.
    ///
    /// # Errors
    /// `Unavailable` when one cannot be started or confined: then none is to be used.
    pub async fn warm(&self) -> Result<()> {
        let missing = self.0.settings.workers.saturating_sub(self.0.idle().len());
        let starts = (0..missing).map(|_| Worker::start(&self.0.settings));
        let started = futures::future::try_join_all(starts).await?;
        let landlock = started.iter().all(|worker| worker.landlock);
        tracing::info!(workers = self.0.settings.workers, landlock, "workers for SQL are ready");
        self.0.idle().extend(started);
        Ok(())
    }

    /// How they are.
    #[must_use]
    pub fn report(&self) -> WorkersReport {
        let workers = self.0.settings.workers;
        let busy = workers.saturating_sub(self.0.turns.available_permits());
        WorkersReport { workers, busy, lost: self.0.lost.load(Ordering::Relaxed) }
    }

    /// The processes that wait for a query.
    #[must_use]
    pub fn idle_processes(&self) -> Vec<u32> {
        self.0.idle().iter().filter_map(Worker::id).collect()
    }
}

#[async_trait]
impl Isolation for SqlWorkers {
    async fn run(&self, spec: QuerySpec) -> Result<(SchemaRef, Batches)> {
        let Pool { settings, objects, .. } = &*self.0;
        let granted = Granted::new(Arc::clone(objects), settings.objects_are_files, &spec);
        conversation::begin(Arc::clone(&self.0), granted, spec).await
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker, when it is one's turn.
    ///
    /// # Errors
    /// `Unavailable` when one has to be started and cannot.
    pub(super) async fn lease(self: Arc<Self>) -> Result<Lease> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
        loop {
            let waiting = self.idle().pop();
            let worker = match waiting {
                None => Worker::start(&self.settings).await?,
                Some(mut worker) => {
                    if worker.has_ended() {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!("a worker for SQL ended while it waited");
                        continue;
                    }
                    worker
                }
            };
            return Ok(Lease { worker: Some(worker), pool: self, _turn: turn });
        }
    }

    fn take_back(self: &Arc<Self>, mut worker: Worker) {
        worker.answered += 1;
        let grown = worker.memory_used().is_none_or(|used| used > self.settings.memory_kept_max());
        if grown || worker.answered >= QUERIES_MAX || worker.tidy().is_err() {
            self.replace();
        } else {
            self.idle().push(worker);
        }
    }

    /// Starts a worker in advance of who asks next.
    fn replace(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        let start = async move {
            // Whoever asks next starts one, and is told why that cannot be done.
            if let Ok(worker) = Worker::start(&pool.settings).await {
                let mut idle = pool.idle();
                if idle.len() < pool.settings.workers {
                    idle.push(worker);
                }
            }
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(tasks::spawn(start).detach());
        }
    }
}

/// A worker for one query.
#[derive(Debug)]
pub(super) struct Lease {
    worker: Option<Worker>,
    pool: Arc<Pool>,
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    /// # Errors
    /// `Internal` when the worker has been given away.
    pub(super) fn worker(&mut self) -> Result<&mut Worker> {
        self.worker.as_mut().ok_or_else(|| Error::internal("a worker was used after its query"))
    }

    /// The query has ended and the worker waits for the next one.
    pub(super) fn give_back(mut self) {
        if let Some(worker) = self.worker.take() {
            self.pool.take_back(worker);
        }
    }

    /// The query has ended its worker, or has to.
    pub(super) async fn end(mut self) -> Error {
        let Some(worker) = self.worker.take() else { return Error::internal("a worker was ended twice") };
        self.pool.lost.fetch_add(1, Ordering::Relaxed);
        self.pool.replace();
        worker.end().await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Nobody knows what the worker does now. It goes with this, and another one comes.
        if self.worker.is_some() {
            self.pool.lost.fetch_add(1, Ordering::Relaxed);
            self.pool.replace();
        }
    }
}
