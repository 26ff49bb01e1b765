//! The cells of a sheet.

use std::io::Write as _;

use arrow::datatypes::DataType;
use chrono::{NaiveDate, NaiveDateTime};

use crate::error::{Error, Result};

/// UTF-16 units of a cell.
const TEXT_UNITS_MAX: usize = 32_767;
/// Digits that a spreadsheet keeps of a number.
const DIGITS_MAX: usize = 15;
/// Positions in `cellXfs` of the styles.
const DATE_STYLE: u8 = 1;
const DATETIME_STYLE: u8 = 2;
pub(super) const NAME_STYLE: u8 = 3;

/// How the values of a column are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Number,
    Bool,
    Date,
    Datetime,
    Text,
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Boolean => Self::Bool,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(..) => Self::Datetime,
            other if other.is_numeric() => Self::Number,
            _ => Self::Text,
        }
    }
}

/// The name of a column: 0 is `A`, 26 is `AA`.
pub(super) fn letters(mut index: usize) -> String {
    let mut name = Vec::new();
    loop {
        // 0 to 25.
        name.push(char::from(b'A' + u8::try_from(index % 26).unwrap_or(0)));
        if index < 26 {
            return name.into_iter().rev().collect();
        }
        index = index / 26 - 1;
    }
}

/// Where a cell is.
pub(super) struct At<'a> {
    pub(super) letters: &'a str,
    pub(super) row: u64,
}

impl At<'_> {
    pub(super) fn text(&self, text: &str, style: u8, out: &mut Vec<u8>) -> Result<()> {
        if text.len() > TEXT_UNITS_MAX && text.encode_utf16().count() > TEXT_UNITS_MAX {
            return Err(Error::OverLimit(format!(
                "the text in cell {}{} is longer than the {TEXT_UNITS_MAX} characters that a cell holds: ask for CSV or \
                 Parquet",
                self.letters, self.row
            )));
        }
        let Self { letters, row } = self;
        write!(out, r#"<c r="{letters}{row}" s="{style}" t="inlineStr"><is><t xml:space="preserve">"#)
            .map_err(Error::internal)?;
        escaped(text, out);
        out.extend_from_slice(b"</t></is></c>");
        Ok(())
    }

    /// `kind` is the attribute of numbers or of booleans.
    fn value(&self, value: &str, style: u8, kind: &str, out: &mut Vec<u8>) -> Result<()> {
        let Self { letters, row } = self;
        write!(out, r#"<c r="{letters}{row}" s="{style}" t="{kind}"><v>{value}</v></c>"#)
            .map_err(Error::internal)
    }

    pub(super) fn cell(&self, text: &str, kind: Kind, out: &mut Vec<u8>) -> Result<()> {
        match kind {
            Kind::Number if is_exact(text) => self.value(text, 0, "n", out),
            Kind::Bool => self.value(if text == "true" { "1" } else { "0" }, 0, "b", out),
            Kind::Date | Kind::Datetime => {
                let style = if matches!(kind, Kind::Date) { DATE_STYLE } else { DATETIME_STYLE };
                match serial(text) {
                    Some(serial) => self.value(&serial.to_string(), style, "n", out),
                    None => self.text(text, 0, out),
                }
            }
            Kind::Number | Kind::Text => self.text(text, 0, out),
        }
    }
}

/// Whether a spreadsheet keeps all digits of a number. Of a float it keeps as many as it can, as it is a float itself.
fn is_exact(text: &str) -> bool {
    if text.contains(['e', 'E']) {
        return true;
    }
    if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    digits <= DIGITS_MAX
}

/// The number by which a spreadsheet means a date or a time: days since the end of 1899.
fn serial(text: &str) -> Option<f64> {
    let first = NaiveDate::from_ymd_opt(1900, 3, 1)?;
    let epoch = NaiveDate::from_ymd_opt(1899, 12, 30)?;
    let time = match text.split_once('T') {
        None => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?,
        Some((_, clock)) => {
            // The clock on the wall of the zone, which a cell has no place for.
            let zone = clock.find(['Z', '+', '-']).map_or(0, |at| clock.len() - at);
            let local = &text[..text.len() - zone];
            NaiveDateTime::parse_from_str(local, "%Y-%m-%dT%H:%M:%S%.f").ok()?
        }
    };
    if time.date() < first || time.date() > NaiveDate::from_ymd_opt(9999, 12, 31)? {
        return None;
    }
    let ms = time.signed_duration_since(epoch.and_hms_opt(0, 0, 0)?).num_milliseconds();
    #[expect(
        clippy::cast_precision_loss,
        reason = "the milliseconds of ten thousand years are far below 2^53"
    )]
    let days = ms as f64 / 86_400_000.0;
    Some(days)
}

/// Appends text as XML. Characters that XML cannot hold are `_x0000_`, and what looks like that is escaped.
fn escaped(text: &str, out: &mut Vec<u8>) {
    for (at, letter) in text.char_indices() {
        match letter {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '\r' | '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(format!("_x{:04X}_", u32::from(letter)).as_bytes());
            }
            '_' if is_escape(&text.as_bytes()[at..]) => out.extend_from_slice(b"_x005F_"),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'_', b'x', digits @ .., ] if digits.len() >= 5
        && digits[..4].iter().all(u8::is_ascii_hexdigit) && digits[4] == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        let names: Vec<_> = [0, 25, 26, 51, 52, 701, 702, 16_383].into_iter().map(letters).collect();
        assert_eq!(names, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD"]);
    }

    #[test]
    fn a_number_that_would_change_is_text() {
        check("123456789012345", true);
        check("1234567890123456", false);
        check("-0.000123456789012345", true);
        check("12345678901234.56", false);
        check("1.5e300", true);
        check("NaN", false);
        check("-Infinity", false);

        #[track_caller]
        fn check(text: &str, expected: bool) {
            assert_eq!(is_exact(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_days() {
        check("1900-03-01", Some(61.0));
        check("1900-02-28", None);
        check("2024-01-01", Some(45_292.0));
        check("2024-01-01T12:00:00", Some(45_292.5));
        check("2024-01-01T06:00:00.000001Z", Some(45_292.25));
        check("2024-01-01T06:00:00+09:00", Some(45_292.25));
        check("+10000-01-01", None);

        #[track_caller]
        fn check(text: &str, expected: Option<f64>) {
            assert_eq!(serial(text), expected, "{text}");
        }
    }

    #[test]
    fn text_survives_xml() {
        check("a < b & \"c\" > d", "a &lt; b &amp; \"c\" &gt; d");
        check("tab\there\r\n", "tab\there_x000D_\n");
        check("\u{0}\u{1f}", "_x0000__x001F_");
        check("_x000D_ _x00D_ _", "_x005F_x000D_ _x00D_ _");
        check("売上😀", "売上😀");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = Vec::new();
            escaped(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
