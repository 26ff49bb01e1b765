//! Values for the `$name`s of a statement, each with its type.
//!
//! A value is kept as text in the one form of its type, because that is exact where a number in JSON would not
//! be, can be stored and compared, and two spellings of a value are one. It never becomes part of a statement:
//! `bind` puts it into the plan as a literal.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

/// By name, without the `$`.
pub type Parameters = BTreeMap<String, Parameter>;

/// The forms of times without a zone.
const DATETIME_FORMS: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];

/// A type that a value can have, by the name that columns of it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ParameterType {
    Bool,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Date,
    /// On no particular clock.
    Datetime,
    /// A moment.
    DatetimeUtc,
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Date => f.write_str("date"),
            Self::Datetime => f.write_str("datetime"),
            Self::DatetimeUtc => f.write_str("datetime_utc"),
        }
    }
}

impl From<ParameterType> for String {
    fn from(data_type: ParameterType) -> Self {
        data_type.to_string()
    }
}

impl TryFrom<String> for ParameterType {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for ParameterType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = [
            Self::Bool,
            Self::Int64,
            Self::Float64,
            Self::String,
            Self::Date,
            Self::Datetime,
            Self::DatetimeUtc,
        ];
        if let Some(found) = named.into_iter().find(|data_type| data_type.to_string() == name) {
            return Ok(found);
        }
        decimal_type(name).ok_or_else(|| {
            Error::invalid_field(
                "parameters",
                format!(
                    "no type `{name}`: expected `bool`, `int64`, `float64`, `decimal(p,s)` with p up to 38, `string`, \
                     `date`, `datetime` or `datetime_utc`"
                ),
            )
        })
    }
}

fn decimal_type(name: &str) -> Option<ParameterType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && scale <= precision)
        .then_some(ParameterType::Decimal { precision, scale })
}

impl ParameterType {
    /// `text` in the one form of this type; what would have been right when it is not of this type.
    fn canonical(self, text: &str) -> std::result::Result<String, String> {
        let canonical = match self {
            Self::Bool => text.parse().ok().map(|value: bool| value.to_string()),
            Self::Int64 => text.parse().ok().map(|value: i64| value.to_string()),
            Self::Float64 => {
                text.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| format!("{value:?}"))
            }
            Self::Decimal { precision, scale } => decimal(text, precision, scale),
            Self::String => Some(text.to_owned()),
            Self::Date => date(text).map(|value| value.to_string()),
            Self::Datetime => {
                datetime(text).map(|value| value.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
            }
            Self::DatetimeUtc => {
                moment(text).map(|value| value.to_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
            }
        };
        canonical.ok_or_else(|| self.expected())
    }

    fn expected(self) -> String {
        match self {
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Int64 => "a whole number from -9223372036854775808 to 9223372036854775807".to_owned(),
            Self::Float64 => "a finite number".to_owned(),
            Self::Decimal { precision, scale } => format!(
                "a number of at most {} digits before the point and {scale} after it",
                precision - scale
            ),
            Self::String => "text".to_owned(),
            Self::Date => "a date such as `2024-01-31`".to_owned(),
            Self::Datetime => {
                "a time such as `2024-01-31T09:00:00` without an offset (`datetime_utc` has one) and with at most 6 digits of a second".to_owned()
            }
            Self::DatetimeUtc => {
                "a time with its offset such as `2024-01-31T09:00:00+09:00`, with at most 6 digits of a second".to_owned()
            }
        }
    }

    fn arrow(self, time_zone: &str) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::String => DataType::Utf8View,
            Self::Date => DataType::Date32,
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::DatetimeUtc => DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
        }
    }

    /// The type as a statement would name it, which the planner makes the type of [`Self::arrow`] again.
    fn sql(self) -> SqlType {
        match self {
            Self::Bool => SqlType::Boolean,
            Self::Int64 => SqlType::BigInt(None),
            Self::Float64 => SqlType::Double(ExactNumberInfo::None),
            Self::Decimal { precision, scale } => {
                SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(u64::from(precision), i64::from(scale)))
            }
            Self::String => SqlType::Varchar(None),
            Self::Date => SqlType::Date,
            Self::Datetime => SqlType::Timestamp(Some(6), TimezoneInfo::None),
            Self::DatetimeUtc => SqlType::Timestamp(Some(6), TimezoneInfo::WithTimeZone),
        }
    }

    /// A value in its canonical form.
    fn scalar(self, text: Option<&str>, time_zone: &str) -> Result<ScalarValue> {
        let Some(text) = text else {
            return ScalarValue::try_new_null(&self.arrow(time_zone)).map_err(super::classify::classify);
        };
        let scalar = match self {
            Self::Bool => text.parse().ok().map(|value| ScalarValue::Boolean(Some(value))),
            Self::Int64 => text.parse().ok().map(|value| ScalarValue::Int64(Some(value))),
            Self::Float64 => text.parse().ok().map(|value| ScalarValue::Float64(Some(value))),
            Self::Decimal { precision, scale } => text
                .replace('.', "")
                .parse()
                .ok()
                .map(|digits| ScalarValue::Decimal128(Some(digits), precision, scale.cast_signed())),
            Self::String => Some(ScalarValue::Utf8View(Some(text.to_owned()))),
            Self::Date => date(text).and_then(|value| {
                let days = value.signed_duration_since(NaiveDate::default()).num_days();
                Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?)))
            }),
            Self::Datetime => moment(text)
                .map(|value| ScalarValue::TimestampMicrosecond(Some(value.timestamp_micros()), None)),
            Self::DatetimeUtc => moment(text).map(|value| {
                ScalarValue::TimestampMicrosecond(Some(value.timestamp_micros()), Some(time_zone.into()))
            }),
        };
        // A spec that was made elsewhere may hold anything.
        scalar
            .ok_or_else(|| Error::invalid_field("parameters", format!("`{text}` is not {}", self.expected())))
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    if text.len() != "2024-01-31".len() {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

fn datetime(text: &str) -> Option<NaiveDateTime> {
    let parsed = DATETIME_FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    whole_micros(parsed.and_utc().timestamp_subsec_nanos()).then_some(parsed)
}

fn moment(text: &str) -> Option<DateTime<chrono::FixedOffset>> {
    let parsed = DateTime::parse_from_rfc3339(text).ok()?;
    whole_micros(parsed.timestamp_subsec_nanos()).then_some(parsed)
}

fn whole_micros(nanos: u32) -> bool {
    nanos.is_multiple_of(1000) && nanos < 1_000_000_000
}

/// A decimal with exactly `scale` digits after the point; `None` rather than one that was rounded.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.len() > usize::from(precision - scale) || fraction.len() > usize::from(scale) {
        return None;
    }
    let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if scale == 0 { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction:0<width$}", width = usize::from(scale)))
}

