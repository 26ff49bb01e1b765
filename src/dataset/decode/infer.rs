//! Finds the type of a column: it starts with every type and each value takes away those that it does not fit.

use shirabe_native::era;

use super::{
    cells::{Cells, Kind},
    column_type::ColumnType,
    contract::Basis,
    dates,
    plan::Plan,
    values,
};

const BOOL: u8 = 1;
const INT64: u8 = 1 << 1;
const UINT64: u8 = 1 << 2;
const FLOAT64: u8 = 1 << 3;
const DATE: u8 = 1 << 4;
const DATETIME: u8 = 1 << 5;
const DATETIME_UTC: u8 = 1 << 6;
const NUMBERS: u8 = INT64 | UINT64 | FLOAT64;
const TIMES: u8 = DATE | DATETIME | DATETIME_UTC;

/// The narrowest of these types that is left wins; with none left the column is a string.
const IN_ORDER: [(u8, ColumnType); 7] = [
    (BOOL, ColumnType::Bool),
    (INT64, ColumnType::Int64),
    (UINT64, ColumnType::Uint64),
    (FLOAT64, ColumnType::Float64),
    (DATE, ColumnType::Date),
    (DATETIME, ColumnType::Datetime),
    (DATETIME_UTC, ColumnType::DatetimeUtc),
];

/// What a column can still be. The order of values does not matter, so that chunks can be looked at in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidates {
    types: u8,
    seen: bool,
    /// Digits before and after the point, as long as all numbers are decimals.
    digits: Option<(usize, usize)>,
}

impl Candidates {
    pub(super) fn all() -> Self {
        Self { types: u8::MAX, seen: false, digits: Some((0, 0)) }
    }

