//! One query in a worker, from the service's side: what the worker asks is answered, its rows are copied and checked,
//! and when nobody wants them any more it is told to stop, and made to.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::frame::Frames;
use super::granted::{Granted, Reply};
use super::message::{Frame, FromWorker, ToWorker};
use super::pool::{Lease, Pool};
use crate::engine::{Batches, QuerySpec};
use crate::error::{Error, Result};
use crate::tasks;

/// How long a worker may go on after it was told to stop.
const STOP_WITHIN: Duration = Duration::from_millis(250);
/// Reads of a query that are under way at a time; a worker that wants more is not one of ours.
const READS_MAX: usize = 4096;
/// Batches that wait here for whoever reads them; more wait in the areas.
const BATCHES_AHEAD: usize = 1;

#[derive(Debug)]
enum Event {
    Columns(SchemaRef),
    Rows(RecordBatch),
    Failed(Error),
    /// Said aloud, so that a conversation that ended in a panic is not taken for a complete result.
    End,
}

/// Runs `spec` in a worker of `pool`.
///
/// # Errors
/// What is wrong with it, up to its first rows.
pub(super) async fn begin(
    pool: Arc<Pool>,
    granted: Granted,
    spec: QuerySpec,
) -> Result<(SchemaRef, Batches)> {
    let (send, mut events) = mpsc::channel(BATCHES_AHEAD);
    let lease = pool.lease().await?;
    // On its own, because stopping a worker takes longer than whoever stops reading waits.
    drop(tasks::spawn(converse(lease, granted, spec, send)).detach());
    match events.recv().await {
        Some(Event::Columns(schema)) => Ok((schema, rows(events))),
        Some(Event::Failed(error)) => Err(error),
        Some(Event::Rows(_) | Event::End) | None => Err(silent()),
    }
}

fn silent() -> Error {
    Error::internal("the conversation with a worker ended without saying how")
}

fn rows(events: mpsc::Receiver<Event>) -> Batches {
    let rows = futures::stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        match events.recv().await {
            Some(Event::Rows(batch)) => Some((Ok(batch), Some(events))),
            Some(Event::End) => None,
            Some(Event::Failed(error)) => Some((Err(error), None)),
            Some(Event::Columns(_)) | None => Some((Err(silent()), None)),
        }
    });
    rows.boxed()
}

async fn converse(lease: Lease, granted: Granted, spec: QuerySpec, events: mpsc::Sender<Event>) {
    let granted = Arc::new(granted);
    let mut talk = Talk {
        lease,
        granted,
        replies: FuturesUnordered::new(),
        frames: Frames::default(),
        spec: Some(spec),
    };
    loop {
        let event = tokio::select! {
            biased;
            () = events.closed() => return talk.stop().await,
            event = talk.next() => event,
        };
        match event {
            Ok(Said::Ended(outcome)) => {
                let event = outcome.map_or_else(Event::Failed, |()| Event::End);
                // Whoever reads does not wait until the worker is tidied, nor the worker for a slow reader.
                let late = events.try_send(event);
                talk.lease.give_back();
                if let Err(TrySendError::Full(event)) = late {
                    drop(events.send(event).await);
                }
                return;
            }
            Ok(Said::Columns(schema)) => {
                if events.send(Event::Columns(schema)).await.is_err() {
                    return talk.stop().await;
                }
            }
            Ok(Said::Rows(batch)) => {
                if events.send(Event::Rows(batch)).await.is_err() {
                    return talk.stop().await;
                }
            }
            Err(broken) => {
                let ended = talk.lease.end().await;
                let error = if broken.is_end() { ended } else { Error::internal(broken.0) };
                return drop(events.send(Event::Failed(error)).await);
            }
        }
    }
}

/// What a worker has said that concerns whoever reads the rows.
enum Said {
    Columns(SchemaRef),
    Rows(RecordBatch),
    Ended(Result<()>),
}

/// A worker that has ended, or does not keep the rules.
#[derive(Debug)]
struct Broken(io::Error);

impl Broken {
    fn rule(what: impl Into<String>) -> Self {
        Self(io::Error::new(io::ErrorKind::InvalidData, what.into()))
    }

    fn is_end(&self) -> bool {
        use io::ErrorKind as K;
        matches!(self.0.kind(), K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe)
    }
}

impl From<io::Error> for Broken {
    fn from(cause: io::Error) -> Self {
        Self(cause)
    }
}

