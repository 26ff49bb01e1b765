//! CSV by RFC 4180: comma, CRLF, a first line of names; UTF-8 without a mark unless another is asked for.
//!
//! NULL is empty and an empty text is `""`, so the two stay apart. In a table of one column NULL is
//! written as `""` too: readers skip empty lines, and losing rows is worse than losing that difference.
//! A spreadsheet runs text that begins with `=`, `+`, `-`, `@`, tab or return as a formula; the guard puts
//! `'` before such text. Numbers are never touched: `-5` in a numeric column is a number.

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::json::writer::NullableEncoder;

use super::out::Out;
use super::{Charset, Encoder, charset, slices, values};
use crate::error::{Error, Result};

/// Writes CSV.
pub(super) struct Csv {
    fields: Vec<FieldRef>,
    charset: Charset,
    guard: bool,
    /// Lines before they are put into another character set.
    lines: Vec<u8>,
}

impl Csv {
    pub(super) fn new(schema: &Schema, charset: Charset, guard: bool) -> Result<Self> {
        let fields = schema.fields().to_vec();
        values::check(&fields)?;
        Ok(Self { fields, charset, guard, lines: Vec::new() })
    }

    /// Puts what `write` writes into the character set.
    fn written(
        &mut self,
        out: &mut Out,
        write: impl FnOnce(&Self, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        match self.charset {
            Charset::Utf8 | Charset::Utf8Bom => write(self, &mut out.text),
            Charset::Cp932 => {
                let mut lines = std::mem::take(&mut self.lines);
                lines.clear();
                write(self, &mut lines)?;
                charset::cp932(&lines, &mut out.text)?;
                self.lines = lines;
                Ok(())
            }
        }
    }

    fn lines(&self, slice: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let null: &[u8] = if self.fields.len() == 1 { b"\"\"" } else { b"" };
        let mut columns = self
            .fields
            .iter()
            .zip(slice.columns())
            .map(|(field, column)| Column::of(field, column))
            .collect::<Result<Vec<_>>>()?;
        let (mut json, mut text) = (Vec::new(), String::new());
        for row in 0..slice.num_rows() {
            for (index, (column, array)) in columns.iter_mut().zip(slice.columns()).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                match column {
                    Column::Number(encoder) if encoder.is_null(row) => out.extend_from_slice(null),
                    Column::Other(encoder) if encoder.is_null(row) => out.extend_from_slice(null),
                    Column::Number(encoder) => {
                        let start = out.len();
                        encoder.encode(row, out);
                        unquote(out, start);
                    }
                    Column::Other(encoder) => {
                        json.clear();
                        encoder.encode(row, &mut json);
                        field(values::plain(&json, &mut text)?, self.guard, out);
                    }
                    _ if array.is_null(row) => out.extend_from_slice(null),
                    Column::Text(texts) => field(texts.value(row).as_bytes(), self.guard, out),
                    Column::LargeText(texts) => field(texts.value(row).as_bytes(), self.guard, out),
                    Column::TextView(texts) => field(texts.value(row).as_bytes(), self.guard, out),
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

/// The values of a column, by the shortest way to their text.
enum Column<'a> {
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    /// Never in need of quotes or of the guard.
    Number(NullableEncoder<'a>),
    Other(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn of(field: &'a FieldRef, column: &'a ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::LargeUtf8 => Self::LargeText(column.as_string()),
            DataType::Utf8View => Self::TextView(column.as_string_view()),
            data_type if is_number(data_type) => Self::Number(values::encoder_of(field, column)?),
            _ => Self::Other(values::encoder_of(field, column)?),
        })
    }
}

/// Takes the quotes that JSON needs off the value that begins at `start`.
fn unquote(out: &mut Vec<u8>, start: usize) {
    if out.get(start) == Some(&b'"') {
        out.pop();
        out.remove(start);
    }
}

/// Whether a leading sign is part of the value. Times before the year 0 have one as well.
fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_number(value),
        other => other.is_numeric() || other.is_temporal(),
    }
}

/// Appends a field, quoted where its text needs it.
fn field(text: &[u8], guarded: bool, out: &mut Vec<u8>) {
    let formula = guarded && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
    let quoted = memchr::memchr3(b'"', b',', b'\n', text).is_some()
        || memchr::memchr(b'\r', text).is_some()
        || matches!((text.first(), text.last()), (None, _) | (Some(b' '), _) | (_, Some(b' ')));
    if quoted {
        out.push(b'"');
    }
    if formula {
        out.push(b'\'');
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'"', rest).filter(|_| quoted) {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    if quoted {
        out.push(b'"');
    }
}

impl Encoder for Csv {
    fn begin(&mut self, out: &mut Out) -> Result<()> {
        if self.charset == Charset::Utf8Bom {
            out.text.extend_from_slice("\u{feff}".as_bytes());
        }
        self.written(out, |csv, out| {
            for (index, column) in csv.fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                field(column.name().as_bytes(), csv.guard, out);
            }
            out.extend_from_slice(b"\r\n");
            Ok(())
        })
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        for slice in slices(batch) {
            self.written(out, |csv, out| csv.lines(&slice, out))?;
        }
        Ok(())
    }

    fn end(&mut self, _: bool, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Out) -> Result<()> {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_guarded() {
        check("abc", true, "abc");
        check("", true, "\"\"");
        check("a,b", true, "\"a,b\"");
        check("say \"hi\"", true, "\"say \"\"hi\"\"\"");
        check("two\nlines", true, "\"two\nlines\"");
        check(" padded ", true, "\" padded \"");
        check("=1+1", true, "'=1+1");
        check("=1,2", true, "\"'=1,2\"");
        check("+81", true, "'+81");
        check("-5", true, "'-5");
        check("-5", false, "-5");
        check("@SUM(A1)", true, "'@SUM(A1)");
        check("\tx", true, "'\tx");
        check("\rx", true, "\"'\rx\"");
        check("a=b", true, "a=b");
        check("売上", true, "売上");

        #[track_caller]
        fn check(text: &str, guarded: bool, expected: &str) {
            let mut out = Vec::new();
            field(text.as_bytes(), guarded, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