    pub(super) fn see(&mut self, text: &str, kind: Kind, era_dates: bool) {
        self.seen = true;
        if self.types == 0 {
            return;
        }
        self.types &= fits(text.as_bytes(), kind) | era_fits(text, kind, era_dates);
        if self.types & FLOAT64 != 0 {
            self.digits = self.digits.zip(values::decimal_digits(text.as_bytes())).map(wider);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.types &= other.types;
        self.seen |= other.seen;
        self.digits = self.digits.zip(other.digits).map(wider);
    }

    /// Whether there was any value.
    pub(super) fn has_seen(self) -> bool {
        self.seen
    }

    /// A column without any value is a string: the one type that whatever comes later fits.
    pub(super) fn decide(self, exact_decimals: bool) -> ColumnType {
        if !self.seen {
            return ColumnType::String;
        }
        let found = IN_ORDER
            .iter()
            .find(|(bit, _)| self.types & bit != 0)
            .map_or(ColumnType::String, |(_, name)| *name);
        match (found, self.digits) {
            (ColumnType::Float64, Some(digits)) if exact_decimals => {
                decimal(digits).unwrap_or(ColumnType::String)
            }
            _ => found,
        }
    }
}

fn wider((a, b): ((usize, usize), (usize, usize))) -> (usize, usize) {
    (a.0.max(b.0), a.1.max(b.1))
}

/// At least 18 digits: no wider in storage than fewer, and later files of the same kind fit too.
fn decimal((whole, fraction): (usize, usize)) -> Option<ColumnType> {
    let precision = u8::try_from((whole + fraction).max(18)).ok().filter(|precision| *precision <= 38)?;
    Some(ColumnType::Decimal { precision, scale: u8::try_from(fraction).ok()? })
}

/// The types that a value fits.
fn fits(text: &[u8], kind: Kind) -> u8 {
    let may_be = match kind {
        Kind::Plain => u8::MAX,
        Kind::Bool => BOOL,
        Kind::Number => NUMBERS,
        Kind::Text => TIMES,
        Kind::Null | Kind::Nested => 0,
    };
    let found = match text.first() {
        Some(b't' | b'T' | b'f' | b'F') if values::boolean(text).is_some() => BOOL,
        Some(b'0'..=b'9' | b'-' | b'.') => numbers(text) | if may_be & TIMES == 0 { 0 } else { times(text) },
        _ => 0,
    };
    found & may_be
}

fn numbers(text: &[u8]) -> u8 {
    let mut types = 0;
    if values::int64(text, false).is_some() {
        types |= INT64;
    }
    if values::uint64(text, false).is_some() {
        types |= UINT64;
    }
    if values::float64(text, false).is_some() {
        types |= FLOAT64;
    }
    types
}

fn times(text: &[u8]) -> u8 {
    if dates::date(text, false).is_some() {
        // A day is also its midnight, so a column may mix both.
        return DATE | DATETIME;
    }
    match dates::datetime(text, false) {
        Some(written) if written.offset_minutes.is_some() => DATETIME_UTC,
        Some(_) => DATETIME,
        None => 0,
    }
}

fn era_fits(text: &str, kind: Kind, era_dates: bool) -> u8 {
    let asked = era_dates && matches!(kind, Kind::Plain | Kind::Text);
    if asked && era::date(text).is_some() { DATE | DATETIME } else { 0 }
}

/// Whether a cell of a text format stands for a number, a boolean or a time rather than for text.
pub(super) fn is_typed(text: &str, kind: Kind, era_dates: bool) -> bool {
    fits(text.as_bytes(), kind) | era_fits(text, kind, era_dates) != 0
}

/// Narrows the columns whose types are to be found by the rows of a block.
pub(super) fn narrow(cells: &Cells, plan: &Plan, columns: &mut [Candidates]) {
    for (index, (column, candidates)) in plan.columns.iter().zip(columns).enumerate() {
        if column.basis != Basis::Found {
            continue;
        }
        for row in 0..cells.rows.len() {
            let (text, kind) = (cells.get(row, index), cells.kind(row, index));
            if kind != Kind::Null && !plan.nulls.has(text.as_bytes()) {
                candidates.see(text, kind, plan.era_dates);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &str, expected: &str) {
        let mut candidates = Candidates::all();
        for value in values.split_whitespace() {
            candidates.see(&value.replace('_', " "), Kind::Plain, false);
        }
        assert_eq!(candidates.decide(false).to_string(), expected, "{values}");
    }

    #[test]
    fn types_of_columns() {
        check("", "string");
        check("true FALSE True", "bool");
        check("0 1", "int64");
        check("true 1", "string");
        check("1 -2 -0", "int64");
        check("1 18446744073709551615", "uint64");
        check("-1 18446744073709551615", "string");
        check("18446744073709551616", "string");
        check("1 2.5", "float64");
        check("1e5 .5 -12.50", "float64");
        check("9007199254740993 1.5", "string");
        check("1 nan", "string");
        check("1.5 inf", "string");
        check("007 008", "string");
        check("+81 +1", "string");
        check("1,234", "string");
        check("2024-01-05 2024/1/5", "date");
        check("2024-01-05 2023-02-29", "string");
        check("2024-01-05 2024-01-05T10:00", "datetime");
        check("2024-01-05_10:00:00 2024/1/5_10:00", "datetime");
        check("2024-01-05T10:00:00Z 2024-01-05T10:00:00+09:00", "datetime_utc");
        check("2024-01-05T10:00:00Z 2024-01-05T10:00:00", "string");
        check("2024-01-05 2024", "string");
        check("R6.1.5", "string");
        check("x 1", "string");
    }

    #[test]
    fn json_text_is_no_number_but_may_be_a_date() {
        for (text, kind, expected) in [
            ("5", Kind::Text, "string"),
            ("true", Kind::Text, "string"),
            ("2024-01-05", Kind::Text, "date"),
            ("5", Kind::Number, "int64"),
            ("true", Kind::Bool, "bool"),
            ("{}", Kind::Nested, "string"),
        ] {
            let mut candidates = Candidates::all();
            candidates.see(text, kind, false);
            assert_eq!(candidates.decide(false).to_string(), expected, "{text} {kind:?}");
        }
    }

    #[test]
    fn eras_on_request() {
        let mut candidates = Candidates::all();
        for text in ["令和6年1月5日", "R6.1.5", "2024-01-05"] {
            candidates.see(text, Kind::Plain, true);
        }
        assert_eq!(candidates.decide(false), ColumnType::Date);
    }

    #[test]
    fn exact_decimals() {
        let decide = |values: &[&str]| {
            let mut candidates = Candidates::all();
            values.iter().for_each(|value| candidates.see(value, Kind::Plain, false));
            candidates.decide(true).to_string()
        };
        assert_eq!(decide(&["1.5", "120.25", "3"]), "decimal(18,2)");
        assert_eq!(decide(&["12345678901234567890.25"]), "decimal(22,2)");
        assert_eq!(decide(&["1", "2"]), "int64");
        assert_eq!(decide(&["1.5", "1e3"]), "float64");
    }

    proptest::proptest! {
        #[test]
        fn the_order_and_the_grouping_of_values_do_not_matter(
            values in proptest::collection::vec("true|-?[0-9]{1,20}|[0-9]\\.[0-9]|2024-0[1-9]-11|x", 0..6), cut in 0_usize..6,
        ) {
            let of = |values: &[String]| {
                let mut candidates = Candidates::all();
                values.iter().for_each(|value| candidates.see(value, Kind::Plain, false));
                candidates
            };
            let (head, tail) = values.split_at(cut.min(values.len()));
            let mut merged = of(tail);
            merged.merge(of(head));
            proptest::prop_assert_eq!(merged.decide(false), of(&values).decide(false));
            proptest::prop_assert_eq!(merged.decide(true), of(&values).decide(true));
        }
    }
}
