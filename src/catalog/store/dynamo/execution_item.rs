//! Executions as items.

use serde_json::json;

use super::item::{Attributes, Fields, Item, age, exact, key, number};
use super::schema::{AGE, EXECUTIONS, EXECUTIONS_RUNNING};
use crate::catalog::store::StoreError;
use crate::catalog::transform::{ExecutionRecord, Usage};
use crate::clock::Timestamp;
use crate::ids::TransformId;

/// What the executions that run have in common, in their index.
pub(super) const RUNNING: &str = "RUNNING";
pub(super) const STARTED_AT: &str = "startedAt";
/// Only one that the clock asked for has it.
pub(super) const DUE_AT: &str = "dueAt";

/// The key of the one that started then.
pub(super) fn execution_key(transform: &TransformId, start: &str) -> Attributes {
    let mut whole = key(EXECUTIONS.key.name, transform.as_str());
    whole.insert(STARTED_AT.to_owned(), number(start));
    whole
}

/// When it started, as it stands in its key: what it is known by among those of its transform.
pub(super) fn start(record: &ExecutionRecord) -> String {
    exact(record.started_at)
}

pub(super) fn write(record: &ExecutionRecord) -> Result<Item, StoreError> {
    let failure = record.failure.as_ref();
    let mut item = Item::new()
        .text(EXECUTIONS.key.name, record.transform_id.as_str())
        // A key, so it is exact; the other times are as they are everywhere.
        .exact_time(STARTED_AT, record.started_at)
        .text("executionId", record.id.as_str())
        .word("status", record.status)?
        .word("triggeredBy", record.triggered_by)?
        .word("reason", record.reason)?
        .text("userId", record.user_id.as_str())
        .number("attempt", record.attempt)
        .json("params", &record.params)?
        .json("inputs", &record.inputs)?
        .optional_text("outputDatasetId", record.output_dataset_id.as_ref().map(|id| id.as_str()))
        .optional_number("outputVersion", record.output_version)
        .optional_number("outputRowCount", record.output_row_count)
        .optional_number("durationMs", record.duration_ms())
        .optional_text("error", failure.map(|failure| failure.message.as_str()))
        .json("checks", &record.checks)?
        .json("usage", &record.usage)?
        .json("log", &record.log)?
        .number("revision", record.revision)
        .text(AGE.name, age(record.started_at, record.id.as_str()));
    if let Some(finished_at) = record.finished_at {
        item = item.time("finishedAt", finished_at);
    }
    if let Some(scheduled_at) = record.scheduled_at {
        item = item.time("scheduledAt", scheduled_at);
    }
    if let Some(due_at) = record.due_at() {
        item = item.exact_time(DUE_AT, due_at);
    }
    if let Some(failure) = failure {
        item = item.json("failure", failure)?;
    }
    if let Some(lease) = &record.lease {
        item = item.json("lease", lease)?;
    }
    if record.is_running() {
        item = item.text(EXECUTIONS_RUNNING.key.name, RUNNING);
    }
    Ok(item)
}

pub(super) fn read(item: &Attributes) -> Result<ExecutionRecord, StoreError> {
    let item = Fields::of("execution", item);
    Ok(ExecutionRecord {
        id: item.parsed("executionId")?,
        transform_id: item.parsed(EXECUTIONS.key.name)?,
        started_at: item.exact_time(STARTED_AT)?,
        status: item.word("status")?,
        finished_at: item.optional_time("finishedAt")?,
        triggered_by: item.word("triggeredBy")?,
        reason: item.word("reason")?,
        user_id: item.parsed("userId")?,
        scheduled_at: item.optional_time("scheduledAt")?,
        attempt: item.number_or("attempt", 1)?,
        params: item.json_or("params", json!({}))?,
        inputs: item.json_or("inputs", Vec::new())?,
        output_dataset_id: item.optional_parsed("outputDatasetId")?,
        output_version: item.optional_number("outputVersion")?,
        output_row_count: item.optional_number("outputRowCount")?,
        failure: item.json_or("failure", None)?,
        checks: item.json_or("checks", Vec::new())?,
        usage: item.json_or("usage", Usage::default())?,
        log: item.json_or("log", String::new())?,
        lease: item.json_or("lease", None)?,
        revision: item.number("revision")?,
    })
}

/// The due time of one that the clock asked for.
pub(super) fn read_due(item: &Attributes) -> Result<Timestamp, StoreError> {
    Fields::of("execution", item).exact_time(DUE_AT)
}
