//! How each column is written, decided from the rows of the first row group.
//!
//! Dictionaries and bloom filters pay for some columns and cost time and bytes for others. A
//! dictionary of a column whose values hardly repeat is built, overflows, and is thrown away; a bloom
//! filter of a sorted column or of prose answers nothing that minimum and maximum do not.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, SchemaRef, TimestampMicrosecondType, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use parquet::basic::Compression;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::Layout;
use crate::error::Error;

/// Rows of a column that are looked at.
const SAMPLE_ROWS: usize = 8192;
/// From this share of different values on, a dictionary of a whole row group would overflow.
const DISTINCT_SHARE_NO_DICTIONARY: f64 = 0.8;
/// From this share of different values on, a column looks like one of keys. A filter answers only where a
/// row group lacks values that other groups have: half of them or more, when 262,144 rows are drawn from
/// 378,000 values or more, of which a sample of 8,192 shows 98.9 % different ones.
const DISTINCT_SHARE_KEY: f64 = 0.985;
/// Keys are short: longer text is not looked up by equality.
const KEY_BYTES_MAX: usize = 64;
/// One wrong answer in twenty reads a row group in vain, for six bits a value instead of ten.
const BLOOM_FALSE_POSITIVES: f64 = 0.05;

/// Writer properties for a version whose first row group is `sample`.
pub(super) fn choose(
    schema: &SchemaRef,
    layout: &Layout,
    sample: &[RecordBatch],
) -> Result<WriterPropertiesPtr, Error> {
    let sorted_by = [&layout.partition_column, &layout.sort_column];
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("shirabe ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_truncate_length(Some(64))
        .set_max_row_group_row_count(None)
        .set_sorting_columns(sorting(schema, layout)?);
    for (index, field) in schema.fields().iter().enumerate() {
        let Some(sample) = sample.first().map(|batch| Sample::of(batch.column(index))) else { break };
        let path = ColumnPath::new(vec![field.name().clone()]);
        if sample.distinct_share > DISTINCT_SHARE_NO_DICTIONARY {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        let sorted = sorted_by.iter().any(|column| column.as_deref() == Some(field.name()));
        if sample.looks_like_keys && !sorted {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path, BLOOM_FALSE_POSITIVES);
        }
    }
    Ok(Arc::new(properties.build()))
}

fn sorting(schema: &SchemaRef, layout: &Layout) -> Result<Option<Vec<SortingColumn>>, Error> {
    let mut columns = Vec::new();
    // Inside a file of one day the rows are sorted by the sort column alone.
    let Some(name) = layout.sort_column.as_ref().or(layout.partition_column.as_ref()) else {
        return Ok(None);
    };
    let leaves = leaves_before(schema, name)?;
    columns.push(SortingColumn { column_idx: leaves, descending: false, nulls_first: false });
    Ok(Some(columns))
}

/// The place of a column that rows can be sorted by.
pub(in crate::dataset) fn sort_column(schema: &SchemaRef, name: &str) -> Result<usize, Error> {
    let Some((index, field)) = schema.column_with_name(name) else {
        return Err(Error::invalid_field("sort_column", format!("no column `{name}` to sort by")));
    };
    if field.data_type().is_nested() {
        return Err(Error::invalid_field("sort_column", format!("`{name}` is nested; it has no order")));
    }
    Ok(index)
}

/// Parquet counts leaves, not columns: the leaves of all columns before `name`.
fn leaves_before(schema: &SchemaRef, name: &str) -> Result<i32, Error> {
    let index = sort_column(schema, name)?;
    let leaves: usize = schema.fields().iter().take(index).map(|field| leaf_count(field.data_type())).sum();
    i32::try_from(leaves).map_err(Error::internal)
}

fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaf_count(field.data_type())).sum(),
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
            leaf_count(field.data_type())
        }
        DataType::FixedSizeList(field, _) => leaf_count(field.data_type()),
        _ => 1,
    }
}

/// What a look at the first rows of a column tells.
#[derive(Debug, Default, PartialEq)]
struct Sample {
    distinct_share: f64,
    looks_like_keys: bool,
}

impl Sample {
    fn of(column: &ArrayRef) -> Self {
        let column = column.slice(0, column.len().min(SAMPLE_ROWS));
        match column.data_type() {
            DataType::Int64 => Self::keys(column.as_primitive::<Int64Type>().iter().flatten()),
            DataType::UInt64 => Self::keys(column.as_primitive::<UInt64Type>().iter().flatten()),
            DataType::Utf8 => Self::text(column.as_string::<i32>().iter().flatten()),
            DataType::Float64 => {
                let bits = column.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits);
                Self { looks_like_keys: false, ..Self::keys(bits) }
            }
            DataType::Date32 => Self {
                looks_like_keys: false,
                ..Self::keys(column.as_primitive::<Date32Type>().iter().flatten())
            },
            DataType::Timestamp(_, _) if column.as_primitive_opt::<TimestampMicrosecondType>().is_some() => {
                let times = column.as_primitive::<TimestampMicrosecondType>().iter().flatten();
                Self { looks_like_keys: false, ..Self::keys(times) }
            }
            _ => Self::default(),
        }
    }

    fn text<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Self {
        let prose = values.clone().any(|value| value.len() > KEY_BYTES_MAX || value.contains(' '));
        let sample = Self::keys(values);
        Self { looks_like_keys: sample.looks_like_keys && !prose, ..sample }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 8,192 values")]
    fn keys<T: std::hash::Hash + Eq + PartialOrd>(values: impl Iterator<Item = T> + Clone) -> Self {
        let count = values.clone().count();
        let sorted = values.clone().is_sorted();
        let distinct = values.collect::<HashSet<_>>().len();
        let distinct_share = if count == 0 { 0.0 } else { distinct as f64 / count as f64 };
        Self { distinct_share, looks_like_keys: distinct_share > DISTINCT_SHARE_KEY && !sorted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    #[test]
    fn keys_are_told_from_measures_and_prose() {
        let scattered: Int64Array = (0..5000_i64).map(|i| Some(i * 7919 % 100_003)).collect();
        check(Arc::new(scattered), true, true);
        check(Arc::new(Int64Array::from_iter_values(0..5000)), true, false);
        check(Arc::new(Int64Array::from_iter_values((0..5000).map(|i| i * 37 % 10))), false, false);
        check(
            Arc::new(StringArray::from_iter_values((0..99).map(|i| format!("k{}", i * 37 % 99)))),
            true,
            true,
        );
        check(
            Arc::new(StringArray::from_iter_values((0..99).map(|i| format!("row {}", i * 37 % 99)))),
            true,
            false,
        );
        check(Arc::new(StringArray::from(vec![None::<&str>; 9])), false, false);

        #[track_caller]
        fn check(column: ArrayRef, many: bool, keys: bool) {
            let sample = Sample::of(&column);
            assert_eq!((sample.distinct_share > 0.8, sample.looks_like_keys), (many, keys), "{sample:?}");
        }
    }
}
