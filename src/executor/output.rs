//! Rows on their way out: read from sealed memory, each message checked before anything is made of it.
//!
//! The memory was written by a process in which user code ran. It is dead and the memory is sealed, so what was found
//! once stays; but no length, count, type or offset in it is believed.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::buffer::Buffer;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Field, Schema,
    SchemaRef, validate_decimal_precision_and_scale,
};
use futures::StreamExt as _;
use shirabe_wire::host;

use super::Rows;
use super::admission::Slot;
use crate::checked_ipc::{self, Announced, BEGIN_BYTES, Messages};
use crate::error::{Error, Result};
use crate::limits::{COLUMNS_MAX, NAME_BYTES_MAX};
use crate::tasks;

const EARLY_ROWS: &str = "rows come before their columns";

/// The longest head of a message: that of a batch with as many columns as a dataset may have.
const HEAD_BYTES_MAX: u32 = 16 << 20;
/// The longest message. Ours are a fraction of it, unless a single row is longer.
pub(super) const MESSAGE_BYTES_MAX: u64 = 256 << 20;
/// Messages of one result: what has more was not written by us.
const MESSAGES_MAX: usize = 1 << 20;

/// A result that was looked through.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) schema: SchemaRef,
    pub(super) row_count: u64,
    reader: Reader,
}

/// Looks through the heads of all messages, and compares what is there with what the run says of it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(left: host::Rows) -> Result<Checked, String> {
    let mut heads = Reader::new(left.stream.into(), left.byte_count);
    let mut row_count = 0_u64;
    let mut schema = None;
    for count in 0.. {
        let Some(message) = heads.next()? else { break };
        if count == MESSAGES_MAX {
            return Err("it has too many parts".to_owned());
        }
        match (message.announced.rows, &schema) {
            (None, None) => {
                heads.messages.read(&message.head, &Buffer::from_vec(Vec::<u8>::new()))?;
                schema = Some(plain(heads.messages.schema().ok_or(EARLY_ROWS)?)?);
            }
            (None, Some(_)) => return Err("it has a part that is neither columns nor rows".to_owned()),
            (Some(_), None) => return Err(EARLY_ROWS.to_owned()),
            (Some(rows), Some(_)) => row_count = row_count.saturating_add(rows),
        }
    }
    let schema = schema.ok_or("it has no columns")?;
    if (row_count, schema.fields().len() as u64) != (left.row_count, left.column_count) {
        return Err(format!(
            "it has {row_count} rows of {} columns, and the run says {} of {}",
            schema.fields().len(),
            left.row_count,
            left.column_count
        ));
    }
    Ok(Checked { schema, row_count, reader: Reader::new(heads.file, heads.end) })
}

impl Checked {
    /// The bytes, as they were looked through.
    pub(super) fn into_bytes(self) -> (File, u64) {
        (self.reader.file, self.reader.end)
    }

