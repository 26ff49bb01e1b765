//! What kind of file is this? Magic bytes first, then the name, then the text itself.

use std::io::{Cursor, Read};

use super::{
    contract::{Compression, Format, Terminator},
    encoding::{self, TextEncoding, byte_order_mark},
    error::DecodeError,
    grammar::Grammar,
    ipc,
    limits::DecodeLimits,
    options::ReadOptions,
    source::{self, Progress, Source},
    tokenise::split_record,
    utf16::{Faults, Utf16Reader},
};
use crate::file_name;

/// How much of the start of a file the detectors look at.
const SAMPLE_BYTES: u64 = 256 << 10;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// The first bytes of a file, decompressed.
pub(super) struct Sample {
    pub(super) format: Format,
    pub(super) compression: Compression,
    pub(super) bytes: Vec<u8>,
    /// The sample is the whole file.
    pub(super) at_end: bool,
}

/// Reads the sample and finds the format. An empty file has none.
pub(super) fn sample(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
) -> Result<Sample, DecodeError> {
    let mut magic = Vec::with_capacity(8);
    source.open()?.take(8).read_to_end(&mut magic)?;
    if magic.is_empty() {
        return Err(DecodeError::Empty);
    }
    let (compression, typed) = by_magic(&magic);
    if let Some(format) = typed {
        return Ok(Sample { format, compression, bytes: magic, at_end: false });
    }
    let (bytes, at_end) = read_at(source, compression, limits, 0)?;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if compression != Compression::None && by_magic(&bytes) != (Compression::None, None) {
        return Err(unknown(source, "only text can be read from inside gzip or zstd"));
    }
    let format = match options.format {
        Some(format) if format.is_typed() || format == Format::Xlsx => {
            return Err(source.malformed(format, "it does not begin as such a file does"));
        }
        Some(format) => format,
        None => text_format(source, &bytes)?,
    };
    Ok(Sample { format, compression, bytes, at_end })
}

/// Whether a file that begins with `head` is read here and there, not front to back.
pub fn needs_file(head: &[u8]) -> bool {
    by_magic(head).1.is_some()
}

fn by_magic(head: &[u8]) -> (Compression, Option<Format>) {
    let plain = |format| (Compression::None, Some(format));
    match head {
        [0x1F, 0x8B, ..] => (Compression::Gzip, None),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => (Compression::Zstd, None),
        [b'P', b'A', b'R', b'1', ..] => plain(Format::Parquet),
        [b'P', b'K', 3, 4, ..] => plain(Format::Xlsx),
        [0xFF, 0xFF, 0xFF, 0xFF, ..] => plain(Format::ArrowStream),
        _ if head.starts_with(ipc::FILE_MAGIC) => plain(Format::ArrowFile),
        _ => (Compression::None, None),
    }
}

fn text_format(source: &Source, bytes: &[u8]) -> Result<Format, DecodeError> {
    if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return Err(unknown(source, "workbooks of the old XLS format are not read; save it as XLSX or CSV"));
    }
    let is_utf16 = |encoding: TextEncoding| encoding.is_utf16();
    let utf16 = byte_order_mark(bytes)
        .map(|mark| mark.0)
        .or_else(|| encoding::find(bytes, false))
        .is_some_and(is_utf16);
    if bytes.contains(&0) && !utf16 {
        return Err(unknown(
            source,
            "it holds zero bytes, so it is no text, and no other format that is read",
        ));
    }
    let ending = file_name::ending(&source.name());
    let first = bytes
        .iter()
        .find(|byte| !matches!(byte, 0xEF | 0xBB | 0xBF | 0xFE | 0xFF | 0) && !byte.is_ascii_whitespace());
    Ok(match (ending.as_str(), first) {
        ("ndjson" | "jsonl" | "json", _) => Format::Ndjson,
        ("csv" | "tsv", _) => Format::Csv,
        (_, Some(b'{')) => Format::Ndjson,
        _ => Format::Csv,
    })
}

fn unknown(source: &Source, reason: &str) -> DecodeError {
    DecodeError::UnknownFormat { file: source.name(), reason: reason.to_owned() }
}

