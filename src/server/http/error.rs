#![warn(clippy::wildcard_enum_match_arm)]
//! Our errors in HTTP's words. The only place that chooses a status for a code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::context::{self, RequestContext};
use super::envelope::Meta;
use crate::error::{Code, Error};

/// What a handler returns.
pub(super) type ApiResult<T> = Result<T, ApiError>;

/// An error on its way out.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) Error);

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorReply {
    error: ErrorView,
    meta: Meta,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorView {
    code: Code,
    /// In English; a user interface translates by `code`.
    #[schema(example = "no dataset `ds_0123456789ab`")]
    message: String,
    /// What helps beyond the message: `field`, `line`, `column`, `suggestions`.
    #[schema(value_type = Object)]
    details: Value,
}

/// What a caller is told to wait when a part of the service does not answer, in seconds.
const RETRY_AFTER_S: u64 = 5;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(&self.0)
    }
}

impl From<&Error> for ErrorView {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), message: error.to_string(), details: error.details() }
    }
}

/// The answer that tells of `error`.
pub(super) fn respond(error: &Error) -> Response {
    let status = status(error.code());
    if let Some(context) = context::current() {
        note(&context, error);
    }
    let mut response = (status, Json(body(error))).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after_s(error) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The body of the answer that tells of `error`.
pub(super) fn body(error: &Error) -> ErrorReply {
    ErrorReply { error: ErrorView::from(error), meta: Meta::current() }
}

/// Notes a failure for the line of the request. One that is ours gets a line with its causes as well.
pub(super) fn note(context: &RequestContext, error: &Error) {
    let code = error.code();
    context.failed(code);
    if status(code).is_server_error() {
        tracing::error!(
            request_id = context.id(),
            query.id = context.query().map(tracing::field::display),
            %code,
            error = %chain(error),
            "request failed"
        );
    }
}

/// The status of each code. No `_` arm: a new code must choose here.
pub(super) fn status(code: Code) -> StatusCode {
    match code {
        Code::ValidationError | Code::InvalidSql | Code::UnknownName | Code::NotSupported => {
            StatusCode::BAD_REQUEST
        }
        Code::BadData | Code::OverLimit => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Unauthorized | Code::InvalidToken | Code::TokenExpired | Code::InvalidCredentials => {
            StatusCode::UNAUTHORIZED
        }
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        // Coming back later does not help: somebody has to restore it.
        Code::Conflict | Code::DuplicateError | Code::DatasetArchived => StatusCode::CONFLICT,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::QueryTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::ExecutionTimeout => StatusCode::REQUEST_TIMEOUT,
        // The number that proxies use for a caller who went away; it has no name in HTTP's own list.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::ServiceUnavailable | Code::SandboxUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Code::StorageDamaged | Code::InternalError | Code::ExecutionError => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn retry_after_s(error: &Error) -> Option<u64> {
    if let Error::RateLimited { retry_after_s } = error {
        return Some(*retry_after_s);
    }
    (status(error.code()) == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S)
}

/// The error and all its causes on one line, for the log only.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_status_of_the_contract() {
        check(Error::invalid("x"), 400, "VALIDATION_ERROR");
        check(Error::not_found("dataset", "x"), 404, "NOT_FOUND");
        check(Error::Duplicate("x".into()), 409, "DUPLICATE_ERROR");
        check(Error::TooLarge("x".into()), 413, "PAYLOAD_TOO_LARGE");
        check(Error::OverLimit("x".into()), 422, "OVER_LIMIT");
        check(Error::RateLimited { retry_after_s: 7 }, 429, "RATE_LIMIT_EXCEEDED");
        check(Error::Cancelled, 499, "CANCELLED");
        check(Error::internal("secret detail"), 500, "INTERNAL_ERROR");
        check(Error::Unavailable { message: "x".into(), cause: None }, 503, "SERVICE_UNAVAILABLE");
        check(Error::TimedOut("x".into()), 504, "QUERY_TIMEOUT");
        check(Error::StorageFull("x".into()), 507, "STORAGE_FULL");
        check(Error::Archived("x".into()), 409, "DATASET_ARCHIVED");

        #[track_caller]
        fn check(error: Error, expected: u16, code: &str) {
            assert_eq!(serde_json::to_value(error.code()).unwrap(), code);
            assert_eq!(ApiError(error).into_response().status(), expected);
        }
    }

    #[test]
    fn a_caller_learns_when_to_come_back_but_not_what_broke() {
        let response = ApiError(Error::RateLimited { retry_after_s: 7 }).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let response = ApiError(Error::Unavailable { message: "x".into(), cause: None }).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        let internal = Error::internal("secret detail");
        assert!(!internal.to_string().contains("secret"));
        assert!(chain(&internal).contains("secret detail"), "the log has it");
    }
}
