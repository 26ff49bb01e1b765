//! The values of a statement's `$name`s, as they come in JSON or as pairs of text.
//!
//! Numbers are read from their own text, never through a double, so that a 64-bit id stays what it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::parameter::{Parameter, ParameterType, Parameters};
use crate::error::{Error, Result};

/// What a name in a pair begins with, as in `p.from:date=2024-01-31`.
const PREFIX: &str = "p.";

/// The largest integer up to which a double holds each.
const EXACT_MAX: u64 = 1 << 53;

/// Digits of the largest decimal.
const DIGITS_MAX: usize = 38;

/// Values in JSON: by name, a value, a list of values, or `{"type": …, "value": …}`.
#[derive(Debug, Default)]
pub struct WrittenParameters(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for WrittenParameters {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = WrittenParameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a value for each name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WrittenParameters, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if values.contains_key(&name) {
                        return Err(A::Error::custom(format!("`{name}` is given twice")));
                    }
                    values.insert(name, value);
                }
                Ok(WrittenParameters(values))
            }
        }

        from.deserialize_map(Names)
    }
}

/// A value with its type written out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed<'a> {
    #[serde(rename = "type")]
    data_type: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl WrittenParameters {
    /// The values, each of its type.
    ///
    /// # Errors
    /// `Invalid` for one that is not of its type, or has none.
    pub fn read(&self) -> Result<Parameters> {
        self.0.iter().map(|(name, raw)| Ok((name.clone(), parameter(name, raw.get())?))).collect()
    }
}

fn parameter(name: &str, raw: &str) -> Result<Parameter> {
    match raw.as_bytes().first() {
        Some(b'{') => {
            let typed: Typed<'_> = serde_json::from_str(raw)
                .map_err(|cause| wrong(name, format!("expected `type` and `value`: {cause}")))?;
            let data_type = typed.data_type.parse::<ParameterType>().map_err(|error| wrong(name, error))?;
            typed_value(name, data_type, typed.value.get())
        }
        Some(b'[') => {
            let values = elements(name, raw)?;
            let plain = values.iter().map(|value| plain(name, value.get())).collect::<Result<Vec<_>>>()?;
            list(name, &plain)
        }
        _ => match plain(name, raw)? {
            None => Ok(Parameter::null()),
            Some((data_type, text)) => Parameter::one(name, data_type, Some(&text)),
        },
    }
}

fn typed_value(name: &str, data_type: ParameterType, raw: &str) -> Result<Parameter> {
    if raw.starts_with('[') {
        let values = elements(name, raw)?;
        let texts = values.iter().map(|value| text(name, data_type, value.get()));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
        return Parameter::many(name, Some(data_type), &texts);
    }
    Parameter::one(name, data_type, text(name, data_type, raw)?.as_deref())
}

/// A value whose type is known, as text.
fn text(name: &str, data_type: ParameterType, raw: &str) -> Result<Option<String>> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => Ok(Some(unescaped(raw)?)),
        Some(b'{' | b'[') => Err(wrong(name, format!("`{raw}` is no value of the type `{data_type}`"))),
        _ if data_type == ParameterType::String => {
            Err(wrong(name, format!("`{raw}` is no text: write it in quotes, as its type is `string`")))
        }
        _ => Ok(Some(raw.to_owned())),
    }
}

/// A value and the type that its form in JSON tells; `None` for NULL.
fn plain(name: &str, raw: &str) -> Result<Option<(ParameterType, String)>> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => Ok(Some((ParameterType::String, unescaped(raw)?))),
        Some(b't' | b'f') => Ok(Some((ParameterType::Bool, raw.to_owned()))),
        Some(b'{' | b'[') => Err(wrong(name, "a list holds values, not lists or objects")),
        _ => Ok(Some((number_type(name, raw)?, raw.to_owned()))),
    }
}

fn unescaped(raw: &str) -> Result<String> {
    serde_json::from_str(raw).map_err(Error::internal)
}

/// Whole numbers are `int64`, or exact decimals when they are longer; others are `float64`.
fn number_type(name: &str, raw: &str) -> Result<ParameterType> {
    if raw.contains(['.', 'e', 'E']) {
        return Ok(ParameterType::Float64);
    }
    if raw.parse::<i64>().is_ok() {
        return Ok(ParameterType::Int64);
    }
    let digits = raw.trim_start_matches('-').len();
    match u8::try_from(digits) {
        Ok(precision) if digits <= DIGITS_MAX => Ok(ParameterType::Decimal { precision, scale: 0 }),
        _ => Err(wrong(name, format!("a number of {digits} digits; at most {DIGITS_MAX} are accepted"))),
    }
}

