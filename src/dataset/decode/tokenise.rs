//! Splits decoded CSV records into cells.

use memchr::{memchr, memchr_iter};

use super::{
    cells::{Cells, offset},
    cut,
    error::{BadKind, BadRow, LimitName},
    grammar::Grammar,
    limits::DecodeLimits,
};

/// Appends the records of `text` to `cells`, which must hold `text` from byte `base` of its own text on.
///
/// Records with another number of fields than `cells.columns`, and those that break the rules of quoting or the
/// limits, go to `bad` instead.
pub(super) fn tokenise(
    cells: &mut Cells,
    base: usize,
    first_line: u64,
    grammar: Grammar,
    limits: &DecodeLimits,
    bad: &mut Vec<BadRow>,
) {
    // Taken out while fields are added, because unescaped text is added behind it.
    let text = std::mem::take(&mut cells.text);
    let mut work = Work {
        bytes: text.as_bytes(),
        marks: Marks::new(text.as_bytes(), base, grammar),
        grammar,
        field_bytes: limits.field_bytes,
        record_bytes: limits.record_bytes,
        line: first_line,
        unescaped: String::new(),
    };
    let mut position = base;
    while position < text.len() {
        position = work.record(position, cells, bad);
    }
    let unescaped = work.unescaped;
    cells.text = text;
    cells.text.push_str(&unescaped);
}

/// The fields of one record, for headers and for finding delimiters.
pub(super) fn split_record(text: &str, grammar: Grammar) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut work = Work {
        bytes,
        marks: Marks::new(bytes, 0, grammar),
        grammar,
        field_bytes: usize::MAX,
        record_bytes: usize::MAX,
        line: 1,
        unescaped: String::new(),
    };
    let mut position = 0;
    loop {
        let field = work.field(position);
        let range = (field.start as usize, field.end as usize);
        let value = match range.0.checked_sub(bytes.len()) {
            Some(start) => &work.unescaped[start..range.1 - bytes.len()],
            None => &text[range.0..range.1],
        };
        fields.push(value.to_owned());
        if field.last {
            return fields;
        }
        position = field.next;
    }
}

struct Work<'a> {
    bytes: &'a [u8],
    marks: Marks<'a>,
    grammar: Grammar,
    field_bytes: usize,
    record_bytes: usize,
    line: u64,
    /// Fields that had doubled quotes; their places count on from the end of `bytes`.
    unescaped: String,
}

struct FieldEnd {
    start: u32,
    end: u32,
    /// Where the next field or record begins.
    next: usize,
    /// Ends its record.
    last: bool,
    fault: Option<&'static str>,
}

