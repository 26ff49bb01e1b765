//! Records: what the metadata store keeps, one type a noun. Plain data; views and tables have types of
//! their own, so each can change alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::auth::{Role, Scope as KeyScope};
use crate::catalog::name::NameKey;
use crate::catalog::transform::ReadVersion;
use crate::clock::Timestamp;
use crate::error::Code;
use crate::ids::{CommitId, DatasetId, ExecutionId, KeyId, LogId, MacroId, QueryId, TransformId, UserId};

/// A person who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    pub id: UserId,
    /// Lower-case; unique.
    pub email: String,
    pub name: String,
    pub role: Role,
    /// In PHC or bcrypt form.
    pub password_hash: String,
    /// Tokens carry the number they were made under; raising it ends them all.
    pub token_version: u64,
    /// A disabled user cannot sign in, and their tokens and keys stop working.
    pub disabled: bool,
    /// Bytes that a query of theirs may read; as the service is set when it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_bytes_max: Option<u64>,
    pub created_at: Timestamp,
    /// Counts changes; 0 means "not stored yet".
    pub revision: u64,
}

/// An API key of a user. The secret itself is not kept, only its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub id: KeyId,
    pub user_id: UserId,
    pub name: String,
    pub scope: KeyScope,
    /// Lower-case hexadecimal SHA-256 of the secret.
    pub secret_sha256: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// Where a dataset's rows came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `local_csv`, `s3_csv`, `transform` (contract), and `local_file` for the other formats.
    pub kind: String,
    /// The file's name as the user knows it.
    pub file_name: String,
    /// The path on the server that a re-import reads again; none for an upload, which is not kept.
    pub path: Option<String>,
    /// The execution that made them, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MadeBy>,
}

/// The execution of a transform that made a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    pub transform_id: TransformId,
    pub execution_id: ExecutionId,
    pub inputs: Vec<ReadVersion>,
}

/// A dataset: a name for a chain of immutable versions, one of which is current.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRecord {
    pub id: DatasetId,
    pub name: String,
    pub name_key: NameKey,
    pub description: String,
    pub owner_id: UserId,
    pub source: Source,
    /// The date column by whose days the files are split.
    pub partition_column: Option<String>,
    /// The column by which rows are sorted inside files.
    pub sort_column: Option<String>,
    /// What was found in the file and how it is read; re-imports follow it. JSON of `dataset`'s making.
    pub read_contract: Value,
    /// The version that readers get when they ask for none.
    pub current: VersionRecord,
    pub created_at: Timestamp,
    pub last_import_at: Timestamp,
    /// Counts changes; 0 means "not stored yet".
    pub revision: u64,
}

/// Why a version was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionKind {
    Import,
    Restore,
    Transform,
}

/// One immutable state of a dataset. The files are named in its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    pub dataset_id: DatasetId,
    /// 1, 2, 3 … in the order of commits.
    pub number: u64,
    /// `<number>-<random>`: the name of its folder, unique even between two that race for one number.
    pub label: String,
    /// Lower-case hexadecimal BLAKE3 of the manifest object.
    pub manifest_blake3: String,
    pub kind: VersionKind,
    pub row_count: u64,
    pub byte_count: u64,
    pub column_count: u64,
    /// Rows that were set aside while importing.
    pub quarantined_count: u64,
    pub created_at: Timestamp,
    pub created_by: UserId,
    pub commit_id: CommitId,
}

/// Whose statements may call a macro. A name means one macro in each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MacroScope {
    /// Those of its owner.
    User(UserId),
    /// Everybody's.
    Shared,
}

/// A value that a macro takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacroParameter {
    pub name: String,
    /// A type of SQL to which the value is cast; none leaves it as it is.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// An expression of SQL with a name, which statements call like a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacroRecord {
    pub id: MacroId,
    pub name: String,
    pub name_key: NameKey,
    pub owner_id: UserId,
    pub shared: bool,
    pub parameters: Vec<MacroParameter>,
    /// As its owner wrote it.
    pub expression: String,
    pub description: String,
    /// The other macros that the expression calls.
    pub calls: Vec<NameKey>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts changes; 0 means "not stored yet".
    pub revision: u64,
}

