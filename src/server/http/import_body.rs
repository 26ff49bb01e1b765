//! What a caller says about a file: the same fields as JSON and as a form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::error::ApiResult;
use crate::catalog::name::NameKey;
use crate::catalog::record::DatasetRecord;
use crate::dataset::decode::{ColumnType, Format, ReadOptions, TextEncoding};
use crate::dataset::import::ImportOptions;
use crate::error::Error;

/// How to read and lay out a file. What is left out is found or, for a re-import, stays as it was.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ImportBody {
    /// The dataset's name; by default that of the file without its extension.
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// `csv`, `ndjson`, `xlsx`, `parquet`, `arrow_file` or `arrow_stream`.
    #[schema(value_type = Option<String>)]
    format: Option<Format>,
    /// `utf-8`, `utf-8-sig`, `utf-16`, `utf-16le`, `utf-16be`, `shift_jis`, `cp932` or `euc-jp`.
    #[schema(value_type = Option<String>, example = "shift_jis")]
    encoding: Option<TextEncoding>,
    /// One character; `\t` or `tab` for a tabulator.
    #[schema(example = ",")]
    delimiter: Option<String>,
    /// One character.
    quote: Option<String>,
    has_header: Option<bool>,
    /// Lines before the header; by default 0.
    skip_rows: Option<u64>,
    /// Spellings of NULL; by default empty, `NULL`, `null`, `NA`, `N/A`.
    null_values: Option<Vec<String>>,
    /// Types that are not to be found but to be taken: `int64`, `decimal(18,2)`, `string`, … A re-import
    /// keeps those of the columns that it does not name.
    #[schema(value_type = Object, example = json!({"price": "decimal(18,2)"}))]
    types: BTreeMap<String, ColumnType>,
    date_columns: Vec<String>,
    datetime_columns: Vec<String>,
    /// Also read Japanese era dates such as 令和6年1月5日.
    era_dates: Option<bool>,
    /// Decimals become `decimal` with the digits that were found, instead of `float64`.
    exact_decimals: Option<bool>,
    /// The sheet of a workbook; by default the first.
    sheet: Option<String>,
    /// A date column: each of its days gets files of its own. An empty name ends a split.
    partition_column: Option<String>,
    /// Rows are sorted by this column: ranges of it and top lists read less. An empty name ends that.
    sort_column: Option<String>,
    /// Wrong rows up to this number are set aside and can be read; with more the import fails. By default 0.
    #[schema(maximum = 100_000)]
    max_bad_rows: Option<u64>,
    /// Re-imports: accept a changed schema.
    pub(super) force: bool,
}

/// Fields of a form that are not text.
const FLAGS: [&str; 4] = ["has_header", "era_dates", "exact_decimals", "force"];
const NUMBERS: [&str; 2] = ["skip_rows", "max_bad_rows"];
const LISTS: [&str; 3] = ["null_values", "date_columns", "datetime_columns"];

impl ImportBody {
    /// From the text fields of a form. Flags are `true` or `false`; lists are JSON or separated by
    /// commas; `types` is JSON. A field `options` may hold all of it as one JSON object.
    pub(super) fn from_form(mut texts: BTreeMap<String, String>) -> ApiResult<Self> {
        let mut fields = match texts.remove("options") {
            Some(options) => read_options(&options)?,
            None => Map::new(),
        };
        for (name, text) in texts {
            // An empty field of a form is one that was not filled in, but for the NULL spelling "".
            if text.is_empty() {
                continue;
            }
            let value = value_of(&name, text)?;
            fields.insert(name, value);
        }
        Self::from_fields(fields)
    }

