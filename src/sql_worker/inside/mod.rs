//! Inside a worker: a process that begins with an empty environment and one socket, gives up what it does not need,
//! and then runs one query after the other with an engine of its own.
//!
//! ```text
//!  messages ─▶ Run ─▶ task of the query ─▶ engine ─▶ outbox ─▶ areas
//!              Cancel ─▶ ends it              │
//!              answers ─▶ broker store ◀── reads of files
//! ```
//!
//! It must not know who asked or why: a spec is all it gets.

mod broker_store;
mod confine;
#[cfg(feature = "failpoints")]
mod hostile;
mod link;
mod no_history;
mod outbox;
mod syscalls;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use object_store::ObjectStore;
use tokio::runtime::Builder;
use tokio::task::AbortHandle;
use tokio_seqpacket::UnixSeqpacket;

use super::begin::Begin;
use super::job::{Job, Remembered};
use super::message::{FromWorker, ToWorker, Unread};
use super::{AREAS, FRAME_BYTES_MAX};
use crate::engine::{Engine, EngineConfig, OneFile};
use crate::error::{Error, Result};
use crate::tasks;
use broker_store::BrokerStore;
use link::{Answered, Link};
use no_history::NoHistory;
use outbox::Outbox;

/// How often it is looked whether the work of a query has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Runs a worker on the socket that is its standard input, until the service has gone.
#[must_use]
pub fn run() -> ExitCode {
    // Ends only when the service has gone, or has been told why; nobody is left to hear of it.
    drop(begin());
    // At once: a query that nobody waits for any more may never end.
    std::process::exit(1)
}

/// Confines the process, step by step, and serves.
fn begin() -> Result<()> {
    let begin = std::env::args().nth(2).unwrap_or_default();
    let begin: Begin = serde_json::from_str(&begin).map_err(Error::internal)?;
    let confined = confine::before_threads(begin.address_space_bytes, file_bytes_max(&begin));
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(Error::internal)?;
    let runtime = Builder::new_multi_thread().worker_threads(begin.threads).enable_all().build();
    let runtime = runtime.map_err(Error::internal)?;
    runtime.block_on(async {
        let socket = UnixSeqpacket::try_from(socket).map_err(Error::internal)?;
        let link = Arc::new(Link::new(socket));
        let begun = match confined {
            Ok(landlock) => Worker::begin(&link, &begin, landlock).await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(worker) => worker.serve().await,
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
                link.send(&FromWorker::Unfit(cause)).await
            }
        }
    })
}

fn file_bytes_max(begin: &Begin) -> u64 {
    begin.spill_bytes_max.max(FRAME_BYTES_MAX)
}

struct Worker {
    link: Arc<Link>,
    store: Arc<BrokerStore>,
    outbox: Arc<Outbox>,
    engine: Engine,
    remembered: Mutex<Remembered>,
}

impl Worker {
    async fn begin(link: &Arc<Link>, begin: &Begin, landlock: bool) -> Result<Arc<Self>> {
        let (ToWorker::Begin, mut areas) = link.receive().await? else {
            return Err(Error::internal("a worker begins with `Begin`"));
        };
        if areas.len() != AREAS + 1 {
            return Err(Error::internal(format!("{} descriptors came, expected {}", areas.len(), AREAS + 1)));
        }
        let spill = File::from(areas.remove(AREAS));
        let store = Arc::new(BrokerStore::new(Arc::clone(link)));
        let objects: Arc<dyn ObjectStore> = Arc::<BrokerStore>::clone(&store);
        let engine = Engine::new(config(begin, spill), objects, Arc::new(NoHistory))?;
        confine::with_threads()?;
        confine::canary()?;
        // Also on threads that are there already, and on those that come.
        tasks::spawn(async { confine::canary() }).await.map_err(Error::internal)??;
        tasks::blocking(confine::canary).await?;
        let outbox = Arc::new(Outbox::new(Arc::clone(link), areas));
        let worker = Self { link: Arc::clone(link), store, outbox, engine, remembered: Mutex::default() };
        link.send(&FromWorker::Ready { landlock }).await?;
        Ok(Arc::new(worker))
    }

