//! Cuts a stream of text into chunks of whole records. Runs on one thread, so it does as little as it can:
//! it looks for quotes and line ends and copies only the cut-off tail.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};

use super::{
    error::{BadKind, BadRow, LimitName},
    grammar::Grammar,
};

/// Whole records, and the rows that were found wrong while looking for them.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Of the first byte, in the stream that is read.
    pub(super) offset: u64,
    pub(super) line: u64,
    pub(super) bad: Vec<BadRow>,
}

#[derive(Debug)]
pub(super) struct Cutter<R> {
    input: R,
    grammar: Grammar,
    chunk_bytes: usize,
    record_bytes: usize,
    /// Starts with a record.
    buffer: Vec<u8>,
    offset: u64,
    line: u64,
    at_end: bool,
    bad: Vec<BadRow>,
}

impl<R: Read> Cutter<R> {
    /// `offset` is that of the first byte of `input`; the first line is 1.
    pub(super) fn new(
        input: R,
        grammar: Grammar,
        offset: u64,
        chunk_bytes: usize,
        record_bytes: usize,
    ) -> Self {
        let buffer = Vec::with_capacity(chunk_bytes);
        Self {
            input,
            grammar,
            chunk_bytes,
            record_bytes,
            buffer,
            offset,
            line: 1,
            at_end: false,
            bad: Vec::new(),
        }
    }

    /// The next chunk; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut want = self.chunk_bytes.max(1);
        loop {
            self.fill(want)?;
            let whole = self.grammar.whole(&self.buffer);
            let open = whole.open && !self.closes_with_the_file();
            let end = if self.at_end && !open { self.buffer.len() } else { whole.end };
            if end > 0 {
                return Ok(Some(self.take(end)));
            }
            if self.buffer.is_empty() {
                return Ok((!self.bad.is_empty()).then(|| self.take(0)));
            }
            if self.at_end || self.buffer.len() > self.record_bytes {
                self.drop_line(open)?;
                want = self.chunk_bytes.max(1);
            } else {
                want = self.buffer.len() * 2;
            }
        }
    }

    /// Leaves out `lines` physical lines: text above a table follows no rules of quoting.
    pub(super) fn skip_lines(&mut self, lines: u64) -> io::Result<()> {
        for _ in 0..lines {
            self.fill(self.chunk_bytes)?;
            if self.buffer.is_empty() {
                break;
            }
            self.discard_to_line_end()?;
        }
        Ok(())
    }

    /// The next record with text in it, its terminator included, and where it starts (offset, line). `None` at the end.
    pub(super) fn next_record(&mut self) -> io::Result<Option<(Vec<u8>, u64, u64)>> {
        let mut want = self.chunk_bytes.max(1);
        loop {
            self.fill(want)?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            let length = self.grammar.record(&self.buffer);
            if length == self.buffer.len() && !self.at_end && length <= self.record_bytes {
                want = self.buffer.len() * 2;
                continue;
            }
            let record: Vec<u8> = self.buffer.drain(..length).collect();
            let (offset, line) = (self.offset, self.line);
            self.offset += record.len() as u64;
            self.line += self.count_lines(&record);
            if record.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
                return Ok(Some((record, offset, line)));
            }
        }
    }

    fn fill(&mut self, want: usize) -> io::Result<()> {
        if !self.at_end && self.buffer.len() < want {
            let missing = want - self.buffer.len();
            let read = self.input.by_ref().take(missing as u64).read_to_end(&mut self.buffer)?;
            self.at_end = read < missing;
        }
        Ok(())
    }

    /// A quote in the very last place closes when nothing can follow it.
    fn closes_with_the_file(&mut self) -> bool {
        if !self.at_end || self.buffer.last().copied() != self.grammar.quote {
            return false;
        }
        self.buffer.push(self.grammar.terminator);
        let open = self.grammar.whole(&self.buffer).open;
        self.buffer.pop();
        !open
    }

    /// Hands out the first `end` bytes and keeps the rest for the next chunk.
    fn take(&mut self, end: usize) -> Piece {
        let mut rest = Vec::with_capacity(self.chunk_bytes.max(self.buffer.len() - end));
        rest.extend_from_slice(&self.buffer[end..]);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        let piece = Piece { offset: self.offset, line: self.line, bad: std::mem::take(&mut self.bad), bytes };
        self.offset += end as u64;
        self.line += self.count_lines(&piece.bytes);
        piece
    }

    fn count_lines(&self, bytes: &[u8]) -> u64 {
        memchr_iter(self.grammar.terminator, bytes).count() as u64
    }

    /// Gives up the first line of a record that has no end, and reads on after it.
    fn drop_line(&mut self, open: bool) -> io::Result<()> {
        let has_line_end = memchr(self.grammar.terminator, &self.buffer).is_some();
        let (kind, reason) = if open && (has_line_end || self.at_end) {
            (BadKind::Quote, "a quote opened here is never closed".to_owned())
        } else {
            (BadKind::TooLong(LimitName::RecordBytes), long_record(self.record_bytes))
        };
        let end = memchr(self.grammar.terminator, &self.buffer).unwrap_or(self.buffer.len());
        self.bad.push(BadRow::new(self.line, kind, reason, &self.buffer[..end]));
        self.discard_to_line_end()
    }

    fn discard_to_line_end(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = memchr(self.grammar.terminator, &self.buffer) {
                self.buffer.drain(..=at);
                self.offset += at as u64 + 1;
                self.line += 1;
                return Ok(());
            }
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
            if self.at_end {
                return Ok(());
            }
            self.fill(self.chunk_bytes.max(1))?;
        }
    }
}

/// Why a record is too long. Most often it is no long value but lines that a quote holds together.
pub(super) fn long_record(limit: usize) -> String {
    format!(
        "expected at most {limit} bytes in a row, got more; if a quote joins lines that belong apart, name another \
         `quote`, else make the value shorter"
    )
}
