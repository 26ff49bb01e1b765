//! What can go wrong while a file is read, and what a row that cannot be read looks like.

use std::io;

use super::contract::Format;

/// A file that cannot be read, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the file is empty")]
    Empty,
    /// Offsets count bytes of the (decompressed) file from 0, lines from 1.
    #[error("Encoding error: {reason} at byte {offset}, line {line}")]
    Encoding { offset: u64, line: u64, reason: String },
    #[error("{} parse error: line {line}: {reason}", format.title())]
    Row { format: Format, line: u64, column: Option<String>, reason: String },
    #[error("{what} is over the limit: {reason}")]
    OverLimit { what: LimitName, reason: String },
    /// The bytes are not what the format says; nothing of the file can be trusted.
    #[error("`{file}` is not a readable {} file: {reason}", format.title())]
    Malformed { format: Format, file: String, reason: String },
    #[error("the format of `{file}` is unknown: {reason}")]
    UnknownFormat { file: String, reason: String },
    /// What the user asked for cannot be had from this file, or from any.
    #[error("option `{option}`: {reason}")]
    BadOption { option: &'static str, reason: String },
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
}

/// The limits that a file can run into, each with its own name in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitName {
    FieldBytes,
    RecordBytes,
    Columns,
    DecompressedRatio,
    DecompressedBytes,
    BatchBytes,
}

impl std::fmt::Display for LimitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FieldBytes => "the length of a field",
            Self::RecordBytes => "the length of a row",
            Self::Columns => "the number of columns",
            Self::DecompressedRatio => "the compression ratio",
            Self::DecompressedBytes => "the decompressed size",
            Self::BatchBytes => "the size of a block",
        })
    }
}

/// How a row was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKind {
    /// Another number of fields than the header has.
    Ragged,
    Quote,
    /// Bytes that the encoding does not have; `offset` is that of the first one in the decompressed file.
    Encoding {
        offset: u64,
    },
    TooLong(LimitName),
    Json,
    /// A value that does not fit the fixed type of its column.
    Value,
}

/// A row that was left out, as the quarantine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Counted from 1, in the whole file; for a sheet, the number of its row.
    pub line: u64,
    /// Counted from 1, when one column is to blame.
    pub column: Option<usize>,
    pub column_name: Option<String>,
    pub kind: BadKind,
    pub reason: String,
    /// The record as it stands in the file, at most [`RAW_BYTES_MAX`] bytes of it.
    pub raw: String,
}

/// How much of a bad row is kept.
pub const RAW_BYTES_MAX: usize = 4096;

impl BadRow {
    pub(super) fn new(line: u64, kind: BadKind, reason: String, raw: &[u8]) -> Self {
        Self { line, column: None, column_name: None, kind, reason, raw: clip(raw) }
    }

    /// The error of an import that accepts no bad rows.
    pub fn into_error(self, format: Format) -> DecodeError {
        match self.kind {
            BadKind::Encoding { offset } => {
                DecodeError::Encoding { offset, line: self.line, reason: self.reason }
            }
            BadKind::TooLong(what) => {
                DecodeError::OverLimit { what, reason: format!("line {}: {}", self.line, self.reason) }
            }
            BadKind::Ragged | BadKind::Quote | BadKind::Json | BadKind::Value => {
                DecodeError::Row { format, line: self.line, column: self.column_name, reason: self.reason }
            }
        }
    }
}

/// At most [`RAW_BYTES_MAX`] bytes, without the line end, with U+FFFD for what is not UTF-8.
fn clip(raw: &[u8]) -> String {
    let end = raw.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let mut text = String::from_utf8_lossy(&raw[..end.min(RAW_BYTES_MAX)]).into_owned();
    if end > RAW_BYTES_MAX {
        while text.len() > RAW_BYTES_MAX - '…'.len_utf8() {
            text.pop();
        }
        text.push('…');
    }
    text
}
