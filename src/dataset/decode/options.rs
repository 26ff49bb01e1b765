//! What the user says about a file. What is `None` or empty was not said, and is found.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{column_type::ColumnType, contract::Format, encoding::TextEncoding, error::DecodeError};

/// The spellings of "no value" when the user names none.
pub const NULL_VALUES: [&str; 5] = ["", "NULL", "null", "NA", "N/A"];

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    pub format: Option<Format>,
    pub encoding: Option<TextEncoding>,
    /// One ASCII character.
    pub delimiter: Option<char>,
    /// One ASCII character; `"` when absent.
    pub quote: Option<char>,
    pub has_header: Option<bool>,
    /// 0 when absent.
    pub skip_rows: Option<u64>,
    pub null_values: Option<Vec<String>>,
    /// Also `令和6年1月5日`, `R6.1.5` and `2024年1月5日`.
    pub era_dates: Option<bool>,
    /// Decimals found become `decimal(p,s)`, not `float64`.
    pub exact_decimals: Option<bool>,
    pub sheet: Option<String>,
    pub types: BTreeMap<String, ColumnType>,
    pub date_columns: Vec<String>,
    pub datetime_columns: Vec<String>,
    /// Columns that only a former import named: a newer file may be without them.
    #[serde(skip)]
    pub may_be_absent: BTreeSet<String>,
}

impl ReadOptions {
    /// What is said now, and for the rest what an import before this one `kept`. Columns are told apart:
    /// one that is named now forgets all that was said of it before.
    #[must_use]
    pub fn over(self, mut kept: Self) -> Self {
        let now: BTreeSet<String> = self.named_columns().map(|(_, column)| column.clone()).collect();
        kept.retain_columns(|column| !now.contains(column));
        let may_be_absent = kept.named_columns().map(|(_, column)| column.clone()).collect();
        let joined = |now: Vec<String>, kept: Vec<String>| now.into_iter().chain(kept).collect();
        Self {
            format: self.format.or(kept.format),
            encoding: self.encoding.or(kept.encoding),
            delimiter: self.delimiter.or(kept.delimiter),
            quote: self.quote.or(kept.quote),
            has_header: self.has_header.or(kept.has_header),
            skip_rows: self.skip_rows.or(kept.skip_rows),
            null_values: self.null_values.or(kept.null_values),
            era_dates: self.era_dates.or(kept.era_dates),
            exact_decimals: self.exact_decimals.or(kept.exact_decimals),
            sheet: self.sheet.or(kept.sheet),
            types: self.types.into_iter().chain(kept.types).collect(),
            date_columns: joined(self.date_columns, kept.date_columns),
            datetime_columns: joined(self.datetime_columns, kept.datetime_columns),
            may_be_absent,
        }
    }

    /// Forgets what is said of columns that do not pass `keep`.
    pub(in crate::dataset) fn retain_columns(&mut self, keep: impl Fn(&str) -> bool) {
        self.types.retain(|column, _| keep(column));
        self.date_columns.retain(|column| keep(column));
        self.datetime_columns.retain(|column| keep(column));
    }

    /// Every column that is named, with the option that names it.
    fn named_columns(&self) -> impl Iterator<Item = (&'static str, &String)> {
        (self.types.keys().map(|column| ("types", column)))
            .chain(self.date_columns.iter().map(|column| ("date_columns", column)))
            .chain(self.datetime_columns.iter().map(|column| ("datetime_columns", column)))
    }

