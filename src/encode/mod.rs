//! Rows to bytes, one file a format.
//!
//! Every format is a stream of frames of about a quarter of a megabyte, made only when asked for: a slow
//! reader slows the query down and no result is ever held whole. Ends are honest: a reader can tell a
//! complete result from one that was cut by a limit, and both from one that failed on the way.
//!
//! | format  | complete                | cut by a limit          | failed on the way          |
//! |---------|-------------------------|-------------------------|----------------------------|
//! | JSON    | `"complete":true`       | `"truncated":true`      | `"complete":false,"error"` |
//! | NDJSON  | last line `{"done":…}`  | `"truncated":true` there | last line `{"error":…}`   |
//! | Arrow   | the body ends           | metadata of the last, empty batch | the body fails   |
//! | Parquet | the body ends           | metadata in the footer  | the body fails             |
//! | XLSX    | the body ends           | a second sheet, and a property | the body fails      |
//! | CSV     | the body ends           | not told                | the body fails             |
//!
//! Why a stage of its own: doors, exports and the command line write the same rows. It is a leaf over
//! Arrow, and must not know queries, datasets or HTTP.

use std::fmt;
use std::task::Poll;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::error::{Error, Result};
use out::Out;

mod arrow_ipc;
mod charset;
mod compact;
mod csv;
mod form;
mod format;
mod json;
mod last_batch;
mod ndjson;
mod numbers;
mod out;
mod parquet;
mod pipe;
mod small;
#[cfg(test)]
mod tests;
mod values;
mod xlsx;

pub use form::{Charset, Compression, Form};
pub use format::Format;
pub use small::{json_column, json_rows};

/// A frame is sent when it has this many bytes, or when the rows stop coming.
const FRAME_BYTES: usize = 256 << 10;

/// No frame is larger.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Rows that are written at a time, so that a batch of wide rows does not become one huge frame.
const SLICE_ROWS: usize = 1024;

/// Under which names Arrow, Parquet and XLSX tell how many rows there are, and whether a limit cut others off.
const ROWS_KEY: &str = "shirabe.rows";
const TRUNCATED_KEY: &str = "shirabe.truncated";

/// What is to be written.
pub struct Rows {
    pub schema: SchemaRef,
    /// A failure is the last item.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// Asked after the last batch: whether a limit cut rows off.
    pub truncated: Box<dyn Fn() -> bool + Send>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What formats want to know beside the rows.
#[derive(Debug, Clone)]
pub struct Options {
    /// Part of a JSON body.
    pub query_id: Option<String>,
    /// Part of a JSON body.
    pub request_id: String,
    /// The name of a type in a JSON body, such as `int64` or `decimal(18,2)`.
    pub type_name: fn(&DataType) -> String,
}

/// Writes `rows` in `form`.
///
/// # Errors
/// `NotSupported` when the format cannot hold one of the columns.
pub fn encode(form: Form, rows: Rows, options: Options) -> Result<BoxStream<'static, Result<Bytes>>> {
    let schema = SchemaRef::clone(&rows.schema);
    Ok(match form.format {
        Format::Json => frames(json::Json::new(&schema, options)?, rows),
        Format::Ndjson => frames(ndjson::Ndjson::new(&schema)?, rows),
        Format::Csv => frames(csv::Csv::new(&schema, form.charset, form.formula_guard)?, rows),
        Format::Arrow => frames(arrow_ipc::ArrowIpc::new(&schema, form.compression)?, rows),
        Format::Parquet => frames(parquet::Parquet::new(&schema)?, rows),
        Format::Xlsx => frames(xlsx::Xlsx::new(&schema)?, rows),
    })
}

/// The same without what differs from caller to caller, so that callers can share it: each puts their own
/// [`Envelope`] around.
///
/// # Errors
/// As [`encode`].
pub fn encode_shared(form: Form, rows: Rows, options: Options) -> Result<BoxStream<'static, Result<Bytes>>> {
    match form.format {
        Format::Json => {
            let schema = SchemaRef::clone(&rows.schema);
            Ok(frames(json::Json::unnamed(&schema, options)?, rows))
        }
        Format::Ndjson | Format::Csv | Format::Arrow | Format::Parquet | Format::Xlsx => {
            encode(form, rows, options)
        }
    }
}

