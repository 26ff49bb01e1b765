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
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::cache::Ended;
use super::execute::Started;
use super::running::Run;
use crate::error::{Error, Result};
use crate::ids::QueryId;

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

    /// Lets `work` go on until then, and ends it.
    pub(super) async fn cut(&self, work: impl Future<Output = ()>) {
        // Whoever waits for the outcome has the same deadline and names it.
        let _ = tokio::time::timeout_at(self.at, work).await;
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    pub(super) fn passed(&self) -> Error {
        Error::TimedOut(format!("the query took longer than {} ms and was stopped", self.allowed.as_millis()))
    }
}

/// How far a query has come. Can be read while it runs and after it ended.
#[derive(Debug)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    truncated: AtomicBool,
    elapsed_us: AtomicU64,
    encode_ns: AtomicU64,
    started: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            truncated: AtomicBool::new(false),
            elapsed_us: AtomicU64::new(0),
            encode_ns: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Rows handed out.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of the values handed out.
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

    /// Adds time in which rows were turned into bytes; whoever encodes them says so.
    pub fn count_encoding(&self, time: Duration) {
        self.encode_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn encode_us(&self) -> u64 {
        self.encode_ns.load(Ordering::Relaxed) / 1000
    }

    /// The rows were there, and their encoding has `bytes` bytes.
    pub(super) fn kept(&self, ended: Ended, bytes: u64) {
        self.rows.store(ended.rows, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.truncated.store(ended.truncated, Ordering::Release);
        self.touch();
    }

    fn count(&self, batch: &RecordBatch) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(byte_count(batch), Ordering::Relaxed);
    }

    fn touch(&self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.elapsed_us.store(micros, Ordering::Relaxed);
    }
}

/// Bytes of the values of `batch`. Columns may be parts of one buffer, as those from a worker are, and the whole of it
/// would count for each of them.
fn byte_count(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    let sizes = columns.map(|column| {
        let size = column.to_data().get_slice_memory_size();
        size.unwrap_or_else(|_| column.get_array_memory_size()) as u64
    });
    sizes.sum()
}

/// The rows of a running query. A failure is the last item.
pub struct QueryStream {
    schema: SchemaRef,
    /// None once it has ended.
    source: Option<Started>,
    /// Pulled by [`QueryStream::start`], not yet handed out.
    first: Option<RecordBatch>,
    rows_left: Option<u64>,
    bytes_left: Option<u64>,
    deadline: Deadline,
    timer: Pin<Box<Sleep>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    progress: Arc<Progress>,
    /// To the end of this stream, whoever reads it.
    run: Run,
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

/// How much of a result is handed out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cuts {
    /// The result ends there, truncated.
    pub(super) rows: Option<u64>,
    /// The query fails there.
    pub(super) bytes: Option<u64>,
}

impl QueryStream {
    pub(super) fn new(source: Started, cuts: Cuts, deadline: Deadline, run: Run) -> Self {
        Self {
            schema: Arc::clone(&source.schema),
            source: Some(source),
            first: None,
            rows_left: cuts.rows,
            bytes_left: cuts.bytes,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline.at)),
            cancelled: Box::pin(run.live().cancelled().clone().cancelled_owned()),
            progress: Arc::clone(run.live().progress()),
            run,
        }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its id on the list of queries.
    #[must_use]
    pub fn query_id(&self) -> &QueryId {
        self.run.live().query_id()
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
    fn admit(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows() as u64;
        let batch = match self.rows_left {
            Some(left) if rows > left => {
                self.progress.truncated.store(true, Ordering::Release);
                self.complete();
                // `left` is smaller than a batch's number of rows, which is a `usize`.
                batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX))
            }
            _ => batch,
        };
        if let Some(left) = &mut self.rows_left {
            *left = left.saturating_sub(rows);
        }
        self.progress.count(&batch);
        if self.bytes_left.is_some_and(|left| self.progress.bytes() > left) {
            return Err(Error::OverLimit(format!(
                "the result has more than {} bytes: ask for fewer rows or columns",
                self.bytes_left.unwrap_or_default()
            )));
        }
        Ok(batch)
    }

    fn complete(&mut self) {
        self.source = None;
        self.run.complete();
    }

    fn fail<T>(&mut self, error: Error) -> Poll<Option<Result<T>>> {
        self.source = None;
        self.run.fail(&error);
        Poll::Ready(Some(Err(error)))
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
            let Some(source) = &mut this.source else { return Poll::Ready(None) };
            // First, so that a source that is always ready cannot outrun its deadline.
            if this.timer.as_mut().poll(cx).is_ready() {
                this.progress.touch();
                return this.fail(this.deadline.passed());
            }
            if this.cancelled.as_mut().poll(cx).is_ready() {
                this.progress.touch();
                return this.fail(Error::Cancelled);
            }
            let item = std::task::ready!(source.poll_next(cx));
            this.progress.touch();
            match item {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => match this.admit(batch) {
                    Ok(batch) if batch.num_rows() == 0 => return Poll::Ready(None),
                    Ok(batch) => return Poll::Ready(Some(Ok(batch))),
                    Err(error) => return this.fail(error),
                },
                Some(Err(error)) => return this.fail(error),
                None => this.complete(),
            }
        }
    }
}
