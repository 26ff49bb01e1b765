//! What handlers take out of a request, with errors in our envelope.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use utoipa::IntoParams;

use super::context;
use super::error::{ApiError, ApiResult};
use crate::auth::Principal;
use crate::dataset;
use crate::error::{Error, Unauthenticated};

/// Somebody who has signed in; a handler that takes one cannot be called without.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or(ApiError(Error::Unauthenticated(Unauthenticated::Missing)))
    }
}

/// The same, with the request that asks: what an audit record tells of.
#[derive(Debug, Clone)]
pub(super) struct Asker(pub(super) dataset::Caller);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Caller(principal) = Caller::from_request_parts(parts, state).await?;
        Ok(Self(dataset::Caller { principal, request_id: Some(context::current_id()) }))
    }
}

/// A body in JSON.
#[derive(Debug)]
pub(super) struct ApiJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| body_error(&rejection))?;
        Ok(Self(read_json(&body)?))
    }
}

/// Like [`ApiJson`] for routes whose body may be left out: then all fields have their defaults.
#[derive(Debug)]
pub(super) struct OptionalJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| body_error(&rejection))?;
        let body: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
        Ok(Self(read_json(body)?))
    }
}

/// A form whose fields come one after the other.
#[derive(Debug)]
pub(super) struct ApiForm(pub(super) Multipart);

impl<S: Send + Sync> FromRequest<S> for ApiForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        match Multipart::from_request(request, state).await {
            Ok(form) => Ok(Self(form)),
            Err(rejection) => Err(ApiError(Error::invalid(rejection.body_text()))),
        }
    }
}

/// Parameters behind the question mark.
#[derive(Debug)]
pub(super) struct ApiQuery<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError(Error::invalid(rejection.body_text()))),
        }
    }
}

/// Parameters in the path. Text that cannot name anything names nothing: the answer is 404, as it is for
/// an id that nobody has.
#[derive(Debug)]
pub(super) struct ApiPath<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError(path_error(&rejection))),
        }
    }
}

/// Which part of a list to return.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// How many, 1 to 100.
    #[param(default = 50, minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// How many to skip.
    #[param(default = 0)]
    offset: Option<u64>,
}

/// A checked [`PageParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: u64,
    pub(super) offset: u64,
}

impl PageParams {
    pub(super) fn check(self) -> ApiResult<Page> {
        Ok(Page { limit: check_limit(self.limit, 50, 100)?, offset: self.offset.unwrap_or(0) })
    }
}

impl Page {
    /// This part of a list that is there as a whole.
    pub(super) fn of<T>(self, items: &[T]) -> &[T] {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(items.len());
        &items[place(self.offset)..place(self.offset.saturating_add(self.limit))]
    }
}

/// A limit between 1 and `max`.
pub(super) fn check_limit(limit: Option<u64>, default: u64, max: u64) -> ApiResult<u64> {
    match limit.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        limit => {
            let message = format!("`limit` is {limit}: expected 1 to {max}");
            Err(ApiError(Error::invalid_field("limit", message)))
        }
    }
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (field, cause) = (error.path().to_string(), error.inner());
        if cause.is_data() && field != "." {
            Error::Invalid { message: format!("`{field}`: {cause}"), details: json!({ "field": field }) }
        } else {
            not_json(cause)
        }
    })?;
    deserializer.end().map_err(|cause| not_json(&cause))?;
    Ok(value)
}

fn not_json(cause: &serde_json::Error) -> Error {
    let details = json!({ "line": cause.line(), "column": cause.column() });
    Error::Invalid { message: format!("the body is not the JSON expected: {cause}"), details }
}

/// A body that could not be read, most often because it is larger than this route accepts.
pub(super) fn body_error(rejection: &BytesRejection) -> ApiError {
    ApiError(match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Error::TooLarge("the body is longer than this route accepts".to_owned())
        }
        other => Error::invalid(format!("the body could not be read: {other}")),
    })
}

fn path_error(rejection: &PathRejection) -> Error {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Error::invalid(rejection.body_text());
    };
    match failed.kind() {
        ErrorKind::DeserializeError { key, value, .. } | ErrorKind::ParseErrorAtKey { key, value, .. } => {
            Error::not_found(kind(key), value)
        }
        ErrorKind::ParseErrorAtIndex { index, value, .. } => {
            Error::not_found(if *index == 0 { "path" } else { "version" }, value)
        }
        // Bytes that are no text, such as `%c0%ae`.
        ErrorKind::InvalidUtf8InPathParam { key } => Error::not_found(kind(key), char::REPLACEMENT_CHARACTER),
        other => Error::invalid(format!("the path is not readable: {other}")),
    }
}

/// What a path parameter names.
fn kind(parameter: &str) -> &'static str {
    match parameter {
        "dataset_id" => "dataset",
        "user_id" => "user",
        "key_id" => "API key",
        "import_id" => "import",
        "number" => "version",
        "transform_id" => "transform",
        "execution_id" => "execution",
        _ => "path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "only read by the deserialiser")]
        email: String,
        #[expect(dead_code, reason = "only read by the deserialiser")]
        tags: Option<Vec<u32>>,
    }

    #[test]
    fn a_wrong_body_names_the_field() {
        check(r#"{"email": 7}"#, "`email`: invalid type", json!({"field": "email"}));
        check(r#"{"email": "a", "tags": [1, "x"]}"#, "`tags[1]`", json!({"field": "tags[1]"}));
        check("{}", "missing field `email`", json!({"line": 1, "column": 2}));
        check(r#"{"email": "a"} x"#, "not the JSON expected", json!({"line": 1, "column": 16}));
        check("", "not the JSON expected", json!({"line": 1, "column": 0}));

        #[track_caller]
        fn check(body: &str, message: &str, details: serde_json::Value) {
            let ApiError(error) = read_json::<Body>(body.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.details(), details);
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(check_limit(None, 50, 100).unwrap(), 50);
        assert_eq!(check_limit(Some(100), 50, 100).unwrap(), 100);
        for wrong in [0, 101] {
            assert!(check_limit(Some(wrong), 50, 100).is_err());
        }
    }
}