fn elements<'a>(name: &str, raw: &'a str) -> Result<Vec<&'a RawValue>> {
    serde_json::from_str(raw).map_err(|cause| wrong(name, cause))
}

/// A list, of the one type that holds all its values exactly.
fn list(name: &str, values: &[Option<(ParameterType, String)>]) -> Result<Parameter> {
    let mut common = None;
    for (data_type, _) in values.iter().flatten() {
        common = Some(match common {
            None => *data_type,
            Some(common) => both(common, *data_type).ok_or_else(|| {
                wrong(
                    name,
                    format!("a list has values of one type, this one has `{common}` and `{data_type}`"),
                )
            })?,
        });
    }
    if common == Some(ParameterType::Float64) {
        let inexact =
            |text: &&String| text.parse::<i64>().is_ok_and(|value| value.unsigned_abs() > EXACT_MAX);
        if let Some(text) = values.iter().flatten().map(|(_, text)| text).find(inexact) {
            return Err(wrong(
                name,
                format!("`{text}` cannot be held exactly beside numbers with a fraction"),
            ));
        }
    }
    let texts: Vec<_> = values.iter().map(|value| value.as_ref().map(|(_, text)| text.as_str())).collect();
    Parameter::many(name, common, &texts)
}

/// The type that holds values of both.
fn both(a: ParameterType, b: ParameterType) -> Option<ParameterType> {
    use ParameterType as T;
    match (a, b) {
        _ if a == b => Some(a),
        (T::Int64, T::Float64) | (T::Float64, T::Int64) => Some(T::Float64),
        (T::Int64, T::Decimal { precision, scale: 0 }) | (T::Decimal { precision, scale: 0 }, T::Int64) => {
            Some(T::Decimal { precision: precision.max(19), scale: 0 })
        }
        (T::Decimal { precision: a, scale: 0 }, T::Decimal { precision: b, scale: 0 }) => {
            Some(T::Decimal { precision: a.max(b), scale: 0 })
        }
        _ => None,
    }
}

fn wrong(name: &str, why: impl fmt::Display) -> Error {
    Error::Invalid {
        message: format!("the parameter `{name}`: {why}"),
        details: json!({ "field": "parameters", "parameter": name }),
    }
}

