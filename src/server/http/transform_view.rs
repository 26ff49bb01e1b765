//! Transforms and executions as the API shows and takes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::datasets::{OwnerView, given};
use crate::catalog::transform::{
    Check, CheckResult, ExecutionFailure, ExecutionRecord, ExecutionStatus, FrameKind, Language, Missed,
    ReadVersion, Reason, Retries, TransformInput, TransformRecord, Trigger, Usage, WriteMode,
};
use crate::clock::Timestamp;
use crate::ids::{DatasetId, ExecutionId, TransformId};
use crate::transform::TransformDraft;
use crate::transform::schedule::Cron;

/// Due times that are shown.
const NEXT_RUNS: usize = 5;

/// A dataset that a transform reads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InputBody {
    #[schema(value_type = String, example = "ds_0f8fad5bd9cb469fa16570867728950e")]
    dataset_id: DatasetId,
    /// A second key in `inputs` of Python, and the table's name in SQL; by default the name that the dataset has now.
    #[serde(default)]
    alias: Option<String>,
    /// Python: the columns that are handed over; all by default.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Python: a condition of SQL that the rows that are handed over meet.
    #[serde(default)]
    #[schema(example = "year = 2013 AND dep_delay IS NOT NULL")]
    filter: Option<String>,
}

impl From<InputBody> for TransformInput {
    fn from(InputBody { dataset_id, alias, columns, filter }: InputBody) -> Self {
        Self { dataset_id, alias, columns, filter }
    }
}

impl From<&TransformInput> for InputBody {
    fn from(input: &TransformInput) -> Self {
        let TransformInput { dataset_id, alias, columns, filter } = input.clone();
        Self { dataset_id, alias, columns, filter }
    }
}

/// A transform to be, or what to change of one: then what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransformBody {
    #[schema(example = "delays by carrier")]
    name: Option<String>,
    description: Option<String>,
    /// `python` by default.
    language: Option<Language>,
    /// Python with `def transform(inputs, params)`, or one statement of SQL.
    code: Option<String>,
    /// At least one. SQL: those of the statement are found; what else is named here may start an execution.
    #[schema(value_type = Option<Vec<String>>)]
    input_dataset_ids: Option<Vec<DatasetId>>,
    /// Instead of `input_dataset_ids`, with more to say about each.
    inputs: Option<Vec<InputBody>>,
    /// An object: `params` of Python, `$name`s of SQL.
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    /// A JSON schema that the parameters of an execution have to meet; null ends it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    params_schema: Option<Option<Value>>,
    /// Five fields of cron; null ends it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "30 6 * * 1-5")]
    schedule_cron: Option<Option<String>>,
    /// In which the fields are meant; UTC by default.
    #[schema(example = "Asia/Tokyo")]
    schedule_time_zone: Option<String>,
    /// False is a pause.
    schedule_enabled: Option<bool>,
    /// Also run when an input has a new version.
    schedule_on_input_change: Option<bool>,
    /// What becomes of due times that passed while nothing ran.
    schedule_missed: Option<Missed>,
    /// Python: what frames `inputs` holds, where the code does not say by an annotation.
    frames: Option<FrameKind>,
    /// What the dataset that is made is called; the transform's own name by default.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    output_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    partition_column: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    sort_column: Option<Option<String>>,
    /// How rows become the next version.
    write: Option<WriteMode>,
    /// What has to hold of a version before it is published.
    checks: Option<Vec<Check>>,
    retries: Option<Retries>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    timeout_s: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    memory_mb: Option<Option<u64>>,
    /// Change it although what reads its dataset would not work any more.
    #[serde(default)]
    pub(super) force: bool,
}

impl From<TransformBody> for TransformDraft {
    fn from(body: TransformBody) -> Self {
        let of_ids = |ids: Vec<DatasetId>| {
            let each = ids.into_iter();
            each.map(|dataset_id| TransformInput { dataset_id, alias: None, columns: None, filter: None })
                .collect()
        };
        let inputs = body.inputs.map(|inputs| inputs.into_iter().map(TransformInput::from).collect());
        Self {
            name: body.name,
            description: body.description,
            language: body.language,
            code: body.code,
            inputs: inputs.or_else(|| body.input_dataset_ids.map(of_ids)),
            params: body.params,
            params_schema: body.params_schema,
            schedule_cron: body.schedule_cron,
            schedule_time_zone: body.schedule_time_zone,
            schedule_enabled: body.schedule_enabled,
            schedule_on_input_change: body.schedule_on_input_change,
            schedule_missed: body.schedule_missed,
            frames: body.frames,
            output_name: body.output_name,
            partition_column: body.partition_column,
            sort_column: body.sort_column,
            write: body.write,
            checks: body.checks,
            retries: body.retries,
            timeout_s: body.timeout_s,
            memory_mb: body.memory_mb,
        }
    }
}

