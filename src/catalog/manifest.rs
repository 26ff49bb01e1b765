//! The manifest: everything a reader needs to know about one version, in one immutable JSON object
//! beside its files. With it a query lists no folder, infers no schema and asks for no file's size.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

use crate::block_sums::BlockSums;
use crate::catalog::record::{Source, VersionKind};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, UserId};

/// The layout written today. Readers refuse a higher one by name.
pub const FORMAT: u32 = 1;

/// One version of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub dataset_id: DatasetId,
    pub number: u64,
    pub label: String,
    /// The number of the version that was current when this one was made.
    pub parent: Option<u64>,
    pub kind: VersionKind,
    /// For a restore: the number of the version whose files these are.
    pub restored_from: Option<u64>,
    pub created_at: Timestamp,
    pub created_by: UserId,
    pub commit_id: CommitId,
    pub source: Source,
    /// How the source was read; see `dataset::decode::Contract`.
    pub read_contract: Value,
    pub columns: Vec<Column>,
    pub partition_column: Option<String>,
    pub sort_column: Option<String>,
    pub row_count: u64,
    pub files: Vec<DataFile>,
    pub quarantine: Option<QuarantineFile>,
}

/// A column, and what its values are like over all files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// An Arrow type in Arrow's own spelling, such as `Int64` or `Decimal128(18, 2)`.
    #[serde(with = "arrow_type")]
    pub data_type: DataType,
    pub null_count: u64,
}

/// An immutable Parquet file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its key in the object store.
    pub key: String,
    pub byte_count: u64,
    pub row_count: u64,
    pub row_group_count: u64,
    /// Lower-case hexadecimal BLAKE3 of all its bytes.
    pub blake3: String,
    /// Checksums of its blocks, for who reads a part of it.
    pub sums: BlockSums,
    /// The day of the partition column that all rows share, if the dataset is split by days.
    pub partition_day: Option<String>,
    /// One a column, in the columns' order.
    pub stats: Vec<ColumnStats>,
}

/// What is known of one column in one file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ColumnStats {
    pub null_count: u64,
    /// In the column's type; text bounds are exact or left out. Integers, days and microseconds as
    /// numbers in text, decimals in their unscaled form, so that nothing passes through a double.
    pub min: Option<String>,
    pub max: Option<String>,
}

/// Rows of the source that were set aside, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantineFile {
    pub key: String,
    pub byte_count: u64,
    pub row_count: u64,
    pub blake3: String,
}

impl Manifest {
    /// The columns as an Arrow schema; every column may be null.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Bytes of all data files.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        self.files.iter().map(|file| file.byte_count).sum()
    }

    /// Keys of every object that this version needs, without the manifest itself.
    pub fn object_keys(&self) -> impl Iterator<Item = &str> {
        let quarantine = self.quarantine.iter().map(|q| q.key.as_str());
        self.files.iter().map(|file| file.key.as_str()).chain(quarantine)
    }
}

/// The type's name as the contract shows it: `int64`, `float64`, `bool`, `date`, `datetime`, `string`,
/// `decimal(18,2)`; types that only typed files bring keep Arrow's name in lower case.
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "datetime".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "datetime_utc".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        other => other.to_string().to_lowercase(),
    }
}

/// The type that the contract calls so; none for names that stand for several.
#[must_use]
pub fn named_type(name: &str) -> Option<DataType> {
    Some(match name {
        "bool" => DataType::Boolean,
        "int64" => DataType::Int64,
        "float64" => DataType::Float64,
        "string" => DataType::Utf8,
        "date" => DataType::Date32,
        "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "datetime_utc" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => {
            let (precision, scale) = other.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            DataType::Decimal128(precision.parse().ok()?, scale.parse().ok()?)
        }
    })
}

/// Arrow types in text: Arrow's `Display` form, which its `FromStr` reads back.
mod arrow_type {
    use arrow::datatypes::DataType;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data_type: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(data_type)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|cause| serde::de::Error::custom(format!("unknown type `{text}`: {cause}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back() {
        for data_type in [
            DataType::Int64,
            DataType::UInt64,
            DataType::Float64,
            DataType::Boolean,
            DataType::Utf8,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Decimal128(18, 2),
            DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
        ] {
            let column = Column { name: "c".to_owned(), data_type: data_type.clone(), null_count: 0 };
            let text = serde_json::to_string(&column).unwrap();
            assert_eq!(serde_json::from_str::<Column>(&text).unwrap().data_type, data_type, "{text}");
        }
    }

    #[test]
    fn types_have_the_names_of_the_contract() {
        check(DataType::Int64, "int64");
        check(DataType::Float64, "float64");
        check(DataType::Boolean, "bool");
        check(DataType::Date32, "date");
        check(DataType::Timestamp(TimeUnit::Microsecond, None), "datetime");
        check(DataType::Utf8, "string");
        check(DataType::Decimal128(18, 2), "decimal(18,2)");

        #[track_caller]
        fn check(data_type: DataType, name: &str) {
            assert_eq!(type_name(&data_type), name);
            assert_eq!(named_type(name), Some(data_type));
        }
    }
}
