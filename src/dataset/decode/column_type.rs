//! The types a column of a text file can have, their names, and their Arrow types.

use std::{fmt, str::FromStr};

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// Named as in the API: `int64`, `decimal(18,2)`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    Bool,
    Int64,
    Uint64,
    Float64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    /// Without a zone: what a clock on the wall showed, in microseconds.
    Datetime,
    /// A moment: written with an offset or `Z`, kept in microseconds of UTC.
    DatetimeUtc,
    String,
}

impl ColumnType {
    /// The Arrow type of the column's arrays.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Uint64 => DataType::UInt64,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Date => DataType::Date32,
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::DatetimeUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::String => DataType::Utf8,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Uint64 => f.write_str("uint64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Datetime => f.write_str("datetime"),
            Self::DatetimeUtc => f.write_str("datetime_utc"),
            Self::String => f.write_str("string"),
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "bool" => Self::Bool,
            "int64" => Self::Int64,
            "uint64" => Self::Uint64,
            "float64" => Self::Float64,
            "date" => Self::Date,
            "datetime" => Self::Datetime,
            "datetime_utc" => Self::DatetimeUtc,
            "string" => Self::String,
            other => decimal(other).ok_or_else(|| {
                format!(
                    "unknown type `{other}`; expected `bool`, `int64`, `uint64`, `float64`, `decimal(p,s)` \
                     with s <= p <= 38, `date`, `datetime`, `datetime_utc` or `string`"
                )
            })?,
        })
    }
}

fn decimal(name: &str) -> Option<ColumnType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    ((1..=DECIMAL128_MAX_PRECISION).contains(&precision) && scale <= precision)
        .then_some(ColumnType::Decimal { precision, scale })
}

impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in "bool int64 uint64 float64 decimal(38,0) decimal(4,4) date datetime datetime_utc string"
            .split(' ')
        {
            assert_eq!(name.parse::<ColumnType>().unwrap().to_string(), name);
        }
        for wrong in ["", "int", "decimal", "decimal(39,0)", "decimal(4,5)", "decimal(0,0)", "DATE"] {
            assert!(wrong.parse::<ColumnType>().is_err(), "{wrong}");
        }
    }
}