impl Work<'_> {
    /// Reads the record at `start` and returns where the next one begins.
    fn record(&mut self, start: usize, cells: &mut Cells, bad: &mut Vec<BadRow>) -> usize {
        let (line, first) = (self.line, cells.fields.len());
        let mut position = start;
        let mut count = 0;
        let mut fault = None;
        let mut longest = 0;
        loop {
            let field = self.field(position);
            if count < cells.columns {
                cells.fields.push((field.start, field.end));
            }
            count += 1;
            longest = longest.max(field.end - field.start);
            fault = fault.or(field.fault);
            position = field.next;
            if field.last {
                break;
            }
        }
        self.line += 1;
        let end = position - usize::from(self.bytes.get(position - 1) == Some(&self.grammar.terminator));
        let found = Found { count, longest: longest as usize, bytes: end - start, fault };
        let fits = found.longest <= self.field_bytes && found.bytes <= self.record_bytes;
        // Blank lines are no rows, not even in a table of one column.
        let blank = count == 1 && longest == 0 && matches!(&self.bytes[start..end], [] | [b'\r']);
        if count == cells.columns && fault.is_none() && fits && !blank {
            cells.push_row(line, start, end);
            return position;
        }
        cells.fields.truncate(first);
        if !blank {
            let (kind, reason) = self.judge(&found, cells.columns);
            bad.push(BadRow::new(line, kind, reason, &self.bytes[start..end]));
        }
        position
    }

    fn judge(&self, found: &Found, columns: usize) -> (BadKind, String) {
        let Found { count, longest, bytes, fault } = *found;
        if bytes > self.record_bytes {
            (BadKind::TooLong(LimitName::RecordBytes), cut::long_record(self.record_bytes))
        } else if longest > self.field_bytes {
            let reason = format!("expected at most {} bytes in a field, got {longest}", self.field_bytes);
            (BadKind::TooLong(LimitName::FieldBytes), reason)
        } else if let Some(fault) = fault {
            (BadKind::Quote, fault.to_owned())
        } else {
            (BadKind::Ragged, format!("expected {columns} fields, got {count}"))
        }
    }

    // Called for every field of every file: what is rare stands apart, so that the rest fits into the loop.
    #[inline(always)]
    fn field(&mut self, start: usize) -> FieldEnd {
        if self.grammar.quote.is_some() && self.bytes.get(start).copied() == self.grammar.quote {
            return self.quoted(start);
        }
        let end = self.marks.next_from(start);
        self.end_field(start, end, None)
    }

    /// The field `start..end`, where `end` is its delimiter, its terminator or the end of all.
    #[inline(always)]
    fn end_field(&self, start: usize, end: usize, fault: Option<&'static str>) -> FieldEnd {
        let last = self.bytes.get(end) != Some(&self.grammar.delimiter);
        let text_end = if last && end > start && self.bytes[end - 1] == b'\r' { end - 1 } else { end };
        let next = (end + 1).min(self.bytes.len());
        FieldEnd { start: offset(start), end: offset(text_end), next, last, fault }
    }

    #[inline(never)]
    fn quoted(&mut self, open: usize) -> FieldEnd {
        let Some(close) = self.grammar.closing_quote(self.bytes, open) else {
            let fault = Some("a quote opened here is never closed");
            return self.end_field(open, self.bytes.len(), fault);
        };
        self.line += memchr_iter(self.grammar.terminator, &self.bytes[open..close]).count() as u64;
        let end = self.marks.next_from(close + 1);
        let mut field = self.end_field(close + 1, end, None);
        if field.end != field.start {
            field.fault = Some("a closing quote is followed by text");
        }
        (field.start, field.end) = self.unquoted(open + 1, close);
        field
    }

    /// The place of a quoted field's value, with `""` made `"`.
    fn unquoted(&mut self, start: usize, end: usize) -> (u32, u32) {
        let Some(quote) =
            self.grammar.quote.filter(|quote| memchr(*quote, &self.bytes[start..end]).is_some())
        else {
            return (offset(start), offset(end));
        };
        let single = char::from(quote);
        // Quotes are ASCII, so the field is whole characters.
        let value = String::from_utf8_lossy(&self.bytes[start..end])
            .replace(&format!("{single}{single}"), &single.to_string());
        let place = self.bytes.len() + self.unescaped.len();
        self.unescaped.push_str(&value);
        (offset(place), offset(place + value.len()))
    }
}

struct Found {
    count: usize,
    longest: usize,
    bytes: usize,
    fault: Option<&'static str>,
}

/// Finds delimiters and terminators eight bytes at a time. Fields are short: a search started anew for each of them
/// would cost more than the bytes it looks at.
struct Marks<'a> {
    bytes: &'a [u8],
    delimiters: u64,
    terminators: u64,
    /// Where the block of `found` begins.
    block: usize,
    /// The highest bit of each byte of the block that is a mark and not yet handed out.
    found: u64,
}

const LOW: u64 = 0x0101_0101_0101_0101;
const REST: u64 = 0x7F7F_7F7F_7F7F_7F7F;

impl<'a> Marks<'a> {
    fn new(bytes: &'a [u8], start: usize, grammar: Grammar) -> Self {
        let mut marks = Self {
            bytes,
            delimiters: LOW * u64::from(grammar.delimiter),
            terminators: LOW * u64::from(grammar.terminator),
            block: start,
            found: 0,
        };
        marks.load(start);
        marks
    }

    /// The first mark at or after `from`, or the end. `from` never goes back.
    #[inline(always)]
    fn next_from(&mut self, from: usize) -> usize {
        if from >= self.block + 8 {
            self.load(from);
        } else {
            self.found &= u64::MAX << ((from.saturating_sub(self.block)) * 8);
        }
        while self.found == 0 {
            if self.block + 8 >= self.bytes.len() {
                return self.bytes.len();
            }
            self.load(self.block + 8);
        }
        let place = self.block + (self.found.trailing_zeros() / 8) as usize;
        self.found &= self.found - 1;
        place
    }

    #[inline(always)]
    fn load(&mut self, block: usize) {
        self.block = block;
        let word = match self.bytes.get(block..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => last_word(self.bytes.get(block..).unwrap_or_default()),
        };
        self.found = zero_bytes(word ^ self.delimiters) | zero_bytes(word ^ self.terminators);
    }
}

/// The last bytes of a text. NUL is no mark, so the padding finds nothing.
#[inline(never)]
fn last_word(tail: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..tail.len()].copy_from_slice(tail);
    u64::from_le_bytes(padded)
}

/// The highest bit of each byte that is zero, exactly.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    !(((word & REST) + REST) | word | REST)
}
