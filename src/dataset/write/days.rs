//! Rows split by the days of a date column.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::Batches;
use crate::error::Error;

/// What all rows of a file share: the day, for a dataset that is split by days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// The column and the day as `YYYY-MM-DD`; rows without one are under Hive's name for NULL.
    pub(super) day: Option<(Arc<str>, String)>,
}

/// Hive's folder for rows whose partition column is NULL.
const NULL_DAY: &str = "__HIVE_DEFAULT_PARTITION__";

/// Batches, each of one run.
pub(super) type Runs = BoxStream<'static, Result<(Run, RecordBatch), Error>>;

/// Splits batches, sorted by `column`, where the day changes.
pub(super) fn split(batches: Batches, schema: &SchemaRef, column: Option<&str>) -> Result<Runs, Error> {
    let Some(column) = column else {
        return Ok(batches.map_ok(|batch| (Run::default(), batch)).boxed());
    };
    let index = day_column(schema, column)?;
    let name: Arc<str> = column.into();
    let pieces = batches.map(move |batch| {
        let pieces = cut(&batch?, index, &name)?;
        Ok::<_, Error>(stream::iter(pieces.into_iter().map(Ok)))
    });
    Ok(pieces.try_flatten().boxed())
}

/// The place of a column that has days.
pub(in crate::dataset) fn day_column(schema: &SchemaRef, column: &str) -> Result<usize, Error> {
    let Some((index, field)) = schema.column_with_name(column) else {
        let message = format!("no column `{column}` to split the dataset by");
        return Err(Error::invalid_field("partition_column", message));
    };
    match field.data_type() {
        DataType::Date32 | DataType::Timestamp(_, _) => Ok(index),
        other => {
            let found = crate::catalog::manifest::type_name(other);
            let message = format!("`{column}` is `{found}`; a dataset is split by a date or datetime column");
            Err(Error::invalid_field("partition_column", message))
        }
    }
}

fn cut(batch: &RecordBatch, index: usize, name: &Arc<str>) -> Result<Vec<(Run, RecordBatch)>, Error> {
    let days: ArrayRef = cast(batch.column(index), &DataType::Date32).map_err(Error::internal)?;
    let ranges = partition(&[Arc::clone(&days)]).map_err(Error::internal)?.ranges();
    let days = days.as_primitive::<Date32Type>();
    let pieces = ranges.into_iter().map(|range| {
        let day = match days.is_valid(range.start) {
            true => {
                days.value_as_date(range.start).map_or_else(|| NULL_DAY.to_owned(), |day| day.to_string())
            }
            false => NULL_DAY.to_owned(),
        };
        let run = Run { day: Some((Arc::clone(name), day)) };
        (run, batch.slice(range.start, range.end - range.start))
    });
    Ok(pieces.collect())
}
