//! Splits decoded CSV records into cells.

use super::{
    cells::{Cells, offset},
    cut,
    error::{BadKind, BadRow, LimitName},
    grammar::Grammar,
    limits::DecodeLimits,
    marks::{Closing, Marks},
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
    let mut rows = Rows {
        fields: Fields::new(text.as_bytes(), base, grammar),
        field_bytes: limits.field_bytes,
        record_bytes: limits.record_bytes,
        filled: cells.fields.len(),
        line: first_line,
    };
    let mut position = base;
    while position < text.len() {
        position = rows.record(position, cells, bad);
    }
    cells.fields.truncate(rows.filled);
    let unescaped = rows.fields.unescaped;
    cells.text = text;
    cells.text.push_str(&unescaped);
}

/// The fields of one record, for headers and for finding delimiters.
pub(super) fn split_record(text: &str, grammar: Grammar) -> Vec<String> {
    let mut values = Vec::new();
    let mut fields = Fields::new(text.as_bytes(), 0, grammar);
    let mut position = 0;
    loop {
        let field = fields.next(position);
        let value = match field.start.checked_sub(text.len()) {
            Some(start) => &fields.unescaped[start..field.end - text.len()],
            None => &text[field.start..field.end],
        };
        values.push(value.to_owned());
        if field.last {
            return values;
        }
        position = field.next;
    }
}

/// Rows made of records.
struct Rows<'a> {
    fields: Fields<'a>,
    field_bytes: usize,
    record_bytes: usize,
    /// How many of the block's fields belong to rows that are right. What a wrong row left is written over.
    filled: usize,
    line: u64,
}

impl Rows<'_> {
    /// Reads the record at `start` and returns where the next one begins.
    fn record(&mut self, start: usize, cells: &mut Cells, bad: &mut Vec<BadRow>) -> usize {
        let row_end = self.filled + cells.columns;
        if cells.fields.len() < row_end {
            cells.fields.resize(row_end, (0, 0));
        }
        let row = &mut cells.fields[self.filled..row_end];
        let mut count = 0;
        let mut position = start;
        loop {
            let field = self.fields.next(position);
            if let Some(place) = row.get_mut(count) {
                *place = (offset(field.start), offset(field.end));
            }
            count += 1;
            position = field.next;
            if field.last {
                break;
            }
        }
        let Fields { bytes, grammar, fault, lines, .. } = &mut self.fields;
        let (fault, lines) = (fault.take(), std::mem::take(lines) + 1);
        let end = position - usize::from(bytes.get(position - 1) == Some(&grammar.terminator));
        let record = &bytes[start..end];
        // Blank lines are no rows, not even in a table of one column.
        if !matches!(record, [] | [b'\r']) {
            match self.judge(record, count, cells.columns, fault) {
                None => {
                    cells.push_row(self.line, start, end);
                    self.filled = row_end;
                }
                Some((kind, reason)) => bad.push(BadRow::new(self.line, kind, reason, record)),
            }
        }
        self.line += lines;
        position
    }

    /// What is wrong with a record of `count` fields.
    #[inline(always)]
    fn judge(
        &self,
        record: &[u8],
        count: usize,
        columns: usize,
        fault: Option<&'static str>,
    ) -> Option<(BadKind, String)> {
        // No field is longer than its record.
        let is_short = record.len() <= self.record_bytes.min(self.field_bytes);
        if is_short && fault.is_none() && count == columns {
            return None;
        }
        self.find_wrong(record, count, columns, fault)
    }

    #[inline(never)]
    fn find_wrong(
        &self,
        record: &[u8],
        count: usize,
        columns: usize,
        fault: Option<&'static str>,
    ) -> Option<(BadKind, String)> {
        if record.len() > self.record_bytes {
            return Some((BadKind::TooLong(LimitName::RecordBytes), cut::long_record(self.record_bytes)));
        }
        let longest = longest_field(record, self.fields.grammar);
        if longest > self.field_bytes {
            let reason = format!("expected at most {} bytes in a field, got {longest}", self.field_bytes);
            return Some((BadKind::TooLong(LimitName::FieldBytes), reason));
        }
        if let Some(fault) = fault {
            return Some((BadKind::Quote, fault.to_owned()));
        }
        (count != columns).then(|| (BadKind::Ragged, format!("expected {columns} fields, got {count}")))
    }
}

fn longest_field(record: &[u8], grammar: Grammar) -> usize {
    let mut fields = Fields::new(record, 0, grammar);
    let (mut position, mut longest) = (0, 0);
    loop {
        let field = fields.next(position);
        longest = longest.max(field.end - field.start);
        if field.last {
            return longest;
        }
        position = field.next;
    }
}

/// The fields of a text, one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    marks: Marks<'a>,
    grammar: Grammar,
    /// Terminators that the record has inside of quotes.
    lines: u64,
    /// The first thing that is wrong with the record.
    fault: Option<&'static str>,
    /// Values that had doubled quotes; their places count on from the end of `bytes`.
    unescaped: String,
}

