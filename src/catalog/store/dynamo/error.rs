//! DynamoDB's errors in the words of the ports.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};

use crate::catalog::store::StoreError;

/// Codes by which DynamoDB says that it did nothing because it has too much to do.
pub(super) const THROTTLED: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingException",
    "ThrottlingError",
];

/// What a call failed with.
pub(super) fn failed<E>(error: SdkError<E, HttpResponse>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error.code() {
        Some("ResourceNotFoundException") => StoreError::Unusable(
            "lacks a table or an index: make what is missing with `shirabe init-tables`".to_owned(),
        ),
        Some("ValidationException") if told(&error).contains("size has exceeded") => {
            StoreError::TooLarge("the record".to_owned())
        }
        Some("ValidationException") => StoreError::Corrupt(told(&error)),
        _ => StoreError::Unavailable(told(&error).into()),
    }
}

/// Whether it may have happened all the same.
pub(super) fn outcome_is_unknown<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(refused) => {
            let busy = error.code() == Some("TransactionInProgressException");
            let throttled = error.code().is_some_and(|code| THROTTLED.contains(&code));
            busy || (refused.raw().status().is_server_error() && !throttled)
        }
        _ => true,
    }
}

/// The code and the message, or all causes where there is none: for the log, because they can name accounts.
pub(super) fn told<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no reason given"));
    }
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A request that lacks something: a bug here.
impl From<BuildError> for StoreError {
    fn from(cause: BuildError) -> Self {
        Self::Corrupt(cause.to_string())
    }
}