/// A transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformView {
    #[schema(value_type = String, example = "tf_0f8fad5bd9cb469fa16570867728950e")]
    transform_id: TransformId,
    name: String,
    description: String,
    owner: OwnerView,
    language: Language,
    code: String,
    #[schema(value_type = Vec<String>)]
    input_dataset_ids: Vec<DatasetId>,
    inputs: Vec<InputBody>,
    #[schema(value_type = Object)]
    params: Value,
    #[schema(value_type = Option<Object>)]
    params_schema: Option<Value>,
    schedule_cron: Option<String>,
    schedule_time_zone: String,
    schedule_enabled: bool,
    schedule_on_input_change: bool,
    schedule_missed: Missed,
    /// The next five due times, RFC 3339; none while it is paused.
    next_runs: Vec<String>,
    frames: FrameKind,
    /// The dataset that is made; there once an execution has succeeded.
    #[schema(value_type = String)]
    output_dataset_id: DatasetId,
    output_name: String,
    partition_column: Option<String>,
    sort_column: Option<String>,
    write: WriteMode,
    checks: Vec<Check>,
    retries: Retries,
    timeout_s: Option<u64>,
    memory_mb: Option<u64>,
    created_at: String,
    updated_at: String,
}

impl TransformView {
    pub(super) fn of(record: TransformRecord, owner: String, now: Timestamp) -> Self {
        let next_runs = next_runs(&record, now);
        let output_name = record.settings.output_name.clone().unwrap_or_else(|| record.name.clone());
        let TransformRecord { schedule, settings, .. } = record;
        Self {
            transform_id: record.id,
            name: record.name,
            description: record.description,
            owner: OwnerView { user_id: record.owner_id, name: owner },
            language: record.language,
            code: record.code,
            input_dataset_ids: record.inputs.iter().map(|input| input.dataset_id.clone()).collect(),
            inputs: record.inputs.iter().map(InputBody::from).collect(),
            params: record.params,
            params_schema: settings.params_schema,
            schedule_cron: schedule.cron,
            schedule_time_zone: schedule.time_zone,
            schedule_enabled: schedule.enabled,
            schedule_on_input_change: schedule.on_input_change,
            schedule_missed: schedule.missed,
            next_runs,
            frames: settings.frames,
            output_dataset_id: record.output_dataset_id,
            output_name,
            partition_column: settings.partition_column,
            sort_column: settings.sort_column,
            write: settings.write,
            checks: settings.checks,
            retries: settings.retries,
            timeout_s: settings.timeout_s,
            memory_mb: settings.memory_mb,
            created_at: record.created_at.rfc3339(),
            updated_at: record.updated_at.rfc3339(),
        }
    }
}

fn next_runs(record: &TransformRecord, now: Timestamp) -> Vec<String> {
    let schedule = &record.schedule;
    let Some(cron) = schedule.cron.as_ref().filter(|_| schedule.enabled) else { return Vec::new() };
    match Cron::parse(cron, &schedule.time_zone) {
        Ok(cron) => cron.upcoming(now, NEXT_RUNS).into_iter().map(Timestamp::rfc3339).collect(),
        // It was checked when it was kept; a zone may be gone from the database since.
        Err(_) => Vec::new(),
    }
}

/// A run of a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExecutionView {
    #[schema(value_type = String, example = "exec_0f8fad5bd9cb469fa16570867728950e")]
    execution_id: ExecutionId,
    #[schema(value_type = String)]
    transform_id: TransformId,
    status: ExecutionStatus,
    started_at: String,
    finished_at: Option<String>,
    duration_ms: Option<i64>,
    output_row_count: Option<u64>,
    #[schema(value_type = Option<String>)]
    output_dataset_id: Option<DatasetId>,
    /// The version that it made.
    output_version: Option<u64>,
    /// Why it failed, in a sentence.
    error: Option<String>,
    /// The same with code, traceback and line.
    failure: Option<ExecutionFailure>,
    triggered_by: Trigger,
    reason: Reason,
    /// The due time that it is the execution of.
    scheduled_at: Option<String>,
    attempt: u32,
    #[schema(value_type = Object)]
    params: Value,
    /// The versions that it read.
    inputs: Vec<ReadVersion>,
    checks: Vec<CheckResult>,
    usage: Usage,
    /// What the code printed: its beginning and its end, when it is long.
    log: String,
}

impl From<ExecutionRecord> for ExecutionView {
    fn from(record: ExecutionRecord) -> Self {
        let duration_ms = record.duration_ms();
        Self {
            execution_id: record.id,
            transform_id: record.transform_id,
            status: record.status,
            started_at: record.started_at.rfc3339(),
            finished_at: record.finished_at.map(Timestamp::rfc3339),
            duration_ms,
            output_row_count: record.output_row_count,
            output_dataset_id: record.output_dataset_id,
            output_version: record.output_version,
            error: record.failure.as_ref().map(|failure| failure.message.clone()),
            failure: record.failure,
            triggered_by: record.triggered_by,
            reason: record.reason,
            scheduled_at: record.scheduled_at.map(Timestamp::rfc3339),
            attempt: record.attempt,
            params: record.params,
            inputs: record.inputs,
            checks: record.checks,
            usage: record.usage,
            log: record.log,
        }
    }
}
