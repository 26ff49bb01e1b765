//! What can go wrong, in our words and without HTTP. Each door maps [`Code`] to its own protocol in
//! one exhaustive match. Detail that a caller must not see stays in a source, for the log.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The result of most functions here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, named by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument or a file that was sent is wrong; `details` names the field or the place.
    #[error("{message}")]
    Invalid { message: String, details: Value },
    /// A statement met values it cannot work on, such as text that is no number.
    #[error("{0}")]
    BadData(String),
    /// A statement that cannot be planned.
    #[error("{message}")]
    InvalidSql { message: String, place: Option<Place> },
    /// A statement names a table, column or function that is not there, or that the caller may not see.
    #[error("{message}")]
    UnknownName { message: String, place: Option<Place>, suggestions: Vec<String> },
    /// Well-formed, but not something this service does.
    #[error("{0}")]
    NotSupported(String),
    /// Nobody has proven who they are, or the proof is not good.
    #[error("{0}")]
    Unauthenticated(Unauthenticated),
    /// Known, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// No such thing, or none that the caller may see.
    #[error("no {kind} `{name}`")]
    NotFound { kind: &'static str, name: String },
    /// Somebody else changed it first, or something depends on it.
    #[error("{message}")]
    Conflict { message: String, details: Value },
    /// The name is taken.
    #[error("{0}")]
    Duplicate(String),
    /// More bytes than are accepted.
    #[error("File too large: {0}")]
    TooLarge(String),
    /// A limit on rows, memory, columns or text was reached.
    #[error("{0}")]
    OverLimit(String),
    /// Too many calls.
    #[error("too many requests: try again in {retry_after_s} s")]
    RateLimited { retry_after_s: u64 },
    /// The deadline passed.
    #[error("{0}")]
    TimedOut(String),
    /// A transform or card ran longer than it may.
    #[error("{0}")]
    ExecutionTimedOut(String),
    /// Code that a user wrote failed; `details` has its traceback and line.
    #[error("{message}")]
    Execution { message: String, details: Value },
    /// What was to be published does not pass its checks; `details` has them.
    #[error("{message}")]
    ChecksFailed { message: String, details: Value },
    /// This machine cannot confine other people's Python, so none runs.
    #[error("{0}")]
    SandboxUnavailable(String),
    /// The caller went away or asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A part we depend on does not answer or has no room; trying later may help.
    #[error("{message}")]
    Unavailable {
        message: String,
        #[source]
        cause: Option<Cause>,
    },
    /// The disk or bucket is full.
    #[error("no space left to store `{0}`: nothing was changed; free some space and try again")]
    StorageFull(String),
    /// Stored bytes are not what was written.
    #[error("stored file `{object}` is damaged: {reason}")]
    Damaged { object: String, reason: String },
    /// Stored bytes were moved where they cannot be read before somebody brings them back.
    #[error("stored file `{0}` is archived: restore it in the bucket first")]
    Archived(String),
    /// A bug. The source goes to the log, never to the caller.
    #[error("internal error")]
    Internal(#[source] Cause),
}

/// Why a caller is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    #[error("sign in first: send `Authorization: Bearer <token>`")]
    Missing,
    #[error("the token is not valid")]
    BadToken,
    #[error("the token has expired: sign in again")]
    Expired,
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
}

/// A place in a statement; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// The codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    ValidationError,
    BadData,
    InvalidSql,
    UnknownName,
    NotSupported,
    Unauthorized,
    InvalidToken,
    TokenExpired,
    InvalidCredentials,
    Forbidden,
    NotFound,
    Conflict,
    DuplicateError,
    PayloadTooLarge,
    OverLimit,
    RateLimitExceeded,
    PreconditionFailed,
    QueryTimeout,
    ExecutionTimeout,
    ExecutionError,
    Cancelled,
    ServiceUnavailable,
    SandboxUnavailable,
    StorageFull,
    StorageDamaged,
    DatasetArchived,
    InternalError,
}