    /// From fields that stand beside others, which were taken out.
    pub(super) fn from_fields(fields: Map<String, Value>) -> ApiResult<Self> {
        serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            let field = error.path().to_string();
            let message = format!("`{field}`: {}", error.inner());
            Error::Invalid { message, details: json!({ "field": field }) }.into()
        })
    }

    /// Refuses a name or a description other than those of a dataset that is there: an import changes rows.
    pub(super) fn check_names(&self, record: &DatasetRecord) -> Result<(), Error> {
        let refuse = |field: &'static str, message: String| Err(Error::invalid_field(field, message));
        if let Some(name) = self.name.as_deref().filter(|name| NameKey::of(name) != record.name_key) {
            let message = format!(
                "`name` is `{name}`, but the dataset is called `{}`: a re-import does not rename it; leave \
                 `name` out, or change it with `PUT /api/datasets/{}`",
                record.name, record.id
            );
            return refuse("name", message);
        }
        if self.description.as_ref().is_some_and(|description| *description != record.description) {
            let message = format!(
                "a re-import does not change the description: leave `description` out, or change it with \
                 `PUT /api/datasets/{}`",
                record.id
            );
            return refuse("description", message);
        }
        Ok(())
    }

    /// In the words of the domain.
    pub(super) fn options(self) -> Result<ImportOptions, Error> {
        Ok(ImportOptions {
            read: ReadOptions {
                format: self.format,
                encoding: self.encoding,
                delimiter: character("delimiter", self.delimiter)?,
                quote: character("quote", self.quote)?,
                has_header: self.has_header,
                skip_rows: self.skip_rows,
                null_values: self.null_values,
                era_dates: self.era_dates,
                exact_decimals: self.exact_decimals,
                sheet: self.sheet,
                types: self.types,
                date_columns: self.date_columns,
                datetime_columns: self.datetime_columns,
                ..ReadOptions::default()
            },
            partition_column: self.partition_column,
            sort_column: self.sort_column,
            bad_rows_max: self.max_bad_rows,
        })
    }
}

fn read_options(text: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(text)
        .map_err(|cause| Error::invalid_field("options", format!("`options` is not a JSON object: {cause}")))
}

fn value_of(name: &str, text: String) -> Result<Value, Error> {
    let wrong = |expected: &str, text: &str| Error::Invalid {
        message: format!("`{name}` is `{text}`: expected {expected}"),
        details: json!({ "field": name }),
    };
    if FLAGS.contains(&name) {
        return match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" => Ok(Value::Bool(true)),
            "false" | "0" | "off" => Ok(Value::Bool(false)),
            _ => Err(wrong("`true` or `false`", &text)),
        };
    }
    if NUMBERS.contains(&name) {
        return text.parse::<u64>().map(Value::from).map_err(|_| wrong("a whole number", &text));
    }
    if LISTS.contains(&name) && !text.trim_start().starts_with('[') {
        return Ok(text.split(',').map(|item| Value::from(item.trim())).collect());
    }
    if LISTS.contains(&name) || name == "types" {
        return serde_json::from_str(&text).map_err(|_| wrong("JSON", &text));
    }
    Ok(Value::String(text))
}

fn character(field: &'static str, text: Option<String>) -> Result<Option<char>, Error> {
    let Some(text) = text else { return Ok(None) };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(Some(character)),
        _ if text == "\\t" || text.eq_ignore_ascii_case("tab") => Ok(Some('\t')),
        _ => Err(Error::invalid_field(field, format!("`{field}` is `{text}`: expected one character"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Result<ImportOptions, Error> {
        let texts = fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        ImportBody::from_form(texts).map_err(|error| error.0)?.options()
    }

    #[test]
    fn a_form_says_what_json_says() {
        let options = form(&[
            ("name", "売上"),
            ("has_header", "true"),
            ("delimiter", "\\t"),
            ("encoding", "cp932"),
            ("types", r#"{"code": "string", "price": "decimal(18,2)"}"#),
            ("date_columns", "day, due"),
            ("null_values", r#"["", "-"]"#),
            ("max_bad_rows", "5"),
            ("partition_column", ""),
        ]);
        let options = options.unwrap();
        assert_eq!((options.read.delimiter, options.read.has_header), (Some('\t'), Some(true)));
        assert_eq!(options.read.types["price"].to_string(), "decimal(18,2)");
        assert_eq!(options.read.date_columns, ["day", "due"]);
        assert_eq!(options.read.null_values, Some(vec![String::new(), "-".to_owned()]));
        assert_eq!((options.bad_rows_max, options.partition_column), (Some(5), None));
        assert_eq!((options.read.skip_rows, options.read.era_dates), (None, None), "not said");
        let options = form(&[("skip_rows", "0"), ("era_dates", "false")]).unwrap();
        assert_eq!((options.read.skip_rows, options.read.era_dates), (Some(0), Some(false)), "said");
    }

    #[test]
    fn a_wrong_field_is_named() {
        check("has_header", "maybe", "`has_header` is `maybe`: expected `true` or `false`");
        check("max_bad_rows", "-1", "`max_bad_rows` is `-1`: expected a whole number");
        check("delimiter", "ab", "`delimiter` is `ab`: expected one character");
        check("encoding", "klingon", "`encoding`");
        check("types", r#"{"a": "text"}"#, "text");
        check("delimeter", ",", "delimeter");

        #[track_caller]
        fn check(field: &str, text: &str, expected: &str) {
            let error = form(&[(field, text)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
