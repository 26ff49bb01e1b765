//! What `decode` says, in the words of the service.

use serde_json::json;

use super::decode::{BadRow, DecodeError, Format, LimitName};
use super::quarantine::SetAside;
use crate::error::Error;

/// Wrong rows that an error shows; the rest is counted.
const SHOWN_MAX: usize = 20;

/// A source that cannot be read.
pub(super) fn of_file(error: &DecodeError) -> Error {
    let message = error.to_string();
    match error {
        DecodeError::OverLimit {
            what: LimitName::DecompressedBytes | LimitName::DecompressedRatio, ..
        } => Error::TooLarge(message),
        DecodeError::OverLimit { .. } => Error::OverLimit(message),
        DecodeError::Encoding { offset, line, .. } => {
            Error::Invalid { message, details: json!({ "field": "file", "offset": offset, "line": line }) }
        }
        DecodeError::Row { line, column, .. } => {
            Error::Invalid { message, details: json!({ "field": "file", "line": line, "column": column }) }
        }
        DecodeError::BadOption { option, .. } => {
            Error::Invalid { message, details: json!({ "field": option }) }
        }
        DecodeError::Empty | DecodeError::Malformed { .. } | DecodeError::UnknownFormat { .. } => {
            Error::Invalid { message, details: json!({ "field": "file" }) }
        }
        DecodeError::Io(cause) => of_io(cause, message),
    }
}

fn of_io(cause: &std::io::Error, message: String) -> Error {
    use std::io::ErrorKind as Io;
    // What could not be had from elsewhere is told in words of ours already.
    if let Some(ours) = cause.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
        return ours.again();
    }
    match cause.kind() {
        Io::NotFound | Io::PermissionDenied | Io::IsADirectory | Io::NotADirectory => {
            Error::Invalid { message, details: json!({ "field": "file" }) }
        }
        Io::StorageFull | Io::QuotaExceeded => Error::StorageFull("the file to import".to_owned()),
        kind => Error::Unavailable { message, cause: Some(Box::new(std::io::Error::from(kind))) },
    }
}

/// More wrong rows than the caller accepts. The message is that of the first one.
pub(super) fn of_rows(rows: &[BadRow], accepted: u64, format: Format) -> Error {
    let Some(first) = rows.first() else { return Error::internal("no wrong row to tell of") };
    let first = first.clone().into_error(format);
    let advice = match accepted {
        0 => "; to import the other rows and keep such ones aside, set `max_bad_rows`".to_owned(),
        _ => format!("; more than the accepted {accepted} rows are wrong"),
    };
    let mut error = of_file(&first);
    match &mut error {
        Error::Invalid { message, details } => {
            message.push_str(&advice);
            let shown: Vec<_> = rows.iter().take(SHOWN_MAX).map(SetAside::from).collect();
            details["bad_rows"] = json!(shown);
        }
        Error::OverLimit(message) => message.push_str(&advice),
        _ => {}
    }
    error
}