/// As in the contract: `QUERY_TIMEOUT`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Error {
    /// An argument is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), details: json!({}) }
    }

    /// The argument `field` is wrong.
    pub fn invalid_field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), details: json!({ "field": field }) }
    }

    /// No `kind` is called `name`.
    pub fn not_found(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }

    /// A file or folder of our own cannot be used.
    pub fn unusable(path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = format!("`{}` cannot be used: {cause}", path.display());
        Self::Unavailable { message, cause: Some(Box::new(cause)) }
    }

    /// A bug, or a failure that no caller can act on.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// The same for one more of several callers who wait for one outcome. A cause is told by its text.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Invalid { message, details } => {
                Self::Invalid { message: message.clone(), details: details.clone() }
            }
            Self::BadData(message) => Self::BadData(message.clone()),
            Self::InvalidSql { message, place } => {
                Self::InvalidSql { message: message.clone(), place: *place }
            }
            Self::UnknownName { message, place, suggestions } => Self::UnknownName {
                message: message.clone(),
                place: *place,
                suggestions: suggestions.clone(),
            },
            Self::NotSupported(message) => Self::NotSupported(message.clone()),
            Self::Unauthenticated(reason) => Self::Unauthenticated(*reason),
            Self::Forbidden(message) => Self::Forbidden(message.clone()),
            Self::NotFound { kind, name } => Self::NotFound { kind, name: name.clone() },
            Self::Conflict { message, details } => {
                Self::Conflict { message: message.clone(), details: details.clone() }
            }
            Self::Duplicate(message) => Self::Duplicate(message.clone()),
            Self::TooLarge(message) => Self::TooLarge(message.clone()),
            Self::OverLimit(message) => Self::OverLimit(message.clone()),
            Self::RateLimited { retry_after_s } => Self::RateLimited { retry_after_s: *retry_after_s },
            Self::TimedOut(message) => Self::TimedOut(message.clone()),
            Self::ExecutionTimedOut(message) => Self::ExecutionTimedOut(message.clone()),
            Self::Execution { message, details } => {
                Self::Execution { message: message.clone(), details: details.clone() }
            }
            Self::ChecksFailed { message, details } => {
                Self::ChecksFailed { message: message.clone(), details: details.clone() }
            }
            Self::SandboxUnavailable(message) => Self::SandboxUnavailable(message.clone()),
            Self::Cancelled => Self::Cancelled,
            Self::Unavailable { message, cause } => Self::Unavailable {
                message: message.clone(),
                cause: cause.as_ref().map(|cause| cause.to_string().into()),
            },
            Self::StorageFull(object) => Self::StorageFull(object.clone()),
            Self::Damaged { object, reason } => {
                Self::Damaged { object: object.clone(), reason: reason.clone() }
            }
            Self::Archived(object) => Self::Archived(object.clone()),
            Self::Internal(cause) => Self::internal(cause.to_string()),
        }
    }

    /// Which code of the contract this is.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::ValidationError,
            Self::BadData(_) => Code::BadData,
            Self::InvalidSql { .. } => Code::InvalidSql,
            Self::UnknownName { .. } => Code::UnknownName,
            Self::NotSupported(_) => Code::NotSupported,
            Self::Unauthenticated(Unauthenticated::Missing) => Code::Unauthorized,
            Self::Unauthenticated(Unauthenticated::BadToken) => Code::InvalidToken,
            Self::Unauthenticated(Unauthenticated::Expired) => Code::TokenExpired,
            Self::Unauthenticated(Unauthenticated::BadCredentials) => Code::InvalidCredentials,
            Self::Forbidden(_) => Code::Forbidden,
            Self::NotFound { .. } => Code::NotFound,
            Self::Conflict { .. } => Code::Conflict,
            Self::Duplicate(_) => Code::DuplicateError,
            Self::TooLarge(_) => Code::PayloadTooLarge,
            Self::OverLimit(_) => Code::OverLimit,
            Self::RateLimited { .. } => Code::RateLimitExceeded,
            Self::TimedOut(_) => Code::QueryTimeout,
            Self::ExecutionTimedOut(_) => Code::ExecutionTimeout,
            Self::Execution { .. } => Code::ExecutionError,
            Self::ChecksFailed { .. } => Code::PreconditionFailed,
            Self::SandboxUnavailable(_) => Code::SandboxUnavailable,
            Self::Cancelled => Code::Cancelled,
            Self::Unavailable { .. } => Code::ServiceUnavailable,
            Self::StorageFull(_) => Code::StorageFull,
            Self::Damaged { .. } => Code::StorageDamaged,
            Self::Archived(_) => Code::DatasetArchived,
            Self::Internal(_) => Code::InternalError,
        }
    }

    /// What helps the caller beyond the message: a place, near names, fields.
    #[must_use]
    pub fn details(&self) -> Value {
        match self {
            Self::Invalid { details, .. }
            | Self::Conflict { details, .. }
            | Self::Execution { details, .. }
            | Self::ChecksFailed { details, .. } => details.clone(),
            Self::InvalidSql { place: Some(place), .. } => json!(place),
            Self::UnknownName { place, suggestions, .. } => json!({
                "line": place.map(|p| p.line),
                "column": place.map(|p| p.column),
                "suggestions": suggestions,
            }),
            Self::RateLimited { retry_after_s } => json!({ "retry_after_s": retry_after_s }),
            _ => json!({}),
        }
    }
}
