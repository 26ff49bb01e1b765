//! Adding to what is there instead of making all of it anew: from the high-water mark on, appended or merged by key.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::Value;

use super::quote::name;
use crate::catalog::Manifest;
use crate::catalog::transform::WriteMode;
use crate::clock::Timestamp;
use crate::engine::{Engine, Parameter, ParameterType, Parameters, QuerySpec};
use crate::error::{Error, Result};
use crate::ids::UserId;

/// The rows that are new, as the statement that merges them names them.
const NEW: &str = "new_rows";
/// The version in force.
const OLD: &str = "old_rows";

/// Whose statement, how long it may take, and when.
pub(super) type Asking = (UserId, Duration, Timestamp);

/// # Errors
/// `Invalid` for a mode without its columns.
pub(super) fn check(write: &WriteMode) -> Result<()> {
    let wrong = |why: &str| Err(Error::invalid_field("write", why));
    match write {
        WriteMode::Rebuild => Ok(()),
        WriteMode::Append { high_water } | WriteMode::Merge { high_water, .. } if high_water.is_empty() => {
            wrong("`write.high_water` names no column")
        }
        WriteMode::Merge { keys, .. } if keys.is_empty() || keys.iter().any(String::is_empty) => {
            wrong("`write.keys` names no column")
        }
        WriteMode::Append { .. } | WriteMode::Merge { .. } => Ok(()),
    }
}

/// The column whose greatest value tells where to go on.
pub(super) fn high_water_column(write: &WriteMode) -> Option<&str> {
    match write {
        WriteMode::Rebuild => None,
        WriteMode::Append { high_water } | WriteMode::Merge { high_water, .. } => Some(high_water),
    }
}

/// How far the version in force goes.
#[derive(Debug, Clone)]
pub(super) struct HighWater {
    pub(super) parameter: Parameter,
    /// For Python.
    pub(super) json: Value,
}

impl HighWater {
    /// Nothing is there yet.
    pub(super) fn none() -> Self {
        Self { parameter: Parameter::null(), json: Value::Null }
    }
}

/// The greatest value of `column` in a version.
///
/// # Errors
/// `Invalid` when there is no such column, or it is of a type without an order.
pub(super) async fn high_water(
    engine: &Engine,
    manifest: &Arc<Manifest>,
    column: &str,
    (user, deadline, now): Asking,
) -> Result<HighWater> {
    let wrong = |why: String| Error::invalid_field("write", format!("`write.high_water`: {why}"));
    let found = manifest.columns.iter().find(|found| found.name == column);
    let data_type = &found.ok_or_else(|| wrong(format!("the dataset has no column `{column}`")))?.data_type;
    let kind = parameter_type(data_type).ok_or_else(|| {
        wrong(format!("`{column}` is of the type {data_type}, which has no greatest value"))
    })?;
    let statement = format!("SELECT max({}) AS high_water FROM {OLD}", name(column));
    let tables = [(OLD.to_owned(), Arc::clone(manifest))];
    let row =
        engine.first_row(engine.over(user, statement, Parameters::new(), tables, (deadline, now))).await?;
    let text = row.and_then(|mut row| row.pop()).and_then(|(_, value)| value);
    let parameter = Parameter::one("high_water", kind, text.as_deref())?;
    let json = match (&text, kind) {
        (None, _) => Value::Null,
        (Some(text), ParameterType::Int64) => text.parse::<i64>().map_or(Value::Null, Value::from),
        (Some(text), ParameterType::Float64) => text.parse::<f64>().map_or(Value::Null, Value::from),
        (Some(text), _) => Value::String(text.clone()),
    };
    Ok(HighWater { parameter, json })
}

fn parameter_type(data_type: &DataType) -> Option<ParameterType> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ParameterType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => ParameterType::Int64,
        DataType::UInt64 => ParameterType::Decimal { precision: 20, scale: 0 },
        DataType::Float32 | DataType::Float64 => ParameterType::Float64,
        DataType::Decimal128(precision, scale) => {
            ParameterType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        DataType::Utf8 => ParameterType::String,
        DataType::Date32 => ParameterType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ParameterType::Datetime,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ParameterType::DatetimeUtc,
        _ => return None,
    })
}

/// How many keys more than one of the rows have.
pub(super) async fn repeated_keys(
    engine: &Engine,
    rows: &Arc<Manifest>,
    keys: &[String],
    (user, deadline, now): Asking,
) -> Result<u64> {
    if let Some(missing) = keys.iter().find(|key| !rows.columns.iter().any(|column| column.name == **key)) {
        let message = format!("`write.keys`: the result has no column `{missing}`");
        return Err(Error::invalid_field("write", message));
    }
    let keys: Vec<_> = keys.iter().map(|key| name(key)).collect();
    let statement = format!(
        "SELECT count(*) AS repeated FROM (SELECT 1 FROM {NEW} GROUP BY {} HAVING count(*) > 1) AS keys",
        keys.join(", ")
    );
    let tables = [(NEW.to_owned(), Arc::clone(rows))];
    let row =
        engine.first_row(engine.over(user, statement, Parameters::new(), tables, (deadline, now))).await?;
    let count = row.and_then(|mut row| row.pop()).and_then(|(_, value)| value);
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// The rows of the version in force that have none of the new keys, and the new rows.
pub(super) fn merged(
    engine: &Engine,
    old: &Arc<Manifest>,
    new: &Arc<Manifest>,
    keys: &[String],
    (user, deadline, now): Asking,
) -> QuerySpec {
    let columns: Vec<_> = new.columns.iter().map(|column| name(&column.name)).collect();
    let columns = columns.join(", ");
    let same_key: Vec<_> =
        keys.iter().map(|key| format!("({NEW}.{0} IS NOT DISTINCT FROM {OLD}.{0})", name(key))).collect();
    let statement = format!(
        "SELECT {columns} FROM {OLD} WHERE NOT EXISTS (SELECT 1 FROM {NEW} WHERE {}) UNION ALL SELECT {columns} FROM {NEW}",
        same_key.join(" AND ")
    );
    let tables = [(OLD.to_owned(), Arc::clone(old)), (NEW.to_owned(), Arc::clone(new))];
    engine.over(user, statement, Parameters::new(), tables, (deadline, now))
}

/// All rows of a version, to be written anew.
pub(super) fn all(engine: &Engine, old: &Arc<Manifest>, (user, deadline, now): Asking) -> QuerySpec {
    let tables = [(OLD.to_owned(), Arc::clone(old))];
    engine.over(user, format!("SELECT * FROM {OLD}"), Parameters::new(), tables, (deadline, now))
}
