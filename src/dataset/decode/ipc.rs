//! Arrow IPC, file and stream, as untrusted input.
//!
//! A file is a stream between two magic words and a footer, so both are read as a stream: a footer that lies then has
//! nobody to lie to. Before the reader of the arrow crate sees a message, its lengths are checked, because it allocates
//! what they say.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use arrow::{
    datatypes::SchemaRef,
    ipc::{Message, RecordBatch as BatchHeader, reader::StreamReader, root_as_message},
    record_batch::RecordBatch,
};

use super::{
    contract::Format,
    error::{DecodeError, LimitName},
    limits::DecodeLimits,
    source::{Counted, Progress, ReadSeek, Source},
    typed,
};

pub(super) const FILE_MAGIC: &[u8] = b"ARROW1\0\0";
const CONTINUATION: u32 = u32::MAX;
const MESSAGE_HEADER_BYTES_MAX: u64 = 16 << 20;
/// Of one batch, decompressed. The format gives a reader no way to take a part of one.
const BATCH_BYTES_MAX: u64 = 1 << 30;
/// A column of nulls or of one long run has any number of rows in no bytes.
const BATCH_ROWS_MAX: i64 = 1 << 24;

pub(super) struct IpcBatches {
    source: Source,
    format: Format,
    limits: DecodeLimits,
    reader: StreamReader<BufReader<Counted<Box<dyn ReadSeek>>>>,
    schema: SchemaRef,
    ready: std::vec::IntoIter<RecordBatch>,
    batch: usize,
}

impl IpcBatches {
    /// Checks all frames and reads the schema. The warnings tell which columns were renamed.
    pub(super) fn open(
        source: &Source,
        format: Format,
        limits: &DecodeLimits,
        progress: &Progress,
    ) -> Result<(Self, Vec<String>), DecodeError> {
        let start = if format == Format::ArrowFile { first_message(source)? } else { 0 };
        let checked = typed::guarded(source, format, "frames", || check_frames(source, start))?;
        if let Some(reason) = checked {
            return Err(DecodeError::OverLimit { what: LimitName::BatchBytes, reason });
        }
        let mut input = source.open()?;
        input.seek(SeekFrom::Start(start))?;
        let counted = BufReader::new(Counted { inner: input, progress: progress.clone() });
        let reader = typed::guarded(source, format, "schema", || StreamReader::try_new(counted, None))?;
        let (schema, warnings) = typed::plain_schema(&reader.schema(), limits)?;
        let (source, limits) = (source.clone(), limits.clone());
        Ok((
            Self { source, format, limits, reader, schema, ready: Vec::new().into_iter(), batch: 0 },
            warnings,
        ))
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Ok(Some(batch));
            }
            let place = format!("batch {}", self.batch);
            let reader = &mut self.reader;
            let Some(batch) =
                typed::guarded(&self.source, self.format, &place, || reader.next().transpose())?
            else {
                return Ok(None);
            };
            let plain = || Ok::<_, String>(typed::plain_batches(&batch, &self.schema, &self.limits));
            self.ready = match typed::guarded(&self.source, self.format, &place, plain)? {
                Ok(batches) => batches.into_iter(),
                Err(error @ DecodeError::OverLimit { .. }) => return Err(error),
                Err(error) => return Err(self.source.malformed(self.format, format!("{place}: {error}"))),
            };
            self.batch += 1;
        }
    }
}

/// Where the stream inside a file begins: writers pad the magic word to 8 or to 64 bytes.
fn first_message(source: &Source) -> io::Result<u64> {
    let mut head = Vec::with_capacity(128);
    source.open()?.take(128).read_to_end(&mut head)?;
    let padding = head.iter().skip(FILE_MAGIC.len()).take_while(|byte| **byte == 0).count();
    Ok((FILE_MAGIC.len() + padding / 8 * 8) as u64)
}

/// Walks over the messages. `Some` tells which limit one of them is over.
fn check_frames(source: &Source, start: u64) -> io::Result<Option<String>> {
    let size = source.size()?;
    let mut input = BufReader::new(source.open()?);
    let mut at = input.seek(SeekFrom::Start(start))?;
    let outside = |what: &str| io::Error::other(format!("{what} reaches beyond the end of the file"));
    while let Some(word) = read_word(&mut input)? {
        // Before version 0.15 of Arrow the length came without the continuation word.
        let (length, head) =
            if word == CONTINUATION { (read_word(&mut input)?.unwrap_or(0), 8) } else { (word, 4) };
        let length = u64::from(length);
        if length == 0 {
            break;
        }
        at += head;
        if length > MESSAGE_HEADER_BYTES_MAX || at + length > size {
            return Err(outside("a message header"));
        }
        let mut header = vec![0; usize::try_from(length).unwrap_or(0)];
        input.read_exact(&mut header)?;
        at += length;
        let message = root_as_message(&header).map_err(|error| io::Error::other(error.to_string()))?;
        let body = u64::try_from(message.bodyLength()).map_err(io::Error::other)?;
        if body > size - at {
            return Err(outside("a message body"));
        }
        if let Some(reason) = over_limit(&message, &mut input, at, body)? {
            return Ok(Some(reason));
        }
        at = input.seek(SeekFrom::Start(at + body))?;
    }
    Ok(None)
}

fn read_word(input: &mut impl Read) -> io::Result<Option<u32>> {
    let mut word = [0; 4];
    match input.read_exact(&mut word) {
        Ok(()) => Ok(Some(u32::from_le_bytes(word))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn over_limit(
    message: &Message<'_>,
    input: &mut (impl Read + Seek),
    body: u64,
    length: u64,
) -> io::Result<Option<String>> {
    let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
    let Some(batch) = batch else { return Ok(None) };
    if batch.length() > BATCH_ROWS_MAX {
        return Ok(Some(format!(
            "expected at most {BATCH_ROWS_MAX} rows in a batch, got {}",
            batch.length()
        )));
    }
    let bytes = decompressed_bytes(&batch, input, body, length)?;
    let over = || format!("expected at most {BATCH_BYTES_MAX} bytes in a batch, got {bytes}");
    Ok((bytes > BATCH_BYTES_MAX).then(over))
}

/// What the buffers of a batch say they take. Each compressed one begins with its length.
fn decompressed_bytes(
    batch: &BatchHeader<'_>,
    input: &mut (impl Read + Seek),
    body: u64,
    body_length: u64,
) -> io::Result<u64> {
    if batch.compression().is_none() {
        return Ok(body_length);
    }
    let mut sum = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (Ok(offset), Ok(length)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length()))
        else {
            return Err(io::Error::other("a buffer lies before its message"));
        };
        if offset.checked_add(length).is_none_or(|end| end > body_length) {
            return Err(io::Error::other("a buffer lies outside its message"));
        }
        if length >= 8 {
            input.seek(SeekFrom::Start(body + offset))?;
            let mut prefix = [0; 8];
            input.read_exact(&mut prefix)?;
            // -1 stands for a buffer that is not compressed.
            sum = sum.saturating_add(u64::try_from(i64::from_le_bytes(prefix)).unwrap_or(length));
        }
    }
    Ok(sum)
}