/// What one caller gets around shared bytes; most formats have nothing there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    pub head: Bytes,
    pub tail: Bytes,
}

impl Envelope {
    /// The envelope of `format` for the query and the request that `options` name.
    ///
    /// # Errors
    /// `Internal`, never for an id of ours.
    pub fn new(format: Format, options: &Options) -> Result<Self> {
        match format {
            Format::Json => Ok(Self {
                head: json::head(options.query_id.as_deref())?.into(),
                tail: json::tail(&options.request_id).into(),
            }),
            Format::Ndjson | Format::Csv | Format::Arrow | Format::Parquet | Format::Xlsx => {
                Ok(Self::default())
            }
        }
    }
}

/// How one format writes.
trait Encoder: Send + 'static {
    /// What stands before the first row.
    fn begin(&mut self, out: &mut Out) -> Result<()>;

    /// Some rows.
    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()>;

    /// What stands after the last row.
    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()>;

    /// What a reader is told when the rows failed: text that says so, or the error itself, which breaks
    /// the body off.
    fn fail(&mut self, error: Error, out: &mut Out) -> Result<()>;
}

/// The state of a body.
struct Frames<E> {
    encoder: E,
    rows: Rows,
    out: Out,
    /// Cut from a frame that grew too large.
    rest: Bytes,
    begun: bool,
    /// What was written is on its way out.
    filled: bool,
    ended: bool,
    /// Comes after the bytes that were written before it.
    failure: Option<Error>,
}

/// The body as a stream.
fn frames<E: Encoder>(encoder: E, rows: Rows) -> BoxStream<'static, Result<Bytes>> {
    let mut frames = Frames {
        encoder,
        rows,
        out: Out::default(),
        rest: Bytes::new(),
        begun: false,
        filled: false,
        ended: false,
        failure: None,
    };
    futures::stream::poll_fn(move |cx| frames.poll(cx)).boxed()
}

impl<E: Encoder> Frames<E> {
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if !self.rest.is_empty() {
                let at = self.rest.len().min(FRAME_BYTES_MAX);
                return Poll::Ready(Some(Ok(self.rest.split_to(at))));
            }
            if self.out.len() >= FRAME_BYTES {
                self.filled = true;
            }
            // All that was written goes out before more is made.
            if self.filled || self.ended {
                match self.out.take(FRAME_BYTES) {
                    Some(piece) => self.rest = piece,
                    None if self.ended => return Poll::Ready(self.failure.take().map(Err)),
                    None => self.filled = false,
                }
                continue;
            }
            match self.rows.batches.poll_next_unpin(cx) {
                // What there is goes out while the next rows are being made.
                Poll::Pending if self.out.is_empty() => return Poll::Pending,
                Poll::Pending => self.filled = true,
                Poll::Ready(item) => {
                    if let Err(error) = self.write(item) {
                        self.ended = true;
                        self.failure = Some(error);
                    }
                }
            }
        }
    }

    fn write(&mut self, item: Option<Result<RecordBatch>>) -> Result<()> {
        if !self.begun {
            self.begun = true;
            self.encoder.begin(&mut self.out)?;
        }
        match item {
            Some(Ok(batch)) => self.encoder.rows(&batch, &mut self.out),
            Some(Err(error)) => {
                self.ended = true;
                self.encoder.fail(error, &mut self.out)
            }
            None => {
                self.ended = true;
                self.encoder.end((self.rows.truncated)(), &mut self.out)
            }
        }
    }
}

/// Cuts a batch into pieces of at most [`SLICE_ROWS`] rows.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_rows())
        .step_by(SLICE_ROWS)
        .map(|start| batch.slice(start, SLICE_ROWS.min(batch.num_rows() - start)))
}

/// Arrow could not write what it made itself.
fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(error)
}
