//! Records of transforms and of their executions. Plain data, like all records; see `record.rs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::Code;
use crate::ids::{DatasetId, ExecutionId, TransformId, UserId};

/// Code that makes a dataset of other datasets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransformRecord {
    pub id: TransformId,
    pub name: String,
    pub description: String,
    pub owner_id: UserId,
    pub language: Language,
    pub code: String,
    /// At least one.
    pub inputs: Vec<TransformInput>,
    /// An object: the values of parameters that an execution does not give.
    pub params: Value,
    pub schedule: Schedule,
    pub settings: TransformSettings,
    /// Where versions go. The dataset is made by the first execution that succeeds; its id is chosen before.
    pub output_dataset_id: DatasetId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts changes; 0 means "not stored yet".
    pub revision: u64,
}

impl TransformRecord {
    /// The datasets that it reads.
    pub fn input_ids(&self) -> impl Iterator<Item = &DatasetId> {
        self.inputs.iter().map(|input| &input.dataset_id)
    }
}

/// What a transform is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Python,
    Sql,
}

/// A dataset that a transform reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformInput {
    pub dataset_id: DatasetId,
    /// A second key in `inputs`, and the table's name in SQL; the dataset's own name when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The columns that are handed over; all when none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// A condition of SQL that the rows that are handed over meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// When a transform runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Five fields of cron: minute, hour, day of the month, month, day of the week.
    pub cron: Option<String>,
    /// The zone that the fields are meant in: a name of the IANA database.
    pub time_zone: String,
    pub enabled: bool,
    /// Also run when an input has a new version.
    #[serde(default)]
    pub on_input_change: bool,
    #[serde(default)]
    pub missed: Missed,
    /// Due times before it are nobody's business: when the schedule was made, changed or taken up again.
    pub since: Timestamp,
}

impl Schedule {
    /// None: the transform runs by hand only.
    #[must_use]
    pub fn none(now: Timestamp) -> Self {
        Self {
            cron: None,
            time_zone: "UTC".to_owned(),
            enabled: false,
            on_input_change: false,
            missed: Missed::default(),
            since: now,
        }
    }

    /// Whether the clock or a new version may start an execution.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.enabled && (self.cron.is_some() || self.on_input_change)
    }
}

/// What becomes of due times that passed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// The last one is made up for.
    #[default]
    One,
    /// Each is made up for, the oldest first.
    All,
}

/// What else a transform is told to do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TransformSettings {
    /// What Python code meets when it does not say by an annotation.
    pub frames: FrameKind,
    /// A JSON schema that the parameters of an execution have to meet.
    pub params_schema: Option<Value>,
    /// The name of the dataset that is made; the transform's own when none is given.
    pub output_name: Option<String>,
    pub partition_column: Option<String>,
    pub sort_column: Option<String>,
    pub write: WriteMode,
    /// What has to hold of a new version before it is published.
    pub checks: Vec<Check>,
    pub retries: Retries,
    pub timeout_s: Option<u64>,
    pub memory_mb: Option<u64>,
}

/// The frames of Python code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    #[default]
    Pandas,
    PandasArrow,
    Polars,
    Pyarrow,
}

/// How rows become the next version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum WriteMode {
    /// The rows are the version.
    #[default]
    Rebuild,
    /// The rows are added to those that are there. `$high_water` is the greatest value of the column so far.
    Append { high_water: String },
    /// The same, but a row takes the place of one that has the same key.
    Merge { high_water: String, keys: Vec<String> },
}

