//! What the footer of a file knows of each column, in the manifest's words.

use arrow::array::{Array as _, ArrayRef, UInt64Array};
use arrow::compute::{SortOptions, sort_to_indices};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type, Schema,
    TimestampMicrosecondType, UInt64Type,
};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::catalog::manifest::ColumnStats;
use crate::error::Error;

/// One entry a column, in the schema's order. Nested columns have none that mean anything to a filter.
pub(super) fn of_file(schema: &Schema, metadata: &ParquetMetaData) -> Result<Vec<ColumnStats>, Error> {
    let each = schema.fields().iter().map(|field| match field.data_type().is_nested() {
        true => Ok(ColumnStats::default()),
        false => of_column(schema, field.name(), metadata),
    });
    each.collect::<Result<_, _>>().map_err(Error::internal)
}

fn of_column(schema: &Schema, name: &str, metadata: &ParquetMetaData) -> Result<ColumnStats, ParquetError> {
    let columns = metadata.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(name, schema, columns)?;
    let groups = metadata.row_groups();
    let nulls = converter.row_group_null_counts(groups)?;
    let null_count = nulls.iter().flatten().sum();
    let rows: UInt64Array = groups.iter().map(|g| u64::try_from(g.num_rows()).ok()).collect();

    let mins = converter.row_group_mins(groups)?;
    let maxes = converter.row_group_maxes(groups)?;
    let exact = converter.row_group_is_min_value_exact(groups)?.iter().all(|e| e != Some(false))
        && converter.row_group_is_max_value_exact(groups)?.iter().all(|e| e != Some(false));
    let known = exact && covers(&mins, &nulls, &rows) && covers(&maxes, &nulls, &rows);
    if !known {
        return Ok(ColumnStats { null_count, min: None, max: None });
    }
    Ok(ColumnStats { null_count, min: first(&mins, false)?, max: first(&maxes, true)? })
}

/// Whether every row group that has values also tells a bound.
fn covers(bounds: &ArrayRef, nulls: &UInt64Array, rows: &UInt64Array) -> bool {
    (0..bounds.len()).all(|group| bounds.is_valid(group) || nulls.value(group) == rows.value(group))
}

/// The smallest value as text, or the greatest.
fn first(bounds: &ArrayRef, descending: bool) -> Result<Option<String>, ParquetError> {
    let options = SortOptions { descending, nulls_first: false };
    let order =
        sort_to_indices(bounds, Some(options), Some(1)).map_err(|e| ParquetError::External(e.into()))?;
    let place = order.iter().flatten().next();
    Ok(place.and_then(|index| text(bounds, index as usize)))
}

/// A value in the manifest's spelling; `None` for NULL and for types without one.
fn text(values: &ArrayRef, index: usize) -> Option<String> {
    use arrow::array::cast::AsArray;
    use arrow::datatypes::TimeUnit;
    if values.is_null(index) {
        return None;
    }
    let text = match values.data_type() {
        DataType::Boolean => values.as_boolean().value(index).to_string(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(index).to_string(),
        DataType::UInt64 => values.as_primitive::<UInt64Type>().value(index).to_string(),
        DataType::Float32 => values.as_primitive::<Float32Type>().value(index).to_string(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(index).to_string(),
        DataType::Date32 => values.as_primitive::<Date32Type>().value(index).to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            values.as_primitive::<TimestampMicrosecondType>().value(index).to_string()
        }
        DataType::Decimal128(_, _) => values.as_primitive::<Decimal128Type>().value(index).to_string(),
        DataType::Utf8 => AsArray::as_string::<i32>(values).value(index).to_owned(),
        other if other.is_integer() => arrow::util::display::array_value_to_string(values, index).ok()?,
        _ => return None,
    };
    Some(text)
}