/// The values among pairs of text: `p.name=text`, `p.name:type=value`. A name that comes
/// several times is a list.
///
/// # Errors
/// `Invalid` for one that is not of its type, or whose type changes.
pub fn parameters_of_pairs(pairs: &[(String, String)]) -> Result<Parameters> {
    let mut found: BTreeMap<&str, (ParameterType, Vec<Option<&str>>)> = BTreeMap::new();
    for (key, value) in pairs {
        let Some(key) = key.strip_prefix(PREFIX) else { continue };
        let (name, data_type) = match key.split_once(':') {
            Some((name, data_type)) => (name, data_type.parse().map_err(|error| wrong(name, error))?),
            None => (key, ParameterType::String),
        };
        let (known, values) = found.entry(name).or_insert_with(|| (data_type, Vec::new()));
        if *known != data_type {
            let why = format!("a list has values of one type, this one has `{known}` and `{data_type}`");
            return Err(wrong(name, why));
        }
        values.push(Some(value));
    }
    found
        .into_iter()
        .map(|(name, (data_type, values))| {
            let parameter = match values.as_slice() {
                [value] => Parameter::one(name, data_type, *value)?,
                values => Parameter::many(name, Some(data_type), values)?,
            };
            Ok((name.to_owned(), parameter))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Parameters> {
        let body: WrittenParameters =
            serde_json::from_str(body).map_err(|cause| Error::invalid(cause.to_string()))?;
        body.read()
    }

    #[test]
    fn a_value_has_the_type_of_its_form_or_the_one_that_is_written() {
        check("5", "int64", &["5"]);
        check("9007199254740993", "int64", &["9007199254740993"]);
        check("9223372036854775808", "decimal(19,0)", &["9223372036854775808"]);
        check("-0.5", "float64", &["-0.5"]);
        check("true", "bool", &["true"]);
        check(r#""O'Hare \u58f2""#, "string", &["O'Hare 売"]);
        check(r#"{"type":"date","value":"2024-01-31"}"#, "date", &["2024-01-31"]);
        check(r#"{"type":"int64","value":"9007199254740993"}"#, "int64", &["9007199254740993"]);
        check(r#"{"value":1.10,"type":"decimal(10,2)"}"#, "decimal(10,2)", &["1.10"]);

        #[track_caller]
        fn check(value: &str, data_type: &str, expected: &[&str]) {
            let found = read(&format!(r#"{{"x":{value}}}"#)).unwrap();
            let expected = Parameter::one("x", data_type.parse().unwrap(), Some(expected[0])).unwrap();
            assert_eq!(found["x"], expected, "{value}");
        }
    }

    #[test]
    fn a_list_has_one_type_that_is_exact() {
        check("[1,2,null]", Some("int64"), &[Some("1"), Some("2"), None]);
        check("[1,2.5]", Some("float64"), &[Some("1"), Some("2.5")]);
        check("[1,99999999999999999999]", Some("decimal(20,0)"), &[Some("1"), Some("99999999999999999999")]);
        check("[]", None, &[]);
        check("[null]", None, &[None]);
        check(r#"{"type":"string","value":[]}"#, Some("string"), &[]);
        check(r#"{"type":"date","value":["2024-01-31",null]}"#, Some("date"), &[Some("2024-01-31"), None]);

        #[track_caller]
        fn check(value: &str, data_type: Option<&str>, expected: &[Option<&str>]) {
            let found = read(&format!(r#"{{"x":{value}}}"#)).unwrap();
            let data_type = data_type.map(|name| name.parse().unwrap());
            assert_eq!(found["x"], Parameter::many("x", data_type, expected).unwrap(), "{value}");
        }
    }

    #[test]
    fn what_is_no_value_is_named() {
        check(r#"{"x":{"type":"date","value":"yesterday"}}"#, "`x` is `yesterday`: expected a date");
        check(r#"{"x":{"type":"datum","value":"2024-01-31"}}"#, "`x`: no type `datum`: expected `bool`");
        check(r#"{"x":{"type":"string","value":5}}"#, "`x`: `5` is no text");
        check(r#"{"x":{"value":5}}"#, "`x`: expected `type` and `value`: missing field `type`");
        check(r#"{"x":{"type":"int64","value":5,"unit":"m"}}"#, "unknown field `unit`");
        check(r#"{"x":{"type":"int64","value":{"a":1}}}"#, "no value of the type `int64`");
        check(r#"{"x":[1,"a"]}"#, "`x`: a list has values of one type, this one has `int64` and `string`");
        check(r#"{"x":[0.5,9007199254740993]}"#, "`9007199254740993` cannot be held exactly");
        check(r#"{"x":[[1]]}"#, "a list holds values");
        check(r#"{"x":1e999}"#, "expected a finite number");
        check(&format!(r#"{{"x":{}}}"#, "9".repeat(39)), "a number of 39 digits; at most 38");
        check(r#"{"x":1,"x":2}"#, "`x` is given twice");
        check("[1]", "expected an object with a value for each name");

        #[track_caller]
        fn check(body: &str, expected: &str) {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn in_a_pair_a_value_is_text_unless_its_type_is_there() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let found = parameters_of_pairs(&pairs(&[
            ("sql", "select 1"),
            ("p.zip", "007"),
            ("p.from:date", "2024-01-31"),
            ("p.ids:int64", "1"),
            ("p.ids:int64", "2"),
        ]))
        .unwrap();
        assert_eq!(found["zip"], Parameter::one("zip", ParameterType::String, Some("007")).unwrap());
        assert_eq!(found["from"], Parameter::one("from", ParameterType::Date, Some("2024-01-31")).unwrap());
        let ids = Parameter::many("ids", Some(ParameterType::Int64), &[Some("1"), Some("2")]).unwrap();
        assert_eq!(found["ids"], ids);
        assert_eq!(found.len(), 3);
        let error = parameters_of_pairs(&pairs(&[("p.x:int64", "1"), ("p.x", "2")])).unwrap_err().to_string();
        assert!(error.contains("`int64` and `string`"), "{error}");
    }
}
