//! Rows in memory for one run of Python, each column in one piece, as Arrow lays it out.
//!
//! Why not a stream of Arrow IPC: there a column is in as many pieces as there were batches. pandas wants one, so it copies
//! every value, and what works on columns of Arrow goes through all pieces each time. How long a column gets is known
//! only when the last row has come, so each of its buffers grows in a range of its own, in a file that takes no memory
//! for the room between them (`shirabe_wire::pieces`).
//!
//! ```text
//!  pieces: │ about │ columns' names and types, a stream of Arrow IPC without rows │ buffer │ buffer │ …
//!  about:  [{"rows": 2, "columns": [{"nulls": 0, "buffers": [null, 2]}, {"nulls": 1, "buffers": [3, 4, 5]}]}]
//! ```
//!
//! `about` is JSON and has one entry for each batch: there is one, unless a column has more text than offsets of its type
//! can count. Buffers are those of Arrow's columnar format, named by the numbers of their pieces; one without bytes is null.
//!
//! It must not know where rows come from, nor what a run is.

mod column;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use arrow_array::ArrayRef;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use serde::Serialize;
use shirabe_wire::memory;
use shirabe_wire::pieces::{self, PIECES_MAX, Piece};

use column::Column;

/// Addresses of one range. Memory is taken for what is written only.
const RANGE: u64 = 1 << 38;
/// Columns above which an input is better off as a stream: each piece is an area of memory by itself.
const COLUMNS_MAX: usize = 512;
/// Bytes of text that offsets of 4 bytes can count.
const TEXT_MAX: usize = i32::MAX as usize;
/// What comes before the buffers: what they are.
const ABOUT: usize = 2;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error("they take more than {0} bytes")]
    TooLarge(u64),
    #[error("there is no memory: {0}")]
    NoMemory(#[from] io::Error),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// Memory that holds rows and that nobody can change.
#[derive(Debug)]
pub struct Sealed {
    pub file: OwnedFd,
    /// Memory that it takes.
    pub byte_count: u64,
}

/// Rows on their way into memory.
#[derive(Debug)]
pub struct Columns {
    store: Store,
    schema: SchemaRef,
    open: Vec<Column>,
    open_rows: usize,
    text_max: usize,
    done: Vec<Batch>,
}

/// One batch, as `about` has it.
#[derive(Debug, Serialize)]
struct Batch {
    rows: usize,
    columns: Vec<Kept>,
}

/// One column of a batch, as `about` has it.
#[derive(Debug, Serialize)]
struct Kept {
    nulls: usize,
    buffers: Vec<Option<usize>>,
}

impl Columns {
    /// Whether rows of this schema can be kept like this.
    #[must_use]
    pub fn take(schema: &SchemaRef) -> bool {
        schema.fields().len() <= COLUMNS_MAX
            && schema.fields().iter().all(|field| Column::new(field.data_type()).is_some())
    }

    /// Room for rows of `schema`, which may take `byte_count_max`.
    ///
    /// # Errors
    /// `Arrow` for a schema that it does not take, `NoMemory`.
    pub fn new(schema: SchemaRef, byte_count_max: u64) -> Result<Self, Wrong> {
        let file = memory::empty("input")?;
        let open = columns(&schema)?;
        // The first range is for the head.
        let store = Store { file, ranges: 1, pieces: Vec::new(), byte_count: 0, byte_count_max };
        Ok(Self { store, schema, open, open_rows: 0, text_max: TEXT_MAX, done: Vec::new() })
    }

    /// Adds `rows` rows, an array for each column. Views of texts become texts.
    ///
    /// # Errors
    /// `TooLarge` when all rows together take more than they may; `NoMemory`; `Arrow` for rows of other types.
    pub fn append(&mut self, arrays: &[ArrayRef], rows: usize) -> Result<(), Wrong> {
        if rows == 0 {
            return Ok(());
        }
        let mut pairs = self.open.iter().zip(arrays);
        if !pairs.all(|(column, array)| column.has_room_for(array.as_ref(), self.text_max)) {
            if self.open_rows > 0 {
                self.close_batch()?;
                return self.append(arrays, rows);
            }
            let half = rows / 2;
            if half == 0 {
                let message = "a text is longer than 2 GiB".to_owned();
                return Err(ArrowError::InvalidArgumentError(message).into());
            }
            for (from, length) in [(0, half), (half, rows - half)] {
                let part: Vec<_> = arrays.iter().map(|array| array.slice(from, length)).collect();
                self.append(&part, length)?;
            }
            return Ok(());
        }
        for (column, array) in self.open.iter_mut().zip(arrays) {
            column.append(&mut self.store, array)?;
        }
        self.open_rows += rows;
        Ok(())
    }

    fn close_batch(&mut self) -> Result<(), Wrong> {
        let columns = std::mem::replace(&mut self.open, columns(&self.schema)?);
        let rows = std::mem::take(&mut self.open_rows);
        let kept = columns.into_iter().map(|column| column.finish(&mut self.store));
        self.done.push(Batch { rows, columns: kept.collect::<Result<_, _>>()? });
        Ok(())
    }

    /// The rows, which nobody can change any more.
    ///
    /// # Errors
    /// As [`Columns::append`].
    pub fn finish(mut self) -> Result<Sealed, Wrong> {
        if self.open_rows > 0 {
            self.close_batch()?;
        }
        let about = serde_json::to_vec(&self.done).map_err(io::Error::other)?;
        let types = StreamWriter::try_new(Vec::new(), &self.schema)?.into_inner()?;
        let mut pieces = Vec::with_capacity(ABOUT + self.store.pieces.len());
        for bytes in [about, types] {
            let mut range = self.store.range();
            self.store.write(&mut range, &bytes)?;
            pieces.push(range.piece());
        }
        pieces.append(&mut self.store.pieces);
        if pieces.len() > PIECES_MAX {
            return Err(ArrowError::InvalidArgumentError(format!("{} pieces", pieces.len())).into());
        }
        pieces::write_head(&self.store.file, &pieces)?;
        memory::seal(&self.store.file)?;
        let byte_count = memory::taken(&self.store.file)?;
        Ok(Sealed { file: self.store.file.into(), byte_count })
    }
}

fn columns(schema: &SchemaRef) -> Result<Vec<Column>, ArrowError> {
    let each = schema.fields().iter().map(|field| {
        let other = || ArrowError::NotYetImplemented(format!("a column of {}", field.data_type()));
        Column::new(field.data_type()).ok_or_else(other)
    });
    each.collect()
}

/// The file in which all lies.
#[derive(Debug)]
struct Store {
    file: File,
    /// Ranges that were given out.
    ranges: u64,
    /// Buffers that are complete.
    pieces: Vec<Piece>,
    byte_count: u64,
    byte_count_max: u64,
}

/// A buffer that grows.
#[derive(Debug)]
struct Range {
    from: u64,
    length: u64,
}

impl Range {
    fn piece(&self) -> Piece {
        Piece { from: self.from, length: self.length }
    }
}

impl Store {
    fn range(&mut self) -> Range {
        let from = self.ranges * RANGE;
        self.ranges += 1;
        Range { from, length: 0 }
    }

    fn write(&mut self, range: &mut Range, bytes: &[u8]) -> Result<(), Wrong> {
        self.byte_count = self.byte_count.saturating_add(bytes.len() as u64);
        if self.byte_count > self.byte_count_max {
            return Err(Wrong::TooLarge(self.byte_count_max));
        }
        self.file.write_all_at(bytes, range.from + range.length)?;
        range.length += bytes.len() as u64;
        Ok(())
    }

    /// The number of the piece that `range` is; none when nothing is in it.
    fn keep(&mut self, range: &Range) -> Option<usize> {
        if range.length == 0 {
            return None;
        }
        self.pieces.push(range.piece());
        Some(ABOUT + self.pieces.len() - 1)
    }
}

#[cfg(test)]
mod tests;