    /// The rows, and `slot` until they are read.
    pub(super) fn rows(self, slot: Slot) -> Rows {
        let Self { schema, reader, .. } = self;
        let rows = futures::stream::unfold(Some((reader, slot)), move |state| {
            let schema = Arc::clone(&schema);
            async move {
                let (mut reader, slot) = state?;
                let read = tasks::blocking(move || {
                    let batch = reader.next_batch(&schema).map_err(unreadable)?;
                    Ok::<_, Error>((batch, reader))
                });
                match read.await {
                    Ok((Some(batch), reader)) => Some((Ok(batch), Some((reader, slot)))),
                    Ok((None, _)) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        rows.boxed()
    }
}

/// The error of a result that is not what it should be.
pub(super) fn unreadable(reason: impl std::fmt::Display) -> Error {
    Error::Execution {
        message: format!("the result cannot be read: {reason}"),
        details: serde_json::json!({ "kind": "BadOutput" }),
    }
}

/// The length of the head that follows `begin`, when `bytes_left` are left behind it; `None` at the end.
pub(super) fn head_length(begin: &[u8], bytes_left: u64) -> Result<Option<u64>, String> {
    match checked_ipc::head_length(begin)? {
        0 if bytes_left > 0 => Err("it goes on after its end".to_owned()),
        0 => Ok(None),
        length if length > HEAD_BYTES_MAX => Err("a head is too long".to_owned()),
        length => Ok(Some(u64::from(length))),
    }
}

/// What `head` says of what follows it, when `bytes_left` are left behind it.
pub(super) fn announced(head: &[u8], bytes_left: u64) -> Result<Announced, String> {
    let announced = checked_ipc::announced(head)?;
    if announced.body_bytes > bytes_left {
        return Err("it is cut off".to_owned());
    }
    if announced.body_bytes > MESSAGE_BYTES_MAX {
        return Err(format!("a part is larger than {} MiB", MESSAGE_BYTES_MAX >> 20));
    }
    Ok(announced)
}

/// A message whose rest was not read.
struct Head {
    head: Vec<u8>,
    announced: Announced,
    body_at: u64,
}

#[derive(Debug)]
struct Reader {
    file: File,
    at: u64,
    end: u64,
    messages: Messages,
}

impl Reader {
    fn new(file: File, byte_count: u64) -> Self {
        Self { file, at: 0, end: byte_count, messages: Messages::default() }
    }

    /// The head of the next message, and steps over the rest.
    fn next(&mut self) -> Result<Option<Head>, String> {
        if self.at == self.end {
            return Ok(None);
        }
        let begin = self.read(BEGIN_BYTES as u64)?;
        let Some(length) = head_length(&begin, self.end - self.at)? else { return Ok(None) };
        let head = self.read(length)?;
        let announced = announced(&head, self.end - self.at)?;
        let body_at = self.at;
        self.at += announced.body_bytes;
        Ok(Some(Head { head, announced, body_at }))
    }

    /// The next batch that has rows, with the columns of `schema`.
    fn next_batch(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>, String> {
        while let Some(message) = self.next()? {
            let body = self.bytes(message.body_at, message.announced.body_bytes)?;
            let batch = self.messages.read(&message.head, &Buffer::from_vec(body))?;
            let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) else { continue };
            return plain_batch(schema, &batch).map(Some);
        }
        Ok(None)
    }

    fn read(&mut self, length: u64) -> Result<Vec<u8>, String> {
        if length > self.end - self.at {
            return Err("it is cut off".to_owned());
        }
        let bytes = self.bytes(self.at, length)?;
        self.at += length;
        Ok(bytes)
    }

    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| "it is too long")?];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// `batch` with the columns of `schema`, which is the plain form of its own.
pub(super) fn plain_batch(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, String> {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(|error| error.to_string())
}

/// The columns as a dataset may have them. What the schema says beyond names and types is left out, also that there is
/// no NULL.
pub(super) fn plain(schema: &Schema) -> Result<SchemaRef, String> {
    let fields = schema.fields();
    if fields.is_empty() || fields.len() > COLUMNS_MAX {
        return Err(format!("it has {} columns, expected 1 to {COLUMNS_MAX}", fields.len()));
    }
    let mut names = HashSet::new();
    for field in fields {
        let name = field.name();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "a column has a name of {} bytes, expected 1 to {NAME_BYTES_MAX}",
                name.len()
            ));
        }
        if !names.insert(name) {
            return Err(format!("two columns are called `{name}`"));
        }
        if !is_plain(field.data_type()) {
            return Err(format!("column `{name}` is of the type `{}`", field.data_type()));
        }
    }
    let plain = fields.iter().map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Ok(Arc::new(Schema::new(plain.collect::<Vec<_>>())))
}

/// Types whose rows each take at least a bit, so that the bytes bound the rows, and that nest nothing.
fn is_plain(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Boolean | T::Utf8 | T::LargeUtf8 | T::Binary | T::LargeBinary | T::Date32 | T::Date64 => true,
        T::Float32 | T::Float64 | T::Time32(_) | T::Time64(_) | T::Timestamp(_, None) => true,
        T::Decimal32(precision, scale) => fits::<Decimal32Type>(*precision, *scale),
        T::Decimal64(precision, scale) => fits::<Decimal64Type>(*precision, *scale),
        T::Decimal128(precision, scale) => fits::<Decimal128Type>(*precision, *scale),
        T::Decimal256(precision, scale) => fits::<Decimal256Type>(*precision, *scale),
        T::Timestamp(_, Some(zone)) => zone.parse::<Tz>().is_ok(),
        T::FixedSizeBinary(bytes) => *bytes > 0,
        other => other.is_integer(),
    }
}

fn fits<T: DecimalType>(precision: u8, scale: i8) -> bool {
    validate_decimal_precision_and_scale::<T>(precision, scale).is_ok()
}
