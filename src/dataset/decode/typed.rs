//! Batches of files that bring their types: made plain for the rest of the service, bounded, and read without trust.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    record_batch::{RecordBatch, RecordBatchOptions},
};

use super::{
    contract::Format,
    error::{DecodeError, LimitName},
    header,
    limits::DecodeLimits,
    source::Source,
};

/// Runs a reader of another crate over bytes that nobody vouches for: its panics become errors.
pub(super) fn guarded<T, E: ToString>(
    source: &Source,
    format: Format,
    place: &str,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, DecodeError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(source.malformed(format, format!("{place}: {}", error.to_string()))),
        Err(_) => Err(source.malformed(format, format!("{place}: the reader gave up on it"))),
    }
}

/// The schema that batches leave with: no dictionaries, no views, unique names, no metadata of the writer.
pub(super) fn plain_schema(
    schema: &Schema,
    limits: &DecodeLimits,
) -> Result<(SchemaRef, Vec<String>), DecodeError> {
    let raw: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let (names, warnings) = header::names(&raw, limits)?;
    let fields = names.into_iter().zip(schema.fields());
    let fields = fields.map(|(name, field)| Field::new(name, plain_type(field.data_type()), true));
    Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), warnings))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

/// Casts a batch to `schema`, in slices whose strings take at most `limits.batch_bytes` each: a few bytes of a
/// dictionary can stand for gigabytes.
pub(super) fn plain_batches(
    batch: &RecordBatch,
    schema: &SchemaRef,
    limits: &DecodeLimits,
) -> Result<Vec<RecordBatch>, DecodeError> {
    let bytes = row_bytes(batch);
    let mut batches = Vec::new();
    let mut start = 0;
    while start < batch.num_rows() {
        let mut end = start;
        let mut sum = 0;
        while end < batch.num_rows() && sum + bytes[end] <= limits.batch_bytes {
            sum += bytes[end];
            end += 1;
        }
        if end == start {
            let reason =
                format!("expected at most {} bytes in a row, got {}", limits.batch_bytes, bytes[start]);
            return Err(DecodeError::OverLimit { what: LimitName::BatchBytes, reason });
        }
        let slice = plain(&batch.slice(start, end - start), schema);
        batches.push(
            slice.map_err(|error| DecodeError::BadOption { option: "types", reason: error.to_string() })?,
        );
        start = end;
    }
    Ok(batches)
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns =
        columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// How many bytes the strings of each row take once they stand side by side.
fn row_bytes(batch: &RecordBatch) -> Vec<usize> {
    let mut bytes = vec![8 * batch.num_columns(); batch.num_rows()];
    for column in batch.columns() {
        let mut add = |length_of: &dyn Fn(usize) -> usize| {
            for (row, sum) in bytes.iter_mut().enumerate() {
                *sum = sum.saturating_add(if column.is_null(row) { 0 } else { length_of(row) });
            }
        };
        match column.data_type() {
            DataType::Utf8View => {
                let views = column.as_string_view().views();
                // The low half of a view's first word is its length.
                add(&|row| (views[row] & u128::from(u32::MAX)) as usize);
            }
            DataType::BinaryView => {
                let views = column.as_binary_view().views();
                add(&|row| (views[row] & u128::from(u32::MAX)) as usize);
            }
            DataType::Dictionary(_, _) => {
                let dictionary = column.as_any_dictionary();
                let lengths = value_lengths(dictionary.values());
                let keys = dictionary.normalized_keys();
                add(&|row| lengths.get(keys[row]).copied().unwrap_or(0));
            }
            _ => {}
        }
    }
    bytes
}

fn value_lengths(values: &dyn Array) -> Vec<usize> {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().map(|text| text.map_or(0, str::len)).collect(),
        DataType::LargeUtf8 => {
            values.as_string::<i64>().iter().map(|text| text.map_or(0, str::len)).collect()
        }
        DataType::Utf8View => values.as_string_view().iter().map(|text| text.map_or(0, str::len)).collect(),
        DataType::Binary => {
            values.as_binary::<i32>().iter().map(|bytes| bytes.map_or(0, <[u8]>::len)).collect()
        }
        DataType::LargeBinary => {
            values.as_binary::<i64>().iter().map(|bytes| bytes.map_or(0, <[u8]>::len)).collect()
        }
        _ => vec![0; values.len()],
    }
}
