//! SQLite's errors in the words of the ports.

use rusqlite::ErrorCode;

use crate::catalog::store::StoreError;
use crate::error::Error;

impl From<rusqlite::Error> for StoreError {
    fn from(cause: rusqlite::Error) -> Self {
        match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(cause.to_string()),
            Some(_) => Self::Unavailable(Box::new(cause)),
            // Not from SQLite but from reading its rows: a column has a type that no version wrote.
            None => Self::Corrupt(cause.to_string()),
        }
    }
}

/// Work on a blocking thread that ended in a panic: whether it wrote is unknown.
impl From<Error> for StoreError {
    fn from(cause: Error) -> Self {
        Self::Unavailable(Box::new(cause))
    }
}

/// Whether a unique index or a primary key refused a row.
pub(super) fn is_duplicate(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && cause.sqlite_error().is_some_and(|error| {
            matches!(
                error.extended_code,
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            )
        })
}
