//! Rows on their way in: plain Arrow, in memory that nobody can change any more.
//!
//! ```text
//!  rows ─▶ plain types ─┬▶ columns, each in one piece (`shirabe-columns`) ─▶ a process of this machine
//!                       └▶ a stream of Arrow IPC ─▶ an executor at an address, and what columns cannot be one piece of
//! ```

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::writer::StreamEncoder;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use shirabe_columns::{Columns, Wrong};
use shirabe_wire::memory;
use tokio::sync::mpsc;

use super::Rows;
use crate::error::{Error, Result};
use crate::tasks;

/// Pieces, or batches, that wait to be written.
const AHEAD: usize = 4;

/// A stream of Arrow IPC in pieces.
pub(super) type Pieces = BoxStream<'static, Result<Bytes>>;

/// What a run is given.
pub(super) enum Content {
    Rows(SchemaRef, Rows),
    Pieces(Pieces),
}

impl Content {
    /// Rows of a dataset.
    pub(super) fn new(schema: &SchemaRef, rows: Rows) -> Self {
        Self::Rows(plain_schema(schema), rows)
    }

    /// The same, as a stream if its columns are more than `columns_left`, of which they are taken off.
    pub(super) fn within(self, columns_left: &mut usize) -> Result<Self> {
        match &self {
            Self::Rows(schema, _) => match columns_left.checked_sub(schema.fields().len()) {
                Some(left) => *columns_left = left,
                None => return self.into_pieces().map(Self::Pieces),
            },
            Self::Pieces(_) => {}
        }
        Ok(self)
    }

    /// Whether its form depends on its types alone, so that others may be given it too.
    pub(super) fn is_as_for_all(&self) -> bool {
        matches!(self, Self::Rows(..))
    }

    /// For an executor at an address.
    pub(super) fn into_pieces(self) -> Result<Pieces> {
        match self {
            Self::Rows(schema, rows) => encoded(schema, rows),
            Self::Pieces(pieces) => Ok(pieces),
        }
    }
}

/// `rows` as Arrow IPC of `schema`.
fn encoded(schema: SchemaRef, rows: Rows) -> Result<Pieces> {
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
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| plain_column(field, column)).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(internal)
}

fn plain_column(field: &Field, column: &ArrayRef) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    cast(column, field.data_type()).map_err(|cause| {
        Error::OverLimit(format!("column `{}` cannot be handed to Python: {cause}", field.name()))
    })
}

/// As Python is to see them: pandas would make another type of a dictionary, and has functions that take no views.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()))
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

/// Writes `content` into memory, at most `bytes_max` of it.
///
/// # Errors
/// `OverLimit` when there is more, or what the rows fail with.
pub(super) async fn sealed(content: Content, bytes_max: u64) -> Result<Sealed> {
    match content {
        Content::Rows(schema, rows) if Columns::take(&schema) => {
            fed(rows, move |rows| write_columns(&schema, rows, bytes_max)).await
        }
        content => fed(content.into_pieces()?, move |pieces| write(pieces, bytes_max)).await,
    }
}

/// What `write` makes of all `items`, on a thread of its own.
async fn fed<T: Send + 'static>(
    mut items: BoxStream<'static, Result<T>>,
    write: impl FnOnce(mpsc::Receiver<T>) -> Result<Sealed> + Send + 'static,
) -> Result<Sealed> {
    let (send, receive) = mpsc::channel(AHEAD);
    let fed = async move {
        while let Some(item) = items.next().await {
            // Whoever writes has failed, and says why.
            if send.send(item?).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let (sealed, ()) = tokio::try_join!(tasks::blocking(move || write(receive)), fed)?;
    Ok(sealed)
}

fn no_memory(cause: std::io::Error) -> Error {
    Error::Unavailable {
        message: format!("there is no memory for the inputs of a run: {cause}"),
        cause: Some(Box::new(cause)),
    }
}

pub(super) fn too_large(bytes_max: u64) -> Error {
    Error::OverLimit(format!(
        "the inputs take more memory than a run may have for them ({} MiB): ask for fewer columns, or for fewer rows \
         by a filter",
        bytes_max >> 20
    ))
}

fn write_columns(
    schema: &SchemaRef,
    mut rows: mpsc::Receiver<RecordBatch>,
    bytes_max: u64,
) -> Result<Sealed> {
    let wrong = |wrong| match wrong {
        Wrong::TooLarge(_) => too_large(bytes_max),
        Wrong::NoMemory(cause) => no_memory(cause),
        Wrong::Arrow(cause) => Error::OverLimit(format!("the inputs cannot be handed to Python: {cause}")),
    };
    let mut columns = Columns::new(Arc::clone(schema), bytes_max).map_err(wrong)?;
    while let Some(batch) = rows.blocking_recv() {
        let arrays = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
            // It copies their texts, and a cast would do so once more.
            match column.data_type() {
                DataType::Utf8View | DataType::BinaryView => Ok(Arc::clone(column)),
                _ => plain_column(field, column),
            }
        });
        columns.append(&arrays.collect::<Result<Vec<_>>>()?, batch.num_rows()).map_err(wrong)?;
    }
    let shirabe_columns::Sealed { file, byte_count } = columns.finish().map_err(wrong)?;
    Ok(Sealed { file, byte_count })
}

fn write(mut pieces: mpsc::Receiver<Bytes>, bytes_max: u64) -> Result<Sealed> {
    let mut file: File = memory::empty("input").map_err(no_memory)?;
    let mut byte_count = 0;
    while let Some(piece) = pieces.blocking_recv() {
        byte_count += piece.len() as u64;
        if byte_count > bytes_max {
            return Err(too_large(bytes_max));
        }
        file.write_all(&piece).map_err(no_memory)?;
    }
    memory::seal(&file).map_err(no_memory)?;
    Ok(Sealed { file: file.into(), byte_count })
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, NullArray, StringViewArray};
    use arrow::datatypes::Int32Type;
    use shirabe_wire::pieces;

    use super::*;

    fn content(columns: Vec<(&str, ArrayRef)>) -> Content {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        );
        let batch = batch.unwrap();
        Content::new(&batch.schema(), stream::iter([Ok(batch)]).boxed())
    }

    fn two() -> Content {
        let names: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        content(vec![("n", Arc::new(Int64Array::from(vec![1, 2, 3]))), ("s", Arc::new(names))])
    }

    async fn pieces_of(content: Content) -> usize {
        pieces::read(sealed(content, 1 << 20).await.unwrap().file).unwrap().len()
    }

    #[tokio::test]
    async fn columns_are_pieces_until_there_are_too_many() {
        let mut left = 3;
        // What they are, their types, numbers, offsets and texts.
        assert_eq!(pieces_of(two().within(&mut left).unwrap()).await, 5);
        assert_eq!(left, 1);
        assert_eq!(pieces_of(two().within(&mut left).unwrap()).await, 1, "a stream");
        assert_eq!(left, 1);
        let nothing: ArrayRef = Arc::new(NullArray::new(3));
        assert_eq!(pieces_of(content(vec![("x", nothing)])).await, 1, "a type that has no buffers");
    }

    #[tokio::test]
    async fn inputs_that_are_too_large_are_refused_either_way() {
        let text = || {
            let text: ArrayRef = Arc::new(StringViewArray::from(vec!["x".repeat(100_000)]));
            content(vec![("s", text)])
        };
        for content in [text(), Content::Pieces(text().into_pieces().unwrap())] {
            let error = sealed(content, 50_000).await.unwrap_err().to_string();
            assert!(error.contains("ask for fewer columns"), "{error}");
        }
    }
}
