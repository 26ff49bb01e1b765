//! Tables of the service's own, in the schema `system`. Their rows come with the spec: what a statement reads is
//! decided when it arrives, as it is for datasets.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;

use super::classify::{classify, with_hint};
use super::spec::{SpecTable, TableRows};
use super::statement::TableName;
use super::table::DatasetTable;
use crate::catalog::record::QueryRecord;
use crate::error::{Error, Result};

/// The schema of these tables.
pub(super) const SCHEMA: &str = "system";
/// The table of queries.
pub(super) const QUERIES: &str = "queries";
/// Queries that the table has at most, the newest.
pub(super) const QUERIES_MAX: usize = 10_000;

/// A column, and where its values are.
struct SystemColumn(&'static str, fn(&[Arc<QueryRecord>]) -> ArrayRef);

/// The columns of `system.queries`.
const COLUMNS: &[SystemColumn] = &[
    SystemColumn("query_id", |rows| text(rows, |row| Some(row.id.as_str()))),
    SystemColumn("user_id", |rows| text(rows, |row| Some(row.user_id.as_str()))),
    SystemColumn("kind", |rows| text(rows, |row| Some(row.kind.as_str()))),
    SystemColumn("statement", |rows| text(rows, |row| Some(row.statement.as_str()))),
    SystemColumn("outcome", |rows| text(rows, |row| Some(row.outcome.as_str()))),
    SystemColumn("asked_at", |rows| time(rows, |row| Some(row.asked_at.micros()))),
    SystemColumn("ended_at", |rows| time(rows, |row| row.ended_at.map(|at| at.micros()))),
    SystemColumn("error_code", |rows| {
        let codes: Vec<_> =
            rows.iter().map(|row| row.failure.as_ref().map(|failure| failure.code.to_string())).collect();
        Arc::new(codes.iter().map(Option::as_deref).collect::<StringArray>())
    }),
    SystemColumn("error_message", |rows| text(rows, |row| Some(row.failure.as_ref()?.message.as_str()))),
    SystemColumn("cache", |rows| text(rows, |row| Some(row.cache.as_str()))),
    SystemColumn("total_us", |rows| number(rows, |row| row.total_us)),
    SystemColumn("queue_us", |rows| number(rows, |row| row.queue_us)),
    SystemColumn("plan_us", |rows| number(rows, |row| row.plan_us)),
    SystemColumn("scan_us", |rows| number(rows, |row| row.work.scan_us)),
    SystemColumn("compute_us", |rows| number(rows, |row| row.work.compute_us)),
    SystemColumn("encode_us", |rows| number(rows, |row| row.encode_us)),
    SystemColumn("rows", |rows| number(rows, |row| row.rows)),
    SystemColumn("bytes", |rows| number(rows, |row| row.bytes)),
    SystemColumn("scanned_rows", |rows| number(rows, |row| row.work.scanned_rows)),
    SystemColumn("scanned_bytes", |rows| number(rows, |row| row.work.scanned_bytes)),
    SystemColumn("files_total", |rows| number(rows, |row| row.work.files_total)),
    SystemColumn("files_read", |rows| number(rows, |row| row.work.files_read)),
    SystemColumn("files_from_memory", |rows| number(rows, |row| row.work.files_from_memory)),
    SystemColumn("row_groups_total", |rows| number(rows, |row| row.work.row_groups_total)),
    SystemColumn("row_groups_pruned", |rows| number(rows, |row| row.work.row_groups_pruned)),
    SystemColumn("memory_peak_bytes", |rows| number(rows, |row| row.memory_peak_bytes)),
    SystemColumn("spilled_bytes", |rows| number(rows, |row| row.work.spilled_bytes)),
    SystemColumn("retried", |rows| {
        Arc::new(rows.iter().map(|row| Some(row.retried)).collect::<BooleanArray>())
    }),
];

static QUERIES_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |column: &SystemColumn| {
        let data_type = (column.1)(&[]).data_type().clone();
        Field::new(column.0, data_type, true)
    };
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
});

/// The columns of `system.queries`.
pub(super) fn queries_schema() -> &'static SchemaRef {
    &QUERIES_SCHEMA
}

/// Refuses the name of a table that the schema does not have.
pub(super) fn check_name(table: &TableName) -> Result<()> {
    if table.name == QUERIES {
        return Ok(());
    }
    let suggestions = vec![format!("{SCHEMA}.{QUERIES}")];
    let message = with_hint(format!("no table `{SCHEMA}.{}`", table.name), &suggestions);
    Err(Error::UnknownName { message, place: table.place, suggestions })
}

/// What stands for a table of the statement in its session.
pub(super) fn provide(table: &SpecTable) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    match &table.rows {
        TableRows::Version(manifest) => {
            let provider = DatasetTable::new(Arc::clone(manifest))?;
            Ok((TableReference::bare(table.name.as_str()), Arc::new(provider)))
        }
        TableRows::Queries(records) => {
            let columns = COLUMNS.iter().map(|column| (column.1)(records)).collect();
            let rows = RecordBatch::try_new(Arc::clone(&QUERIES_SCHEMA), columns).map_err(Error::internal)?;
            let provider =
                MemTable::try_new(Arc::clone(&QUERIES_SCHEMA), vec![vec![rows]]).map_err(classify)?;
            Ok((TableReference::partial(SCHEMA, QUERIES), Arc::new(provider)))
        }
    }
}

fn text<'a>(rows: &'a [Arc<QueryRecord>], value: impl Fn(&'a QueryRecord) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| value(row)).collect::<StringArray>())
}

fn number(rows: &[Arc<QueryRecord>], value: impl Fn(&QueryRecord) -> u64) -> ArrayRef {
    let values = rows.iter().map(|row| i64::try_from(value(row)).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}

fn time(rows: &[Arc<QueryRecord>], value: impl Fn(&QueryRecord) -> Option<i64>) -> ArrayRef {
    let values: TimestampMicrosecondArray = rows.iter().map(|row| value(row)).collect();
    Arc::new(values.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))))
}
