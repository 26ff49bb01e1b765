//! Rows that come over a connection: checked as those of a process here, message by message, and complete only when the
//! executor says so.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::StreamExt as _;

use super::frame::{Frames, Kind};
use super::output::{self, unreadable};
use super::remote::next;
use super::{Output, Rows};
use crate::checked_ipc::{BEGIN_BYTES, Messages};
use crate::error::{Error, Result};
use crate::tasks;

/// What is wrong with a result, and whether it was its author or the connection.
enum Wrong {
    Bytes(String),
    Connection(String),
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Bytes(reason)
    }
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Bytes(reason) => unreadable(reason),
            Wrong::Connection(reason) => Self::Unavailable {
                message: "the executor went away before its result was complete: try again".to_owned(),
                cause: Some(reason.into()),
            },
        }
    }
}

struct Incoming {
    frames: Frames,
    piece: Bytes,
    /// Of the result, as long as the executor says that it is.
    bytes_left: u64,
    rows_left: u64,
    messages: Messages,
}

/// The rows that follow in `frames`.
///
/// # Errors
/// What is wrong with their columns.
pub(super) async fn output(
    frames: Frames,
    row_count: u64,
    column_count: u64,
    byte_count: u64,
) -> Result<Output> {
    let messages = Messages::default();
    let mut incoming =
        Incoming { frames, piece: Bytes::new(), bytes_left: byte_count, rows_left: row_count, messages };
    let schema = incoming.columns(column_count).await?;
    let rows = incoming.rows(Arc::clone(&schema));
    Ok(Output::Rows { schema, row_count, rows })
}

impl Incoming {
    async fn columns(&mut self, column_count: u64) -> Result<SchemaRef, Wrong> {
        let (head, body) = self.message().await?.ok_or_else(|| "it has no columns".to_owned())?;
        let batch = self.messages.read(&head, &Buffer::from_vec(body))?;
        let schema = self.messages.schema().filter(|_| batch.is_none());
        let schema = output::plain(schema.ok_or_else(|| "it does not begin with its columns".to_owned())?)?;
        if schema.fields().len() as u64 != column_count {
            return Err(format!("it has {} columns, expected {column_count}", schema.fields().len()).into());
        }
        Ok(schema)
    }

    fn rows(self, schema: SchemaRef) -> Rows {
        let rows = futures::stream::unfold(Some(self), move |incoming| {
            let schema = Arc::clone(&schema);
            async move {
                match incoming?.batch(&schema).await {
                    Ok(Some((batch, incoming))) => Some((Ok(batch), Some(incoming))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        rows.boxed()
    }

    /// The next batch that has rows; none once all have come and the executor has said so.
    async fn batch(mut self, schema: &SchemaRef) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            let Some((head, body)) = self.message().await? else { return self.end().await.map(|()| None) };
            let schema = Arc::clone(schema);
            let read = tasks::blocking(move || {
                let batch = self.messages.read(&head, &Buffer::from_vec(body)).map_err(unreadable)?;
                let batch = batch.ok_or_else(|| unreadable("it names the columns again"))?;
                let batch = output::plain_batch(&schema, &batch).map_err(unreadable)?;
                Ok::<_, Error>((batch, self))
            });
            let (batch, incoming) = read.await?;
            self = incoming;
            let rows_left = self.rows_left.checked_sub(batch.num_rows() as u64);
            self.rows_left = rows_left.ok_or_else(|| unreadable("it has more rows than it says"))?;
            if batch.num_rows() > 0 {
                return Ok(Some((batch, self)));
            }
        }
    }

    /// The next message, with its body.
    async fn message(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>, Wrong> {
        if self.bytes_left == 0 {
            return Ok(None);
        }
        let begin = self.take(BEGIN_BYTES as u64).await?;
        let Some(length) = output::head_length(&begin, self.bytes_left)? else { return Ok(None) };
        let head = self.take(length).await?;
        let announced = output::announced(&head, self.bytes_left)?;
        let body = self.take(announced.body_bytes).await?;
        Ok(Some((head, body)))
    }

    async fn take(&mut self, length: u64) -> Result<Vec<u8>, Wrong> {
        self.bytes_left = self.bytes_left.checked_sub(length).ok_or_else(|| "it is cut off".to_owned())?;
        let length = usize::try_from(length).map_err(|_| "it is too long".to_owned())?;
        // What comes decides how much is taken, not what is announced.
        let mut bytes = Vec::new();
        while bytes.len() < length {
            if self.piece.is_empty() {
                self.piece = self.piece().await?;
            }
            let some = self.piece.len().min(length - bytes.len());
            bytes.extend_from_slice(&self.piece.split_to(some));
        }
        Ok(bytes)
    }

    async fn piece(&mut self) -> Result<Bytes, Wrong> {
        let frame = next(&mut self.frames).await.map_err(Wrong::Connection)?;
        match frame.kind {
            Kind::Piece => Ok(frame.payload),
            Kind::Whole => Err(Wrong::Connection("it says that all has come, and it has not".to_owned())),
            _ => Err(Wrong::Connection("it says what makes no sense".to_owned())),
        }
    }

    /// That nothing is missing, and nothing too much.
    async fn end(mut self) -> Result<()> {
        let frame = next(&mut self.frames).await.map_err(Wrong::Connection)?;
        let is_whole = frame.kind == Kind::Whole && self.piece.is_empty() && self.bytes_left == 0;
        if !is_whole {
            return Err(Wrong::Connection("its result is longer than it says".to_owned()).into());
        }
        match self.rows_left {
            0 => Ok(()),
            missing => Err(unreadable(format!("{missing} of its rows are missing"))),
        }
    }
}
