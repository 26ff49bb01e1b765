//! Errors on their way out of a worker: the same code, message, place and suggestions as in this process.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Place};

/// An [`Error`] that a query can end with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Failure {
    Invalid {
        message: String,
        details: Value,
    },
    BadData(String),
    InvalidSql {
        message: String,
        place: Option<(u64, u64)>,
    },
    UnknownName {
        message: String,
        place: Option<(u64, u64)>,
        suggestions: Vec<String>,
    },
    NotSupported(String),
    OverLimit(String),
    TimedOut(String),
    Cancelled,
    Unavailable {
        message: String,
        cause: Option<String>,
    },
    StorageFull(String),
    Damaged {
        object: String,
        reason: String,
    },
    Archived(String),
    /// For the log of the service.
    Internal(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let pair = |place: Option<Place>| place.map(|place| (place.line, place.column));
        match error {
            Error::Invalid { message, details } => Self::Invalid { message, details },
            Error::BadData(message) => Self::BadData(message),
            Error::InvalidSql { message, place } => Self::InvalidSql { message, place: pair(place) },
            Error::UnknownName { message, place, suggestions } => {
                Self::UnknownName { message, place: pair(place), suggestions }
            }
            Error::NotSupported(message) => Self::NotSupported(message),
            Error::OverLimit(message) => Self::OverLimit(message),
            Error::TimedOut(message) => Self::TimedOut(message),
            Error::Cancelled => Self::Cancelled,
            Error::Unavailable { message, cause } => {
                Self::Unavailable { message, cause: cause.map(|cause| cause.to_string()) }
            }
            Error::StorageFull(object) => Self::StorageFull(object),
            Error::Damaged { object, reason } => Self::Damaged { object, reason },
            Error::Archived(object) => Self::Archived(object),
            Error::Internal(cause) => Self::Internal(cause.to_string()),
            // Nothing that runs a spec makes these.
            other @ (Error::Unauthenticated(_)
            | Error::Forbidden(_)
            | Error::NotFound { .. }
            | Error::Conflict { .. }
            | Error::Duplicate(_)
            | Error::TooLarge(_)
            | Error::RateLimited { .. }
            | Error::ExecutionTimedOut(_)
            | Error::Execution { .. }
            | Error::ChecksFailed { .. }
            | Error::SandboxUnavailable(_)) => Self::Internal(other.to_string()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let place = |pair: Option<(u64, u64)>| pair.map(|(line, column)| Place { line, column });
        match failure {
            Failure::Invalid { message, details } => Self::Invalid { message, details },
            Failure::BadData(message) => Self::BadData(message),
            Failure::InvalidSql { message, place: at } => Self::InvalidSql { message, place: place(at) },
            Failure::UnknownName { message, place: at, suggestions } => {
                Self::UnknownName { message, place: place(at), suggestions }
            }
            Failure::NotSupported(message) => Self::NotSupported(message),
            Failure::OverLimit(message) => Self::OverLimit(message),
            Failure::TimedOut(message) => Self::TimedOut(message),
            Failure::Cancelled => Self::Cancelled,
            Failure::Unavailable { message, cause } => {
                Self::Unavailable { message, cause: cause.map(Into::into) }
            }
            Failure::StorageFull(object) => Self::StorageFull(object),
            Failure::Damaged { object, reason } => Self::Damaged { object, reason },
            Failure::Archived(object) => Self::Archived(object),
            Failure::Internal(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_as_they_were() {
        let text = || "text".to_owned();
        let place = Some(Place { line: 2, column: 5 });
        check(|| Error::invalid_field("limit", "text"));
        check(|| Error::BadData(text()));
        check(|| Error::InvalidSql { message: text(), place });
        check(|| Error::InvalidSql { message: text(), place: None });
        check(|| Error::UnknownName { message: text(), place, suggestions: vec![text(), text()] });
        check(|| Error::NotSupported(text()));
        check(|| Error::OverLimit(text()));
        check(|| Error::TimedOut(text()));
        check(|| Error::Cancelled);
        check(|| Error::Unavailable { message: text(), cause: Some("why".into()) });
        check(|| Error::StorageFull(text()));
        check(|| Error::Damaged { object: text(), reason: text() });
        check(|| Error::Archived(text()));
        check(|| Error::internal("why"));

        #[track_caller]
        fn check(make: impl Fn() -> Error) {
            let bytes = serde_json::to_vec(&Failure::from(make())).unwrap();
            let back = Error::from(serde_json::from_slice::<Failure>(&bytes).unwrap());
            assert_eq!(format!("{back:?}"), format!("{:?}", make()));
        }
    }

    #[test]
    fn what_no_query_ends_with_is_internal() {
        let failure = Failure::from(Error::Forbidden("not you".to_owned()));
        assert_eq!(failure, Failure::Internal("not you".to_owned()));
    }
}
