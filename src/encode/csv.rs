//! CSV by RFC 4180: comma, CRLF, a first line of names, UTF-8 without a mark.
//!
//! NULL is empty and an empty text is `""`, so the two stay apart. In a table of one column NULL is
//! written as `""` too: readers skip empty lines, and losing rows is worse than losing that difference.
//! A spreadsheet runs text that begins with `=`, `+`, `-`, `@`, tab or return as a formula; the guard puts
//! `'` before such text. Numbers are never touched: `-5` in a numeric column is a number.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};

use super::{Encoder, slices, values};
use crate::error::{Error, Result};

/// Writes CSV.
pub(super) struct Csv {
    fields: Vec<FieldRef>,
    /// For each column, whether its text could be taken for a formula.
    guarded: Vec<bool>,
    guard: bool,
}

impl Csv {
    pub(super) fn new(schema: &Schema, guard: bool) -> Result<Self> {
        let fields = schema.fields().to_vec();
        values::check(&fields)?;
        let guarded = fields.iter().map(|field| guard && !is_number(field.data_type())).collect();
        Ok(Self { fields, guarded, guard })
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
    let special = |byte: &u8| matches!(byte, b'"' | b',' | b'\r' | b'\n');
    let quoted = text.is_empty()
        || text.iter().any(special)
        || text.first().is_some_and(|byte| *byte == b' ')
        || text.last().is_some_and(|byte| *byte == b' ');
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

/// The text inside a JSON value. Strings lose their quotes and escapes, the rest is text as it is.
fn plain<'a>(json: &'a [u8], text: &'a mut String) -> Result<&'a [u8]> {
    match json {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => Ok(inner),
        [b'"', ..] => {
            *text = serde_json::from_slice(json).map_err(Error::internal)?;
            Ok(text.as_bytes())
        }
        other => Ok(other),
    }
}

impl Encoder for Csv {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        for (index, column) in self.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            field(column.name().as_bytes(), self.guard, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let alone = self.fields.len() == 1;
        let (mut json, mut text) = (Vec::new(), String::new());
        for slice in slices(batch) {
            let mut columns = values::encoders(&self.fields, &slice)?;
            for row in 0..slice.num_rows() {
                for (index, column) in columns.iter_mut().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    if column.is_null(row) {
                        out.extend_from_slice(if alone { b"\"\"" } else { b"" });
                        continue;
                    }
                    json.clear();
                    column.encode(row, &mut json);
                    field(plain(&json, &mut text)?, self.guarded[index], out);
                }
                out.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    fn end(&mut self, _: bool, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Vec<u8>) -> Result<()> {
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
