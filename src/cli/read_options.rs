//! What a person may say about a file, as arguments; everything that is left out is found.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::failure::Failure;

/// How to read a file.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// One character; `\t` for a tab
    #[arg(long, value_name = "CHARACTER", value_parser = character)]
    delimiter: Option<char>,
    /// One character; " by default
    #[arg(long, value_name = "CHARACTER", value_parser = character)]
    quote: Option<char>,
    /// utf-8, utf-8-sig, utf-16, utf-16le, utf-16be, shift_jis, cp932 or euc-jp
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// The first row holds values
    #[arg(long, conflicts_with = "header")]
    no_header: bool,
    /// The first row holds names
    #[arg(long)]
    header: bool,
    /// Lines to leave out before the header; 0 by default
    #[arg(long, value_name = "COUNT")]
    skip_rows: Option<u64>,
    /// Type of a column, such as price=decimal(18,2); may be repeated
    #[arg(long = "type", value_name = "COLUMN=TYPE", value_parser = column_type)]
    types: Vec<(String, String)>,
    /// A column of dates; may be repeated
    #[arg(long = "date-column", value_name = "COLUMN")]
    date_columns: Vec<String>,
    /// A column of dates with times; may be repeated
    #[arg(long = "datetime-column", value_name = "COLUMN")]
    datetime_columns: Vec<String>,
    /// A spelling of "no value", in place of the usual ones; may be repeated
    #[arg(long = "null-value", value_name = "TEXT")]
    null_values: Vec<String>,
    /// Also read Japanese era dates, such as 令和6年1月5日; `--era-dates=false` ends it for a dataset
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    era_dates: Option<bool>,
    /// Decimals stay exact instead of becoming float64; `--exact-decimals=false` ends it for a dataset
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    exact_decimals: Option<bool>,
    /// Sheet of a workbook; the first by default
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
}

/// The same as the API takes it. What is absent is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ReadOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    delimiter: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_header: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_rows: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    types: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    date_columns: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    datetime_columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    null_values: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    era_dates: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exact_decimals: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
}

impl ReadArgs {
    /// # Errors
    /// `Usage` when a column has two types.
    pub(super) fn options(self) -> Result<ReadOptions, Failure> {
        let mut types = BTreeMap::new();
        for (column, column_type) in self.types {
            if types.insert(column.clone(), column_type).is_some() {
                return Err(Failure::Usage(format!("`--type` names the column `{column}` twice")));
            }
        }
        Ok(ReadOptions {
            delimiter: self.delimiter,
            quote: self.quote,
            encoding: self.encoding,
            has_header: (self.header || self.no_header).then_some(self.header),
            skip_rows: self.skip_rows,
            types,
            date_columns: self.date_columns,
            datetime_columns: self.datetime_columns,
            null_values: (!self.null_values.is_empty()).then_some(self.null_values),
            era_dates: self.era_dates,
            exact_decimals: self.exact_decimals,
            sheet: self.sheet,
        })
    }
}

fn character(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("\\t" | "tab", _, _) => Ok('\t'),
        (_, Some(character), None) => Ok(character),
        _ => Err("expected one character, or `\\t`".to_owned()),
    }
}

/// Names of columns may hold `=`, types never do.
fn column_type(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((column, column_type)) if !column.is_empty() && !column_type.is_empty() => {
            Ok((column.to_owned(), column_type.to_owned()))
        }
        _ => Err("expected COLUMN=TYPE, such as price=decimal(18,2)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        read: ReadArgs,
    }

    #[test]
    fn only_what_was_said_is_sent() {
        check(&[], json!({}));
        check(
            &["--delimiter", "\\t", "--no-header", "--type", "a=b=decimal(18,2)", "--null-value", "-"],
            json!({
                "delimiter": "\t", "has_header": false, "types": { "a=b": "decimal(18,2)" },
                "null_values": ["-"],
            }),
        );
        check(
            &["--skip-rows", "0", "--era-dates", "--exact-decimals=false"],
            json!({ "skip_rows": 0, "era_dates": true, "exact_decimals": false }),
        );

        #[track_caller]
        fn check(args: &[&str], expected: serde_json::Value) {
            let parsed = Only::try_parse_from(std::iter::once("x").chain(args.iter().copied())).unwrap();
            assert_eq!(serde_json::to_value(parsed.read.options().unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn contradictions_are_usage_errors() {
        for args in [&["--delimiter", "ab"][..], &["--type", "price"], &["--header", "--no-header"]] {
            assert!(Only::try_parse_from(std::iter::once("x").chain(args.iter().copied())).is_err());
        }
        let twice = Only::try_parse_from(["x", "--type", "a=int64", "--type", "a=string"]).unwrap();
        assert!(matches!(twice.read.options(), Err(Failure::Usage(_))));
    }
}