    /// Refuses characters that cannot separate or quote.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        let refuse = |option, character: char| DecodeError::BadOption {
            option,
            reason: format!("expected one ASCII character other than a line end, got {character:?}"),
        };
        for (option, character) in [("delimiter", self.delimiter), ("quote", self.quote)] {
            match character {
                Some(c) if !c.is_ascii() || matches!(c, '\0' | '\r' | '\n') => return Err(refuse(option, c)),
                _ => {}
            }
        }
        match (self.delimiter, self.quote.unwrap_or('"')) {
            (Some(delimiter), quote) if delimiter == quote => Err(DecodeError::BadOption {
                option: "delimiter",
                reason: format!("{quote:?} is already the quote"),
            }),
            _ => Ok(()),
        }
    }

    /// The type that the user names for a column. `types` goes before the lists.
    pub(super) fn named_type(&self, column: &str) -> Option<ColumnType> {
        let listed = |names: &[String]| names.iter().any(|name| name == column);
        self.types
            .get(column)
            .copied()
            .or_else(|| listed(&self.date_columns).then_some(ColumnType::Date))
            .or_else(|| listed(&self.datetime_columns).then_some(ColumnType::Datetime))
    }

    /// Every column that is named now must be in the file: a typing error should not pass in silence.
    pub(super) fn check_columns<'a>(
        &self,
        columns: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), DecodeError> {
        for (option, name) in self.named_columns() {
            if !self.may_be_absent.contains(name) && !columns.clone().any(|column| column == name) {
                let known = columns.clone().take(20).collect::<Vec<_>>().join("`, `");
                return Err(DecodeError::BadOption {
                    option,
                    reason: format!("no column named `{name}`; the columns are `{known}`"),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given, kept, and what comes of both: each as JSON, where what is absent was not said.
    #[test]
    fn what_is_said_now_goes_before_what_was_kept() {
        check("{}", r#"{"encoding":"shift_jis"}"#, r#"{"encoding":"shift_jis"}"#);
        check(r#"{"encoding":"utf-8"}"#, r#"{"encoding":"shift_jis"}"#, r#"{"encoding":"utf-8"}"#);
        check(r#"{"delimiter":";"}"#, r#"{"quote":"'"}"#, r#"{"delimiter":";","quote":"'"}"#);
        check(r#"{"has_header":false}"#, r#"{"has_header":true}"#, r#"{"has_header":false}"#);
        check(r#"{"skip_rows":0}"#, r#"{"skip_rows":3}"#, r#"{"skip_rows":0}"#);
        check(r#"{"era_dates":false}"#, r#"{"era_dates":true}"#, r#"{"era_dates":false}"#);
        check("{}", r#"{"exact_decimals":true}"#, r#"{"exact_decimals":true}"#);
        check(r#"{"null_values":[]}"#, r#"{"null_values":["-"]}"#, r#"{"null_values":[]}"#);
        check(
            r#"{"sheet":"2025"}"#,
            r#"{"sheet":"2024","format":"xlsx"}"#,
            r#"{"sheet":"2025","format":"xlsx"}"#,
        );
        check(
            r#"{"types":{"a":"string"}}"#,
            r#"{"types":{"a":"int64","b":"date"}}"#,
            r#"{"types":{"a":"string","b":"date"}}"#,
        );
        check(
            r#"{"date_columns":["a"]}"#,
            r#"{"types":{"a":"int64"},"date_columns":["b"]}"#,
            r#"{"date_columns":["a","b"]}"#,
        );
        check(
            r#"{"types":{"a":"string"}}"#,
            r#"{"datetime_columns":["a","c"]}"#,
            r#"{"types":{"a":"string"},"datetime_columns":["c"]}"#,
        );

        #[track_caller]
        fn check(given: &str, kept: &str, expected: &str) {
            let read = |text: &str| serde_json::from_str::<ReadOptions>(text).unwrap();
            let merged = ReadOptions { may_be_absent: BTreeSet::new(), ..read(given).over(read(kept)) };
            assert_eq!(merged, read(expected));
        }
    }

    #[test]
    fn only_a_column_that_is_named_now_must_be_there() {
        let naming =
            |column: &str| ReadOptions { date_columns: vec![column.to_owned()], ..ReadOptions::default() };
        let there = || ["a", "b"].into_iter();
        assert!(naming("gone").check_columns(there()).is_err());
        assert!(naming("a").over(naming("gone")).check_columns(there()).is_ok());
        assert!(naming("gone").over(naming("a")).check_columns(there()).is_err());
        assert!(naming("gone").over(naming("gone")).check_columns(there()).is_err());
    }
}
