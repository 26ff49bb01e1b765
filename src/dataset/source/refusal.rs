//! Why something in S3 is not read, in the words of whoever named it.

use super::S3Address;
use crate::error::Error;
use crate::storage::{self, Reason};

/// The error for one of an object store's.
pub(super) fn refusal(address: &S3Address, cause: object_store::Error) -> Error {
    let bucket = address.bucket();
    match storage::reason(&cause) {
        Reason::Missing => {
            let message = format!("there is no `{}` in the bucket `{bucket}`", address.key());
            Error::invalid_field("s3_key", message)
        }
        Reason::NoBucket => Error::invalid_field("s3_bucket", format!("there is no bucket `{bucket}`")),
        Reason::Region => {
            let message = format!("the bucket `{bucket}` is in another region than `S3_REGION` says");
            Error::invalid_field("s3_bucket", message)
        }
        Reason::Denied | Reason::Credentials => {
            tracing::warn!(%address, error = %cause, "an import was refused by S3");
            Error::Forbidden(format!("the service may not read `{address}`"))
        }
        Reason::Archived => Error::Archived(address.to_string()),
        Reason::Precondition => Error::Conflict {
            message: format!("`{address}` changed while it was read: import it again"),
            details: serde_json::json!({ "field": "s3_key" }),
        },
        Reason::Clock | Reason::Busy | Reason::Unreachable | Reason::Full | Reason::Other => {
            let told = storage::classify(cause, &address.to_string());
            Error::Unavailable {
                message: format!("`{address}` cannot be read: {told}"),
                cause: Some(Box::new(told)),
            }
        }
    }
}
