//! Messages of Arrow IPC that came out of a process in which other people's code ran: nothing in them is believed
//! before it was checked.
//!
//! Why not Arrow's own reader of streams: it waits for the next bytes before it hands out a batch that has none, asks
//! for as much memory as a message says that it needs, and panics where a message contradicts itself.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{self, Message, MessageHeader};

/// What a message begins with: a mark, and the length of its head.
pub const BEGIN_BYTES: usize = 8;
/// Rows of one batch. A column of nothing but NULL has no bytes that would limit it.
const ROWS_MAX: i64 = 1 << 24;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// How long the head of the message is that begins with `begin`; 0 at the end of a stream.
///
/// # Errors
/// When no message begins so.
pub fn head_length(begin: &[u8]) -> Result<u32, String> {
    let (mark, length) = begin.split_at_checked(4).ok_or("it is cut off")?;
    if mark != CONTINUATION {
        return Err("a message does not begin where it should".to_owned());
    }
    length.try_into().map(u32::from_le_bytes).map_err(|_| "it is cut off".to_owned())
}

/// What the head of a message says of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// How long what follows it is.
    pub body_bytes: u64,
    /// Rows, of a batch of rows.
    pub rows: Option<u64>,
}

/// Reads what `head` says of the rest.
///
/// # Errors
/// What is wrong with it.
pub fn announced(head: &[u8]) -> Result<Announced, String> {
    let message = ipc::root_as_message(head).map_err(|error| error.to_string())?;
    let body_bytes = u64::try_from(message.bodyLength()).map_err(|_| "a body has no length")?;
    let rows = match message.header_as_record_batch() {
        Some(batch) => Some(u64::try_from(batch.length()).map_err(|_| "a batch has no number of rows")?),
        None => None,
    };
    Ok(Announced { body_bytes, rows })
}

/// The messages of one stream, one after the other.
#[derive(Debug, Default)]
pub struct Messages {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Messages {
    /// The columns, once their message has been read.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    /// Takes in one message; the batch, if it is one. Nothing is read from these messages after one has failed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&mut self, head: &[u8], body: &Buffer) -> Result<Option<RecordBatch>, String> {
        // A reader of Arrow finds most of what is wrong and says so; for the rest it panics.
        let read = catch_unwind(AssertUnwindSafe(|| self.message(head, body)));
        read.unwrap_or_else(|_| Err("it cannot be read".to_owned()))
    }

    fn message(&mut self, head: &[u8], body: &Buffer) -> Result<Option<RecordBatch>, String> {
        let message = ipc::root_as_message(head).map_err(|error| error.to_string())?;
        match message.header_type() {
            MessageHeader::Schema => self.columns(&message).map(|()| None),
            MessageHeader::DictionaryBatch => self.dictionary(&message, body).map(|()| None),
            _ => self.rows(&message, body).map(Some),
        }
    }

    fn columns(&mut self, message: &Message<'_>) -> Result<(), String> {
        let schema = message.header_as_schema().ok_or("columns are not there")?;
        if schema.endianness() != ipc::Endianness::Little {
            return Err("its bytes are in another order".to_owned());
        }
        let schema = Arc::new(ipc::convert::fb_to_schema(schema));
        match self.schema.replace(schema) {
            None => Ok(()),
            Some(_) => Err("it names the columns again".to_owned()),
        }
    }

    fn dictionary(&mut self, message: &Message<'_>, body: &Buffer) -> Result<(), String> {
        let schema = self.schema.as_ref().ok_or("rows come before their columns")?;
        let dictionary = message.header_as_dictionary_batch().ok_or("a dictionary is not there")?;
        check(&dictionary.data().ok_or("a dictionary is empty")?, body)?;
        read_dictionary(body, dictionary, schema, &mut self.dictionaries, &message.version())
            .map_err(|error| error.to_string())
    }

    fn rows(&mut self, message: &Message<'_>, body: &Buffer) -> Result<RecordBatch, String> {
        let schema = self.schema.as_ref().ok_or("rows come before their columns")?;
        let batch = message.header_as_record_batch().ok_or("a message is of an unknown kind")?;
        check(&batch, body)?;
        let (schema, version) = (Arc::clone(schema), message.version());
        read_record_batch(body, batch, schema, &self.dictionaries, None, &version)
            .map_err(|error| error.to_string())
    }
}

/// Refuses what would make a reader ask for memory that nobody has: compressed buffers say themselves how long they
/// will be, and what does not lie where it should is copied, however often it is named.
fn check(batch: &ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), String> {
    if batch.compression().is_some() {
        return Err("a batch is compressed".to_owned());
    }
    if !(0..=ROWS_MAX).contains(&batch.length()) {
        return Err(format!("a batch has {} rows", batch.length()));
    }
    let lengths = batch.buffers().into_iter().flatten().map(ipc::Buffer::length);
    let named = lengths.map(|length| u64::try_from(length).unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    if named > body.len() as u64 {
        return Err("its columns are longer than it is".to_owned());
    }
    Ok(())
}
