//! Rows on their way in: plain Arrow IPC, in memory that nobody can change any more.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::writer::StreamEncoder;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use shirabe_wire::memory;
use tokio::sync::mpsc;

use super::Rows;
use crate::error::{Error, Result};
use crate::tasks;

/// Pieces that wait to be written.
const PIECES_AHEAD: usize = 4;

/// A stream of Arrow IPC in pieces.
pub(super) type Pieces = BoxStream<'static, Result<Bytes>>;

/// `rows` as Arrow IPC. Arrays are plain: pandas would make another type of a dictionary, and has functions that take no
/// views.
pub(super) fn encoded(schema: &SchemaRef, rows: Rows) -> Result<Pieces> {
    let schema = Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()));
    let encoder = StreamEncoder::try_new(&schema).map_err(|cause| {
        Error::NotSupported(format!("a column of the inputs cannot be handed to Python: {cause}"))
    })?;
    let pieces = stream::unfold(Some((encoder, rows)), move |state| {
        let schema = Arc::clone(&schema);
        async move {
            let (mut encoder, mut rows) = state?;
            match rows.next().await {
                Some(Ok(batch)) => {
                    let pieces =
                        plain(&schema, &batch).and_then(|batch| encoder.encode(&batch).map_err(internal));
                    Some((pieces, Some((encoder, rows))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None => Some((encoder.finish().map_err(internal), None)),
            }
        }
    });
    let pieces = pieces.map_ok(|buffers| stream::iter(buffers.into_iter().map(|buffer| Ok(shared(buffer)))));
    Ok(pieces.try_flatten().boxed())
}

fn internal(cause: arrow::error::ArrowError) -> Error {
    Error::internal(cause)
}

fn shared(buffer: Buffer) -> Bytes {
    struct Shared(Buffer);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            self.0.as_slice()
        }
    }
    Bytes::from_owner(Shared(buffer))
}

/// `batch` with arrays of the types of `schema`.
fn plain(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast(column, field.data_type()).map_err(|cause| {
            Error::OverLimit(format!("column `{}` cannot be handed to Python: {cause}", field.name()))
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(internal)
}

/// Metadata is left out: what it says is for our own readers.
fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()))
}

fn plain_type(data_type: &DataType) -> DataType {
    use DataType as T;
    match data_type {
        T::Utf8View => T::Utf8,
        T::BinaryView => T::Binary,
        T::Dictionary(_, values) => plain_type(values),
        T::RunEndEncoded(_, values) => plain_type(values.data_type()),
        T::List(field) | T::ListView(field) => T::List(plain_field(field)),
        T::LargeList(field) | T::LargeListView(field) => T::LargeList(plain_field(field)),
        T::FixedSizeList(field, size) => T::FixedSizeList(plain_field(field), *size),
        T::Struct(fields) => T::Struct(fields.iter().map(plain_field).collect()),
        T::Map(entries, sorted) => T::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}

/// An input that is there.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) file: OwnedFd,
    pub(super) byte_count: u64,
}

/// Writes `pieces` into memory, at most `bytes_max` of them.
///
/// # Errors
/// `OverLimit` when there are more, or what the pieces fail with.
pub(super) async fn sealed(mut pieces: Pieces, bytes_max: u64) -> Result<Sealed> {
    let (send, receive) = mpsc::channel(PIECES_AHEAD);
    let fed = async move {
        while let Some(piece) = pieces.next().await {
            // Whoever writes has failed, and says why.
            if send.send(piece?).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let written = tasks::blocking(move || write(receive, bytes_max));
    let (sealed, ()) = tokio::try_join!(written, fed)?;
    Ok(sealed)
}

fn write(mut pieces: mpsc::Receiver<Bytes>, bytes_max: u64) -> Result<Sealed> {
    let no_memory = |cause: std::io::Error| Error::Unavailable {
        message: format!("there is no memory for the inputs of a run: {cause}"),
        cause: Some(Box::new(cause)),
    };
    let mut file: File = memory::empty("input").map_err(no_memory)?;
    let mut byte_count = 0;
    while let Some(piece) = pieces.blocking_recv() {
        byte_count += piece.len() as u64;
        if byte_count > bytes_max {
            return Err(Error::OverLimit(format!(
                "the inputs take more memory than a run may have for them ({} MiB): ask for fewer columns, \
                 or for fewer rows by a filter",
                bytes_max >> 20
            )));
        }
        file.write_all(&piece).map_err(no_memory)?;
    }
    memory::seal(&file).map_err(no_memory)?;
    Ok(Sealed { file: file.into(), byte_count })
}