    /// Does what messages say.
    async fn serve(self: Arc<Self>) -> Result<()> {
        let mut current: Option<AbortHandle> = None;
        loop {
            let (message, descriptors) = self.link.receive().await?;
            let descriptor = descriptors.into_iter().next();
            match message {
                ToWorker::Run(job) => {
                    self.outbox.reset().await;
                    current = Some(Arc::clone(&self).start(*job));
                }
                ToWorker::Cancel => drop(current.take().inspect(AbortHandle::abort)),
                ToWorker::Taken { area } => self.outbox.taken(area),
                ToWorker::Opened { request, byte_count, is_file } => {
                    let answer = match (is_file, descriptor) {
                        (true, None) => Err(Unread::Failed("the file did not come".to_owned())),
                        (_, file) => Ok(Answered::Opened { byte_count, file }),
                    };
                    self.link.answer(request, answer);
                }
                ToWorker::Bytes { request, lengths } => {
                    let area = descriptor.ok_or_else(|| Unread::Failed("the bytes did not come".to_owned()));
                    self.link.answer(request, area.map(|area| Answered::Bytes { lengths, area }));
                }
                ToWorker::Unread { request, reason } => self.link.answer(request, Err(reason)),
                ToWorker::Begin => return Err(Error::internal("a worker begins once")),
            }
        }
    }

    /// Starts a query, whose end is told whatever it is.
    fn start(self: Arc<Self>, job: Job) -> AbortHandle {
        let worker = Arc::clone(&self);
        let task = tasks::spawn(async move { worker.answer(job).await }).detach();
        let handle = task.abort_handle();
        let told = async move {
            let outcome = match task.await {
                Ok(outcome) => outcome,
                Err(ended) if ended.is_cancelled() => Err(Error::Cancelled),
                Err(panicked) => Err(Error::internal(panicked)),
            };
            self.link.forget_requests();
            // Work that was cut off ends when it next gives way. If it never does, the service ends this process; a
            // next query would wait for its threads.
            while outcome.is_err() && (self.engine.load().1 > 0 || self.engine.planned_for_nobody() > 0) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            self.store.close();
            // Nothing can fail: what it forgets is told by the service.
            drop(self.engine.store_history().await);
            // When nobody listens, whoever waits for messages notices and ends the process.
            drop(self.link.send(&FromWorker::Ended(outcome.map_err(Into::into))).await);
        };
        drop(tasks::spawn(told).detach());
        handle
    }

    async fn answer(&self, job: Job) -> Result<()> {
        let spec = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).spec(job)?;
        #[cfg(feature = "failpoints")]
        hostile::act(&spec.statement, self.store.as_ref()).await?;
        let mut batches = self.engine.run(spec).await?;
        let mut rows = self.outbox.begin(Arc::clone(batches.schema())).await?;
        while let Some(batch) = batches.next().await {
            rows.send(&batch?).await?;
        }
        Ok(())
    }
}

fn config(begin: &Begin, spill: File) -> EngineConfig {
    let mut config = EngineConfig::new(PathBuf::new());
    config.memory_bytes_max = begin.memory_bytes_max;
    config.memory_per_query_bytes_max = begin.memory_bytes_max;
    config.spill_bytes_max = begin.spill_bytes_max;
    config.spill_per_query_bytes_max = begin.spill_bytes_max;
    config.threads = begin.threads;
    config.spill_file = Some(OneFile::new(spill, begin.spill_bytes_max));
    config.target_partitions = begin.threads;
    config.batch_rows = begin.batch_rows;
    config.footer_cache_bytes_max = begin.footer_cache_bytes_max;
    // Each spec is planned and run.
    config.result_cache_bytes_max = 0;
    config.plan_cache_bytes_max = 0;
    config.time_zone.clone_from(&begin.time_zone);
    config
}
