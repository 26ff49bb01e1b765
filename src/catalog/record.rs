//! Records: what the metadata store keeps, one type a noun. Plain data; views and tables have types of
//! their own, so each can change alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::auth::{Role, Scope as KeyScope};
use crate::catalog::name::NameKey;
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, KeyId, LogId, UserId};

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
