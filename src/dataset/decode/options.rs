//! What the user says about a file. All that is `None` or empty is found.

use std::collections::BTreeMap;

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
    pub skip_rows: u64,
    pub null_values: Option<Vec<String>>,
    /// Also `令和6年1月5日`, `R6.1.5` and `2024年1月5日`.
    pub era_dates: bool,
    /// Decimals found become `decimal(p,s)`, not `float64`.
    pub exact_decimals: bool,
    pub sheet: Option<String>,
    pub types: BTreeMap<String, ColumnType>,
    pub date_columns: Vec<String>,
    pub datetime_columns: Vec<String>,
}

impl ReadOptions {
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

    /// Every column named in the options must be in the file: a typing error should not pass in silence.
    pub(super) fn check_columns<'a>(
        &self,
        columns: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), DecodeError> {
        let named = (self.types.keys().map(|name| ("types", name)))
            .chain(self.date_columns.iter().map(|name| ("date_columns", name)))
            .chain(self.datetime_columns.iter().map(|name| ("datetime_columns", name)));
        for (option, name) in named {
            if !columns.clone().any(|column| column == name) {
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
