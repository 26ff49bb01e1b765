//! Values as text: from Arrow and from JSON, so that equal values read equal.

use std::fmt::{Display, LowerExp, Write as _};

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sqllogictest::ColumnType;

/// The type of a column, as one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Date,
    Integer,
    Decimal,
    Instant,
    Float,
    Text,
    Other,
}

impl Kind {
    const LETTERS: [(char, Self); 8] = [
        ('B', Self::Boolean),
        ('D', Self::Date),
        ('I', Self::Integer),
        ('N', Self::Decimal),
        ('P', Self::Instant),
        ('R', Self::Float),
        ('T', Self::Text),
        ('?', Self::Other),
    ];

    /// By the type's name in an answer.
    pub(super) fn of(name: &str) -> Self {
        match name.split('(').next().unwrap_or_default() {
            "bool" => Self::Boolean,
            "date" | "date64" => Self::Date,
            "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64" => Self::Integer,
            "decimal" => Self::Decimal,
            "datetime" | "datetime_utc" | "timestamp" => Self::Instant,
            "float16" | "float32" | "float64" => Self::Float,
            "string" => Self::Text,
            _ => Self::Other,
        }
    }
}

impl ColumnType for Kind {
    fn from_char(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, kind)| *kind)
    }

    fn to_char(&self) -> char {
        Self::LETTERS.iter().find(|(_, kind)| kind == self).unwrap().0
    }
}

/// A value of a result of the engine.
pub(super) fn of_array(array: &dyn Array, row: usize) -> String {
    use DataType as T;
    if array.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return "NULL".to_owned();
    }
    match array.data_type() {
        T::Float16 => float(array.as_primitive::<Float16Type>().value(row).to_f32()),
        T::Float32 => float(array.as_primitive::<Float32Type>().value(row)),
        T::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        T::Binary => hex(array.as_binary::<i32>().value(row)),
        T::LargeBinary => hex(array.as_binary::<i64>().value(row)),
        T::BinaryView => hex(array.as_binary_view().value(row)),
        T::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(row)),
        T::List(_) => list_of_array(&array.as_list::<i32>().value(row)),
        T::LargeList(_) => list_of_array(&array.as_list::<i64>().value(row)),
        T::FixedSizeList(..) => list_of_array(&array.as_fixed_size_list().value(row)),
        T::Struct(fields) => {
            let columns = array.as_struct().columns();
            object(
                fields
                    .iter()
                    .zip(columns)
                    .map(|(field, column)| (field.name().clone(), of_array(column, row))),
            )
        }
        T::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            object((0..entries.len()).map(|entry| (of_array(keys, entry), of_array(values, entry))))
        }
        _ => escaped(
            &ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap().value(row).to_string(),
        ),
    }
}

fn list_of_array(items: &dyn Array) -> String {
    list((0..items.len()).map(|item| of_array(items, item)))
}

/// A value of an answer in JSON, whose column has a type of this name.
pub(super) fn of_json(value: &Value, type_name: &str) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap()),
        Value::Number(number) => number.to_string(),
        Value::String(text) if type_name.contains("binary") => hex(&STANDARD.decode(text).unwrap()),
        Value::String(text) => escaped(text),
        Value::Array(items) => list(items.iter().map(|item| of_json(item, type_name))),
        Value::Object(fields) => {
            object(fields.iter().map(|(name, value)| (name.clone(), of_json(value, type_name))))
        }
    }
}

/// The shortest digits that read back as the same number.
fn float<F: Display + LowerExp + Copy + Into<f64>>(value: F) -> String {
    let size = value.into().abs();
    if value.into().is_infinite() {
        return if value.into() > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if size == 0.0 || size.is_nan() || (1e-5..1e15).contains(&size) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// By name: the fields of a JSON object have no order.
fn object(fields: impl Iterator<Item = (String, String)>) -> String {
    let mut fields: Vec<_> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    fields.sort_unstable();
    format!("{{{}}}", fields.join(", "))
}

/// On one line, and never nothing.
fn escaped(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    text.chars().fold(String::new(), |mut escaped, letter| {
        if letter.is_control() {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
        escaped
    })
}

#[test]
fn equal_values_read_equal() {
    check(&float(0.1_f32), "0.1");
    check(&float(3.0_f64), "3");
    check(&float(-0.0_f64), "-0");
    check(&float(1e300_f64), "1e300");
    check(&float(f64::NAN), "NaN");
    check(&float(f32::NEG_INFINITY), "-Infinity");
    check(&hex(b"\x00\xff"), "0x00ff");
    check(&escaped("a\nb\tc\\"), "a\\nb\\tc\\");
    check(
        &of_json(&serde_json::json!([1, null, {"b": 2.0, "a": ""}]), "list"),
        "[1, NULL, {a: (empty), b: 2}]",
    );
    check(&of_json(&Value::from("AP8="), "binary"), "0x00ff");

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text, expected);
    }
}
