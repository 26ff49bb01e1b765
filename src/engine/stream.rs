//! Results as they come: batches under a deadline and a row limit. Dropping the stream cancels the
//! query: its operators and background tasks end with it, and give back their memory and spill files.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

use super::classify::classify;
use crate::error::{Error, Result};
use crate::telemetry::QUERIES_RUNNING;

/// The moment by which a query has to have ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(super) fn after(allowed: Duration) -> Self {
        Self { at: Instant::now() + allowed, allowed }
    }

    /// Waits for `work`, but not longer.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout_at(self.at, work).await.unwrap_or_else(|_| Err(self.passed()))
    }

    fn passed(&self) -> Error {
        Error::TimedOut(format!("the query took longer than {} ms and was stopped", self.allowed.as_millis()))
    }
}

/// Counts the queries that run, from their planning to their end, whatever the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<AtomicU64>);

/// One query that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Run(Running);

impl Running {
    pub(super) fn begin(&self) -> Run {
        self.0.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!(QUERIES_RUNNING).increment(1);
        Run(self.clone())
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!(QUERIES_RUNNING).decrement(1);
    }
}

/// How far a query has come. Can be read while it runs and after it ended.
#[derive(Debug)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    truncated: AtomicBool,
    elapsed_us: AtomicU64,
    started: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            truncated: AtomicBool::new(false),
            elapsed_us: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Rows handed out.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of memory of the batches handed out.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the row limit cut rows off.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated.load(Ordering::Acquire)
    }

    /// From the start to the latest batch, or to the end.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us.load(Ordering::Relaxed))
    }

    fn count(&self, batch: &RecordBatch) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batch.get_array_memory_size() as u64, Ordering::Relaxed);
    }

    fn touch(&self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.elapsed_us.store(micros, Ordering::Relaxed);
    }
}

/// The rows of a running query. A failure is the last item.
pub struct QueryStream {
    schema: SchemaRef,
    /// None once it has ended.
    source: Option<(SendableRecordBatchStream, Run)>,
    /// Pulled by [`QueryStream::start`], not yet handed out.
    first: Option<RecordBatch>,
    rows_left: Option<u64>,
    deadline: Deadline,
    timer: Pin<Box<Sleep>>,
    progress: Arc<Progress>,
}

impl std::fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryStream")
            .field("schema", &self.schema)
            .field("rows_left", &self.rows_left)
            .field("deadline", &self.deadline)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl QueryStream {
    pub(super) fn new(
        source: SendableRecordBatchStream,
        rows: Option<u64>,
        deadline: Deadline,
        run: Run,
    ) -> Self {
        Self {
            schema: source.schema(),
            source: Some((source, run)),
            first: None,
            rows_left: rows,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline.at)),
            progress: Arc::new(Progress::new()),
        }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Waits for the first batch, so that most failures come while a door can still give its own answer.
    ///
    /// # Errors
    /// What the query failed with before its first row.
    pub async fn start(mut self) -> Result<Self> {
        if self.first.is_none() {
            self.first = self.next().await.transpose()?;
        }
        Ok(self)
    }

    /// For an encoder: the columns, the batches, and what tells after the last one whether rows were cut off.
    #[must_use]
    pub fn into_parts(self) -> (SchemaRef, BoxStream<'static, Result<RecordBatch>>, Arc<Progress>) {
        let (schema, progress) = (Arc::clone(&self.schema), self.progress());
        (schema, self.boxed(), progress)
    }

    /// Counts a batch and cuts it at the row limit.
    fn admit(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = batch.num_rows() as u64;
        let batch = match self.rows_left {
            Some(left) if rows > left => {
                self.progress.truncated.store(true, Ordering::Release);
                self.source = None;
                // `left` is smaller than a batch's number of rows, which is a `usize`.
                batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX))
            }
            _ => batch,
        };
        if let Some(left) = &mut self.rows_left {
            *left = left.saturating_sub(rows);
        }
        self.progress.count(&batch);
        batch
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(batch) = this.first.take() {
            return Poll::Ready(Some(Ok(batch)));
        }
        loop {
            let Some((source, _)) = &mut this.source else { return Poll::Ready(None) };
            // First, so that a source that is always ready cannot outrun its deadline.
            if this.timer.as_mut().poll(cx).is_ready() {
                this.source = None;
                this.progress.touch();
                return Poll::Ready(Some(Err(this.deadline.passed())));
            }
            let item = std::task::ready!(source.poll_next_unpin(cx));
            this.progress.touch();
            match item {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    let batch = this.admit(batch);
                    return match batch.num_rows() {
                        0 => Poll::Ready(None),
                        _ => Poll::Ready(Some(Ok(batch))),
                    };
                }
                Some(Err(error)) => {
                    this.source = None;
                    return Poll::Ready(Some(Err(classify(error))));
                }
                None => this.source = None,
            }
        }
    }
}