/// What has to hold of a new version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    NotNull {
        column: String,
    },
    /// No two rows have the same values in these columns.
    Unique {
        columns: Vec<String>,
    },
    /// Each value is one of these, or NULL.
    AcceptedValues {
        column: String,
        values: Vec<Value>,
    },
    /// Each value lies between these, both included, or is NULL.
    Range {
        column: String,
        #[serde(default)]
        min: Option<Value>,
        #[serde(default)]
        max: Option<Value>,
    },
    /// The number of rows lies between these, both included.
    RowCount {
        #[serde(default)]
        min: Option<u64>,
        #[serde(default)]
        max: Option<u64>,
    },
    /// The number of rows differs from that of the version in force by no more than this share of it: 0.5 is half.
    RowCountChange {
        max_decrease: Option<f64>,
        max_increase: Option<f64>,
    },
    /// The greatest value of this date or time is at most so many hours old.
    Freshness {
        column: String,
        max_age_hours: u64,
    },
    /// The columns of the version in force are there, with their types.
    Schema,
    /// A statement over the table `candidate` that finds no row when all is well.
    Sql {
        name: String,
        sql: String,
    },
}

/// Further attempts after a failure that can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// 0 to 10.
    pub max: u32,
    /// Before the first one; doubled before each further one.
    pub backoff_s: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { max: 2, backoff_s: 10 }
    }
}

/// One run of a transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    pub id: ExecutionId,
    pub transform_id: TransformId,
    /// Unique for its transform, which has one running execution at most.
    pub started_at: Timestamp,
    pub status: ExecutionStatus,
    pub finished_at: Option<Timestamp>,
    pub triggered_by: Trigger,
    /// Why, more exactly.
    pub reason: Reason,
    /// Whose rights it has: its owner's.
    pub user_id: UserId,
    /// The due time that it is the execution of. A transform has one execution for each at most.
    pub scheduled_at: Option<Timestamp>,
    /// 1, 2, 3 …
    pub attempt: u32,
    /// As it was started with, over those of the transform.
    pub params: Value,
    /// The versions that it reads.
    pub inputs: Vec<ReadVersion>,
    pub output_dataset_id: Option<DatasetId>,
    pub output_version: Option<u64>,
    pub output_row_count: Option<u64>,
    pub failure: Option<ExecutionFailure>,
    /// What the checks found.
    pub checks: Vec<CheckResult>,
    pub usage: Usage,
    /// What the code printed, as far as it is kept.
    pub log: String,
    /// Who runs it: a process. It answers for the execution until the time, and says anew that it does before that.
    pub lease: Option<Lease>,
    /// Counts changes; 0 means "not stored yet". Whoever stores under a revision that is not the last any more has
    /// lost the execution to somebody else: the fencing token.
    pub revision: u64,
}

impl ExecutionRecord {
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == ExecutionStatus::Running
    }

    /// Its due time, if the clock asked for it: not so that of a backfill.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        self.scheduled_at.filter(|_| self.reason == Reason::Due)
    }

    /// From its start to its end, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> Option<i64> {
        self.finished_at.map(|end| (end.micros() - self.started_at.micros()) / 1000)
    }
}

/// How far an execution has come, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    Running,
    Success,
    Failed,
}

/// Who started an execution, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Manual,
    Schedule,
}

/// Why an execution was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody asked for it.
    Request,
    /// It was due.
    Due,
    /// An input has a new version.
    InputChanged,
    /// Somebody asked for the due times of a range.
    Backfill,
}

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReadVersion {
    #[schema(value_type = String)]
    pub dataset_id: DatasetId,
    pub version: u64,
}

/// Why an execution failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExecutionFailure {
    pub code: Code,
    pub message: String,
    /// Of the user's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// In the user's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckResult {
    /// As its author would call it: `not_null(city)`.
    pub check: String,
    pub passed: bool,
    /// What was expected and what is there.
    pub message: String,
}

/// What an execution took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Usage {
    pub cpu_ms: u64,
    pub memory_peak_bytes: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// How Python was confined: `A`, `B` or `C`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_tier: Option<char>,
}

/// That a process answers for an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// A name that the process made for this time that it took this execution.
    pub holder: String,
    /// By its clock, for people: others see by the revision whether it still says so.
    pub until: Timestamp,
}