/// A value, or a list of values, for one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parameter {
    /// `None` when all there is is NULL.
    data_type: Option<ParameterType>,
    value: Values,
}

/// In canonical form; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Values {
    One(Option<String>),
    Many(Vec<Option<String>>),
}

impl Parameter {
    /// NULL that could be of any type.
    #[must_use]
    pub fn null() -> Self {
        Self { data_type: None, value: Values::One(None) }
    }

    /// One value of `data_type`.
    ///
    /// # Errors
    /// `Invalid` when `text` is no value of that type.
    pub fn one(name: &str, data_type: ParameterType, text: Option<&str>) -> Result<Self> {
        let value = text.map(|text| read(name, data_type, text)).transpose()?;
        Ok(Self { data_type: Some(data_type), value: Values::One(value) })
    }

    /// A list of values, for `IN ($name)` and `= ANY($name)`. Without a type it may hold only NULL.
    ///
    /// # Errors
    /// `Invalid` when one is no value of that type, `OverLimit` when there are too many.
    pub fn many(name: &str, data_type: Option<ParameterType>, texts: &[Option<&str>]) -> Result<Self> {
        if texts.len() > limits::PARAMETER_VALUES_MAX {
            return Err(Error::OverLimit(format!(
                "the parameter `{name}` has {} values; at most {} are accepted",
                texts.len(),
                limits::PARAMETER_VALUES_MAX
            )));
        }
        let values = texts.iter().map(|text| match (text, data_type) {
            (Some(text), Some(data_type)) => read(name, data_type, text).map(Some),
            (Some(_), None) => Err(Error::invalid_field("parameters", format!("`{name}` has no type"))),
            (None, _) => Ok(None),
        });
        Ok(Self { data_type, value: Values::Many(values.collect::<Result<_>>()?) })
    }

    /// The type as a statement would name it, if it has one.
    pub(super) fn sql(&self) -> Option<SqlType> {
        let element = self.data_type?.sql();
        Some(match self.value {
            Values::One(_) => element,
            Values::Many(_) => SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None)),
        })
    }

    /// What stands in a plan for it.
    pub(super) fn literal(&self, time_zone: &str) -> Result<Literal> {
        let scalar = |text: &Option<String>| match self.data_type {
            Some(data_type) => data_type.scalar(text.as_deref(), time_zone),
            None => Ok(ScalarValue::Null),
        };
        match &self.value {
            Values::One(text) => Ok(Literal { items: None, value: scalar(text)? }),
            Values::Many(texts) => {
                let items = texts.iter().map(scalar).collect::<Result<Vec<_>>>()?;
                let element = self.data_type.map_or(DataType::Null, |data_type| data_type.arrow(time_zone));
                let value = ScalarValue::List(ScalarValue::new_list_nullable(&items, &element));
                Ok(Literal { items: Some(items), value })
            }
        }
    }
}