/// Decompressed bytes from `offset` on, and whether they reach the end of the file.
pub(super) fn read_at(
    source: &Source,
    compression: Compression,
    limits: &DecodeLimits,
    offset: u64,
) -> Result<(Vec<u8>, bool), DecodeError> {
    let failed = |error| source::from_io(error, source, Format::Csv);
    let mut reader = source::decompressed(source, compression, limits, &Progress::of(source)?)?;
    std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink()).map_err(failed)?;
    let mut bytes = Vec::new();
    reader.take(SAMPLE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let at_end = (bytes.len() as u64) < SAMPLE_BYTES;
    Ok((bytes, at_end))
}

/// The encoding of a sample, and whether a byte order mark says so.
pub(super) fn text_encoding(
    sample: &Sample,
    given: Option<TextEncoding>,
) -> Result<(TextEncoding, bool), DecodeError> {
    let utf16 = |encoding: &TextEncoding| encoding.is_utf16();
    match (byte_order_mark(&sample.bytes), given) {
        (Some((marked, _)), None) => Ok((marked, true)),
        (Some((marked, _)), Some(given)) if marked == given || (utf16(&marked) && utf16(&given)) => {
            Ok((marked, true))
        }
        (_, Some(given)) => Ok((given, false)),
        (None, None) => match encoding::find(&sample.bytes, sample.at_end) {
            Some(found) => Ok((found, false)),
            None => {
                let place = TextEncoding::Utf8.first_fault(&sample.bytes, true).unwrap_or(0);
                let line = 1 + sample.bytes[..place].iter().filter(|byte| **byte == b'\n').count() as u64;
                let reason =
                    "its encoding has to be named: the text is no UTF-8, UTF-16, Shift_JIS or EUC-JP"
                        .to_owned();
                Err(DecodeError::Encoding { offset: place as u64, line, reason })
            }
        },
    }
}

/// The sample as text, from its first character on. What is broken or cut off is U+FFFD.
pub(super) fn text(sample: &Sample, encoding: TextEncoding) -> String {
    let mark = byte_order_mark(&sample.bytes)
        .filter(|(marked, _)| *marked == encoding)
        .map_or(0, |(_, length)| length);
    let bytes = &sample.bytes[mark..];
    if !encoding.is_utf16() {
        return encoding.decode_lossy(bytes).into_owned();
    }
    let mut read = Vec::new();
    // Reading memory into memory cannot fail.
    let _ = Utf16Reader::new(Cursor::new(bytes), encoding, 0, Faults::default()).read_to_end(&mut read);
    String::from_utf8_lossy(&read).into_owned()
}

/// What ends the lines: judged by the first line end.
pub(super) fn terminator(text: &str) -> Terminator {
    match (text.find('\n'), text.find('\r')) {
        (Some(feed), Some(carriage)) if carriage + 1 == feed => Terminator::Crlf,
        (None, Some(_)) => Terminator::Cr,
        _ => Terminator::Lf,
    }
}

/// The records at the start of a text; the last one may be cut off and is left out unless it is alone.
pub(super) fn records(text: &str, grammar: Grammar, skip_lines: u64, count: usize) -> Vec<&str> {
    let mut rest = text;
    for _ in 0..skip_lines {
        rest = rest.split_once(char::from(grammar.terminator)).map_or("", |(_, rest)| rest);
    }
    let mut records = Vec::new();
    while !rest.is_empty() && records.len() < count {
        let (record, after) = rest.split_at(grammar.record(rest.as_bytes()));
        rest = after;
        if !record.trim_matches(['\r', '\n']).is_empty() && (!rest.is_empty() || records.len() < 2) {
            records.push(record);
        }
    }
    records
}

/// The delimiter that splits most records into the same number of fields, and into more than one.
pub(super) fn delimiter(text: &str, grammar: Grammar, skip_lines: u64) -> u8 {
    const RECORDS: usize = 200;
    let mut best = (b',', 0, 0);
    for delimiter in DELIMITERS {
        let grammar = Grammar { delimiter, ..grammar };
        let counts: Vec<usize> = records(text, grammar, skip_lines, RECORDS)
            .iter()
            .map(|record| split_record(record, grammar).len())
            .collect();
        let first = counts.first().copied().unwrap_or(1);
        let same = counts.iter().filter(|count| **count == first).count() * 100 / counts.len().max(1);
        if first > 1 && (same, first) > (best.1, best.2) {
            best = (delimiter, same, first);
        }
    }
    best.0
}