impl From<Error> for Broken {
    fn from(cause: Error) -> Self {
        Self(io::Error::other(cause))
    }
}

struct Talk {
    lease: Lease,
    granted: Arc<Granted>,
    /// Reads that are under way.
    replies: FuturesUnordered<BoxFuture<'static, Reply>>,
    frames: Frames,
    /// What is not sent yet.
    spec: Option<QuerySpec>,
}

impl Talk {
    /// The next that concerns whoever reads the rows. Can be dropped and asked for again.
    async fn next(&mut self) -> Result<Said, Broken> {
        if let Some(spec) = self.spec.take() {
            let worker = self.lease.worker()?;
            let job = worker.known.job(spec);
            worker.send(&ToWorker::Run(Box::new(job))).await?;
        }
        loop {
            if self.replies.len() > READS_MAX {
                return Err(Broken::rule("a worker asks for more than it can read"));
            }
            match self.message().await? {
                FromWorker::Columns(frame) => {
                    if self.frames.schema().is_some() {
                        return Err(Broken::rule("a worker named its columns twice"));
                    }
                    self.read(frame).await?;
                    let schema = self.frames.schema().map(Arc::clone);
                    return Ok(Said::Columns(
                        schema.ok_or_else(|| Broken::rule("a worker named no columns"))?,
                    ));
                }
                FromWorker::Rows(frame) => {
                    if self.frames.schema().is_none() {
                        return Err(Broken::rule("rows of a worker came before their columns"));
                    }
                    return Ok(Said::Rows(self.read(frame).await?));
                }
                FromWorker::Ended(outcome) => {
                    let complete = outcome.is_ok();
                    if complete && self.frames.schema().is_none() {
                        return Err(Broken::rule("a worker ended without columns"));
                    }
                    return Ok(Said::Ended(outcome.map_err(Error::from)));
                }
                FromWorker::Open { request, key } => {
                    self.replies.push(Arc::clone(&self.granted).open(request, key).boxed());
                }
                FromWorker::Read { request, key, ranges } => {
                    self.replies.push(Arc::clone(&self.granted).read(request, key, ranges).boxed());
                }
                FromWorker::Ready { .. } | FromWorker::Unfit(_) => {
                    return Err(Broken::rule("a worker began twice"));
                }
            }
        }
    }

    /// The next message; meanwhile, what was asked for is answered.
    async fn message(&mut self) -> Result<FromWorker, Broken> {
        let worker = self.lease.worker()?;
        loop {
            tokio::select! {
                biased;
                Some(reply) = self.replies.next() => {
                    let descriptors: Vec<_> = reply.descriptor.iter().map(|d| d.as_fd()).collect();
                    worker.send_with(&reply.message, &descriptors).await?;
                }
                message = worker.receive() => return Ok(message?),
            }
        }
    }

    /// Copies and checks rows, and gives the area back.
    async fn read(&mut self, frame: Frame) -> Result<RecordBatch, Broken> {
        let worker = self.lease.worker()?;
        let bytes = worker.copy(frame)?;
        worker.send(&ToWorker::Taken { area: frame.area }).await?;
        self.frames
            .read(bytes)
            .map_err(|reason| Broken::rule(format!("rows of a worker are damaged: {reason}")))
    }

    /// Ends the query: by asking, and then by force.
    async fn stop(mut self) {
        let stopped = tokio::time::timeout(STOP_WITHIN, self.ask_to_stop()).await;
        match stopped {
            Ok(Ok(())) => self.lease.give_back(),
            Ok(Err(_)) | Err(_) => drop(self.lease.end().await),
        }
    }

    async fn ask_to_stop(&mut self) -> Result<(), Broken> {
        if self.spec.is_some() {
            return Ok(());
        }
        self.lease.worker()?.send(&ToWorker::Cancel).await?;
        loop {
            match self.message().await? {
                FromWorker::Ended(_) => return Ok(()),
                FromWorker::Columns(frame) | FromWorker::Rows(frame) => {
                    self.lease.worker()?.send(&ToWorker::Taken { area: frame.area }).await?;
                }
                // What it waits for does not come any more.
                FromWorker::Open { .. } | FromWorker::Read { .. } => {}
                FromWorker::Ready { .. } | FromWorker::Unfit(_) => {
                    return Err(Broken::rule("a worker began twice"));
                }
            }
        }
    }
}
