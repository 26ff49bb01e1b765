//! A block of text cells: what CSV, NDJSON and XLSX all become before types are found or applied.

use std::cell::Cell;
use std::ops::Range;

use super::error::{BadKind, BadRow};

/// What the format says about a cell, beyond its text. CSV says nothing: all is `Plain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// No value, whatever the text.
    Null,
    Bool,
    Number,
    /// Written as text: `"5"` in JSON is not a number, though `"2024-01-05"` may be a date.
    Text,
    /// A JSON object or array.
    Nested,
}

/// Where a row stands in the text of its block and in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) line: u64,
    start: u32,
    end: u32,
}

/// Rows of `columns` cells each. A cell is a range of `text`, so no cell has an allocation of its own.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) text: String,
    pub(super) columns: usize,
    /// Row by row, `columns` for each.
    pub(super) fields: Vec<(u32, u32)>,
    /// Like `fields`, or empty when all are `Plain`.
    pub(super) kinds: Vec<Kind>,
    pub(super) rows: Vec<Row>,
}

/// A larger buffer is not worth keeping between chunks.
const SPARE_BYTES_MAX: usize = 32 << 20;

/// Places of cells and of rows.
type Room = (Vec<(u32, u32)>, Vec<Row>);

thread_local! {
    /// The places of the last block that this thread was done with. They are as large as its text, and to have fresh
    /// memory for every block was a tenth of an import: the system clears it first.
    static SPARE: Cell<Room> = const { Cell::new((Vec::new(), Vec::new())) };
}

impl Cells {
    /// No cells yet, with room of a block that was there before.
    pub(super) fn in_spare(columns: usize) -> Self {
        let (fields, rows) = SPARE.take();
        Self { columns, fields, rows, ..Self::default() }
    }

    /// Keeps the room for the next block on this thread.
    pub(super) fn leave_room(self) {
        let Self { mut fields, mut rows, .. } = self;
        if size_of_val(&fields[..]) + size_of_val(&rows[..]) <= SPARE_BYTES_MAX {
            fields.clear();
            rows.clear();
            SPARE.set((fields, rows));
        }
    }

    pub(super) fn push_row(&mut self, line: u64, start: usize, end: usize) {
        self.rows.push(Row { line, start: offset(start), end: offset(end) });
    }

    /// Where the cells of one column stand in `text`, row by row.
    #[inline]
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = Range<usize>> {
        self.fields.chunks_exact(self.columns.max(1)).map(move |row| {
            let (start, end) = row[column];
            start as usize..end as usize
        })
    }

    /// The cell's text.
    pub(super) fn get(&self, row: usize, column: usize) -> &str {
        let (start, end) = self.fields[row * self.columns + column];
        &self.text[start as usize..end as usize]
    }

    pub(super) fn kind(&self, row: usize, column: usize) -> Kind {
        self.kinds.get(row * self.columns + column).copied().unwrap_or(Kind::Plain)
    }

    /// The record as it stood in the file.
    pub(super) fn raw(&self, row: usize) -> &str {
        let Row { start, end, .. } = self.rows[row];
        &self.text[start as usize..end as usize]
    }

    pub(super) fn bad_row(&self, row: usize, kind: BadKind, reason: String) -> BadRow {
        BadRow::new(self.rows[row].line, kind, reason, self.raw(row).as_bytes())
    }
}

/// A place in a block. Blocks are bounded by the chunk and record limits, far below 4 GiB.
pub(super) fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The spellings of "no value", quick to look up: most cells differ from all of them in the first byte or in length.
#[derive(Debug, Clone)]
pub(super) struct NullSet {
    spellings: Vec<Vec<u8>>,
    empty: bool,
    length_max: usize,
    first: [bool; 256],
}

impl NullSet {
    pub(super) fn new(spellings: &[String]) -> Self {
        let mut first = [false; 256];
        for byte in spellings.iter().filter_map(|spelling| spelling.bytes().next()) {
            first[usize::from(byte)] = true;
        }
        Self {
            spellings: spellings.iter().map(|spelling| spelling.clone().into_bytes()).collect(),
            empty: spellings.iter().any(String::is_empty),
            length_max: spellings.iter().map(String::len).max().unwrap_or(0),
            first,
        }
    }

    #[inline]
    pub(super) fn has(&self, text: &[u8]) -> bool {
        match text.first() {
            None => self.empty,
            Some(byte) => {
                self.first[usize::from(*byte)]
                    && text.len() <= self.length_max
                    && self.spellings.iter().any(|spelling| spelling == text)
            }
        }
    }
}