/// A parameter as a plan holds it.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) value: ScalarValue,
    /// The elements of a list.
    pub(super) items: Option<Vec<ScalarValue>>,
}

fn read(name: &str, data_type: ParameterType, text: &str) -> Result<String> {
    data_type.canonical(text).map_err(|expected| {
        // A long text is told by its beginning.
        let shown: String = text.chars().take(80).collect();
        let message =
            format!("the parameter `{name}` is `{shown}`: expected {expected}, as its type is `{data_type}`");
        let details = serde_json::json!({ "field": "parameters", "parameter": name });
        Error::Invalid { message, details }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_form() {
        check("int64", "-9223372036854775808", Some("-9223372036854775808"));
        check("int64", "9223372036854775808", None);
        check("int64", "007", Some("7"));
        check("int64", "1.0", None);
        check("int64", " 1", None);
        check("int64", "１", None);
        check("float64", "1e3", Some("1000.0"));
        check("float64", "0.1", Some("0.1"));
        check("float64", "inf", None);
        check("float64", "1e999", None);
        check("bool", "true", Some("true"));
        check("bool", "1", None);
        check("decimal(5,2)", "-1.5", Some("-1.50"));
        check("decimal(5,2)", "-0.00", Some("0.00"));
        check("decimal(5,2)", "999.990", Some("999.99"));
        check("decimal(5,2)", "1000", None);
        check("decimal(5,2)", "1.005", None);
        check("decimal(5,2)", "1e2", None);
        check("decimal(5,2)", ".5", None);
        check(
            "decimal(38,0)",
            "99999999999999999999999999999999999999",
            Some("99999999999999999999999999999999999999"),
        );
        check("decimal(39,0)", "1", None);
        check("decimal(2,3)", "1", None);
        check("date", "2024-02-29", Some("2024-02-29"));
        check("date", "2023-02-29", None);
        check("date", "2024-2-9", None);
        check("date", "２024-02-9", None);
        check("datetime", "2024-01-31 09:00:00", Some("2024-01-31T09:00:00.000000Z"));
        check("datetime", "2024-01-31T09:00:00.123456", Some("2024-01-31T09:00:00.123456Z"));
        check("datetime", "2024-01-31T09:00:00.1234567", None);
        check("datetime", "2024-01-31T09:00:00Z", None);
        check("datetime_utc", "2024-01-31T09:00:00+09:00", Some("2024-01-31T00:00:00.000000Z"));
        check("datetime_utc", "2024-01-31T09:00:00", None);
        check("string", "O'Hare", Some("O'Hare"));
        check("text", "x", None);

        #[track_caller]
        fn check(data_type: &str, text: &str, expected: Option<&str>) {
            let got = data_type.parse::<ParameterType>().ok().and_then(|found| found.canonical(text).ok());
            assert_eq!(got.as_deref(), expected, "{data_type} {text}");
        }
    }

    #[test]
    fn a_wrong_value_names_its_parameter_and_what_was_expected() {
        let error = Parameter::one("from", ParameterType::Date, Some("yesterday")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the parameter `from` is `yesterday`: expected a date such as `2024-01-31`, as its type is `date`"
        );
        assert_eq!(error.details()["parameter"], "from");
        let many = vec![Some("1"); limits::PARAMETER_VALUES_MAX + 1];
        let error = Parameter::many("ids", Some(ParameterType::Int64), &many).unwrap_err();
        assert_eq!(error.to_string(), "the parameter `ids` has 10001 values; at most 10000 are accepted");
    }

    #[test]
    fn a_value_survives_being_kept() {
        for parameter in [
            Parameter::null(),
            Parameter::one("x", ParameterType::Float64, Some("0.1")).unwrap(),
            Parameter::one("x", ParameterType::Decimal { precision: 38, scale: 10 }, Some("1.5")).unwrap(),
            Parameter::many("x", Some(ParameterType::Int64), &[Some("9007199254740993"), None]).unwrap(),
        ] {
            let kept: Parameter = serde_json::from_str(&serde_json::to_string(&parameter).unwrap()).unwrap();
            assert_eq!(kept, parameter);
            assert_eq!(
                kept.literal("UTC").unwrap().value,
                parameter.literal("UTC").unwrap().value,
                "{parameter:?}"
            );
        }
    }
}