struct Field {
    start: usize,
    end: usize,
    /// Where the next field or record begins.
    next: usize,
    /// Ends its record.
    last: bool,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], base: usize, grammar: Grammar) -> Self {
        let marks = Marks::new(bytes, base, grammar);
        Self { bytes, marks, grammar, lines: 0, fault: None, unescaped: String::new() }
    }

    // Called for every field of every file: what is rare stands apart, so that the rest fits into the loop.
    #[inline(always)]
    fn next(&mut self, start: usize) -> Field {
        loop {
            let mark = self.marks.next();
            match self.bytes.get(mark) {
                Some(byte) if *byte == self.grammar.delimiter => {
                    return Field { start, end: mark, next: mark + 1, last: false };
                }
                Some(byte) if Some(*byte) == self.grammar.quote => {
                    // Elsewhere a quote is text.
                    if mark == start {
                        return self.quoted(start);
                    }
                }
                _ => return self.last(start, mark),
            }
        }
    }

    /// The field `start..end`, where `end` is a terminator or the end of all.
    #[inline(always)]
    fn last(&self, start: usize, end: usize) -> Field {
        let text_end = if end > start && self.bytes[end - 1] == b'\r' { end - 1 } else { end };
        Field { start, end: text_end, next: (end + 1).min(self.bytes.len()), last: true }
    }

    #[inline(never)]
    fn quoted(&mut self, open: usize) -> Field {
        let Some(Closing { place: close, doubled, lines }) = self.marks.closing_quote(open) else {
            self.fault.get_or_insert("a quote opened here is never closed");
            return self.last(open, self.bytes.len());
        };
        self.lines += lines;
        let mut field = self.next_unquoted(close + 1);
        if field.end != field.start {
            self.fault.get_or_insert("a closing quote is followed by text");
        }
        (field.start, field.end) = match doubled {
            true => self.unescape(open + 1, close),
            false => (open + 1, close),
        };
        field
    }

    /// What follows a closing quote, up to the end of the field. All quotes in it are text.
    #[inline(always)]
    fn next_unquoted(&mut self, start: usize) -> Field {
        loop {
            let mark = self.marks.next();
            match self.bytes.get(mark) {
                Some(byte) if *byte == self.grammar.delimiter => {
                    return Field { start, end: mark, next: mark + 1, last: false };
                }
                Some(byte) if Some(*byte) == self.grammar.quote => {}
                _ => return self.last(start, mark),
            }
        }
    }

    /// Adds a value with `""` made `"`, and returns its place.
    #[inline(never)]
    fn unescape(&mut self, start: usize, end: usize) -> (usize, usize) {
        let single = char::from(self.grammar.quote.unwrap_or_default());
        // Quotes are ASCII, so the field is whole characters.
        let value = String::from_utf8_lossy(&self.bytes[start..end])
            .replace(&format!("{single}{single}"), &single.to_string());
        let place = self.bytes.len() + self.unescaped.len();
        self.unescaped.push_str(&value);
        (place, place + value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Grammar = Grammar { delimiter: b',', quote: Some(b'"'), terminator: b'\n', shift_jis: false };
    const COLUMNS: usize = 2;

    /// A line, and the values of its row, or nothing when the row is wrong.
    type Line = (u64, Option<Vec<String>>);

    /// What `tokenise` makes of a text.
    fn lines(text: &str) -> Vec<Line> {
        let mut cells = Cells { text: text.to_owned(), columns: COLUMNS, ..Cells::default() };
        let mut bad = Vec::new();
        tokenise(&mut cells, 0, 1, CSV, &DecodeLimits::default(), &mut bad);
        assert_eq!(cells.fields.len(), cells.rows.len() * COLUMNS);
        let values = |row| (0..COLUMNS).map(|column| cells.get(row, column).to_owned()).collect();
        let rows = (0..cells.rows.len()).map(|row| (cells.rows[row].line, Some(values(row))));
        let mut lines: Vec<_> = rows.chain(bad.iter().map(|row| (row.line, None))).collect();
        lines.sort();
        lines
    }

    /// The same by the rules, one byte after the other.
    fn lines_by_the_rules(text: &str) -> Vec<Line> {
        let (mut lines, mut line, mut rest) = (Vec::new(), 1, text);
        while !rest.is_empty() {
            let (first, mut values, mut right, before) = (line, Vec::new(), true, rest);
            let mut last = false;
            while !last {
                let mut value = String::new();
                let quoted = rest.starts_with('"');
                if let Some(mut inside) = rest.strip_prefix('"') {
                    loop {
                        let Some(quote) = inside.find('"') else {
                            (right, rest) = (false, "");
                            break;
                        };
                        value.push_str(&inside[..quote]);
                        rest = &inside[quote + 1..];
                        let Some(after) = rest.strip_prefix('"') else { break };
                        value.push('"');
                        inside = after;
                    }
                    line += value.matches('\n').count() as u64;
                }
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                let (mut unquoted, mark) = (&rest[..end], rest[end..].chars().next());
                last = mark != Some(',');
                if last {
                    unquoted = unquoted.strip_suffix('\r').unwrap_or(unquoted);
                }
                right &= !quoted || unquoted.is_empty();
                value.push_str(unquoted);
                values.push(value);
                rest = rest.get(end + 1..).unwrap_or("");
            }
            line += 1;
            right &= values.len() == COLUMNS;
            let record = &before[..before.len() - rest.len()];
            if !matches!(record.strip_suffix('\n').unwrap_or(record), "" | "\r") {
                lines.push((first, right.then_some(values)));
            }
        }
        lines
    }

    proptest::proptest! {
        #[test]
        fn records_are_split_by_the_rules(
            text in proptest::collection::vec(proptest::sample::select(&["a", "b,c\n", ",", "\"", "\n", "\r\n"][..]), 0..200)
        ) {
            let text = text.concat();
            proptest::prop_assert_eq!(lines(&text), lines_by_the_rules(&text), "{:?}", text);
        }
    }
}