impl MacroRecord {
    #[must_use]
    pub fn scope(&self) -> MacroScope {
        if self.shared { MacroScope::Shared } else { MacroScope::User(self.owner_id.clone()) }
    }
}

/// A version or a whole dataset that nobody may read any more, whose files wait for the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredVersion {
    pub dataset_id: DatasetId,
    pub label: String,
    pub expired_at: Timestamp,
}

/// What happened, in the words of the audit log's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditEvent {
    UserLogin,
    UserLogout,
    UserLoginFailed,
    DatasetCreated,
    DatasetImported,
    DatasetDeleted,
    TransformExecuted,
    TransformFailed,
    /// Python that tried to break out of its sandbox.
    SandboxViolation,
}

/// Who did what to what, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub id: LogId,
    pub timestamp: Timestamp,
    pub event: AuditEvent,
    pub user_id: Option<UserId>,
    pub target_type: String,
    pub target_id: String,
    pub details: Value,
    pub request_id: Option<String>,
}

/// What rows were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    /// A statement that somebody wrote.
    #[default]
    Query,
    Preview,
    /// The values of a column.
    Values,
    Profile,
    Export,
    /// The statement of a transform, and what it reads, checks and writes.
    Transform,
}

/// How far a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryOutcome {
    Queued,
    Planning,
    Running,
    /// All rows.
    Complete,
    /// The rows up to the limit that was asked for.
    Truncated,
    /// Somebody cancelled it, or whoever asked went away.
    Cancelled,
    TimedOut,
    Failed,
    /// It never ran: too many others did.
    Rejected,
}

/// Whether a result came from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// It was there, or the run of an equal query made it meanwhile.
    Hit,
    Miss,
    /// It was not asked.
    #[default]
    Bypass,
}

/// A version of a dataset that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QueryTable {
    /// As the statement names it.
    pub name: String,
    /// Absent for a table of the service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub dataset_id: Option<DatasetId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    pub files: u64,
}

/// What a query failed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QueryFailure {
    pub code: Code,
    pub message: String,
}

/// What the operators of a query did, all threads together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QueryWork {
    /// Time in scans: reading, waiting for the disk, decoding.
    pub scan_us: u64,
    /// Time in all other operators.
    pub compute_us: u64,
    pub scanned_rows: u64,
    pub scanned_bytes: u64,
    /// Files of the tables, and those that statistics did not rule out.
    pub files_total: u64,
    pub files_read: u64,
    /// Files whose columns were in memory; one that is scanned in two parts counts twice.
    #[serde(default)]
    pub files_from_memory: u64,
    pub row_groups_total: u64,
    pub row_groups_pruned: u64,
    pub spill_files: u64,
    pub spilled_bytes: u64,
}

/// A query: what was asked, by whom, and what came of it. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryRecord {
    pub id: QueryId,
    pub user_id: UserId,
    pub kind: QueryKind,
    pub statement: String,
    pub tables: Vec<QueryTable>,
    pub asked_at: Timestamp,
    /// Absent while it runs.
    pub ended_at: Option<Timestamp>,
    pub outcome: QueryOutcome,
    pub failure: Option<QueryFailure>,
    pub cache: CacheUse,
    /// From its arrival to its end, or until now.
    pub total_us: u64,
    pub queue_us: u64,
    pub plan_us: u64,
    pub encode_us: u64,
    /// Rows and bytes of the result, before it is encoded.
    pub rows: u64,
    pub bytes: u64,
    pub memory_peak_bytes: u64,
    /// It ran out of memory and ran again with joins that can spill.
    pub retried: bool,
    pub work: QueryWork,
}

impl QueryKind {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Preview => "preview",
            Self::Values => "values",
            Self::Profile => "profile",
            Self::Export => "export",
            Self::Transform => "transform",
        }
    }
}

impl QueryOutcome {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    /// Whether it is still being answered.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Planning | Self::Running)
    }
}

impl CacheUse {
    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}
