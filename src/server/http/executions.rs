//! `/api/transforms/{id}/executions`: run a transform, watch it, stop it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply, body, respond};
use super::extract::{ApiJson, ApiPath, ApiQuery, Caller, OptionalJson, Page, check_limit};
use super::imports::wants_async;
use super::state::AppState;
use super::transform_view::ExecutionView;
use super::transforms::TransformPath;
use crate::auth::Principal;
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::{ExecutionId, TransformId};
use crate::transform::{Execute, Running, Started};

/// Up to here an answer has the status of what came of the execution.
const QUIET_MAX: Duration = Duration::from_secs(25);
/// Afterwards a space goes out so often: proxies end connections that are silent for a minute, and JSON may begin with
/// spaces.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Longest wait for the end of an execution that is looked at.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ExecutionPath {
    #[param(value_type = String)]
    transform_id: TransformId,
    #[param(value_type = String)]
    execution_id: ExecutionId,
}

/// How to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteBody {
    /// Over those of the transform.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Value,
    /// Make all rows anew, also where rows would be added.
    #[serde(default)]
    full_rebuild: bool,
}

/// Run a transform and wait for what comes of it. `Prefer: respond-async` answers 202 at once.
///
/// An answer that takes longer than 25 seconds begins before its end is known, with spaces: its status is 200 then, and
/// its body tells whether it failed, by `error` as any other failure.
#[utoipa::path(post, path = "/api/transforms/{transform_id}/execute", tag = "transforms", params(TransformPath),
    request_body = ExecuteBody,
    responses((status = 200, body = Reply<ExecutionView>), (status = 202, body = Reply<ExecutionView>),
        (status = 400, body = ErrorReply), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 408, body = ErrorReply), (status = 409, body = ErrorReply), (status = 412, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 500, body = ErrorReply), (status = 503, body = ErrorReply)))]
pub(super) async fn execute(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
    headers: HeaderMap,
    OptionalJson(ask): OptionalJson<ExecuteBody>,
) -> ApiResult<Response> {
    let ask = Execute { params: ask.params, full_rebuild: ask.full_rebuild };
    let Started { execution, running } = app.transforms.execute(&principal, &path.transform_id, ask).await?;
    if wants_async(&headers) {
        let location = format!("/api/transforms/{}/executions/{}", path.transform_id, execution.id);
        let mut response = Reply::of(ExecutionView::from(execution)).accepted(&location);
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
        return Ok(response);
    }
    if tokio::time::timeout(QUIET_MAX, running.ended()).await.is_ok() {
        return Ok(match ended(&app, &principal, &execution).await {
            Ok(record) => Reply::of(ExecutionView::from(record)).into_response(),
            Err(error) => respond(&error),
        });
    }
    let ending = Box::pin(async move {
        running.ended().await;
        let text = match ended(&app, &principal, &execution).await {
            Ok(record) => serde_json::to_vec(&Reply::of(ExecutionView::from(record))),
            Err(error) => serde_json::to_vec(&body(&error)),
        };
        Bytes::from(text.unwrap_or_default())
    });
    let body = stream::unfold(Some(ending), async |ending| {
        let mut ending = ending?;
        let piece = tokio::time::timeout(SIGN_OF_LIFE, &mut ending).await;
        Some(match piece {
            Ok(text) => (Ok::<_, Infallible>(text), None),
            Err(_) => (Ok(Bytes::from_static(b" ")), Some(ending)),
        })
    });
    let mut response = Response::new(Body::from_stream(body.boxed()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What became of an execution that has ended here: its record, or its failure as an error.
async fn ended(app: &AppState, principal: &Principal, started: &ExecutionRecord) -> Result<ExecutionRecord> {
    let record = app.transforms.execution(principal, &started.transform_id, &started.id).await?;
    match (&record.status, &record.failure) {
        (ExecutionStatus::Failed, Some(_)) => Err(failure(&record)),
        _ => Ok(record),
    }
}

/// The failure of an execution as an error, with its id.
fn failure(record: &ExecutionRecord) -> Error {
    let Some(failure) = &record.failure else { return Error::internal("a failure without a reason") };
    let message = failure.message.clone();
    let details = json!({
        "execution_id": record.id, "traceback": failure.traceback, "line": failure.line, "log": record.log,
        "checks": record.checks,
    });
    match failure.code {
        Code::ExecutionTimeout | Code::QueryTimeout => Error::ExecutionTimedOut(message),
        Code::PreconditionFailed => Error::ChecksFailed { message, details },
        Code::Conflict | Code::DuplicateError => Error::Conflict { message, details },
        Code::ValidationError | Code::InvalidSql | Code::UnknownName | Code::NotSupported => {
            Error::Invalid { message, details }
        }
        Code::BadData => Error::BadData(message),
        Code::OverLimit | Code::PayloadTooLarge => Error::OverLimit(message),
        Code::Forbidden => Error::Forbidden(message),
        Code::Cancelled => Error::Cancelled,
        Code::SandboxUnavailable => Error::SandboxUnavailable(message),
        Code::ServiceUnavailable => Error::Unavailable { message, cause: None },
        _ => Error::Execution { message, details },
    }
}

/// Which executions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExecutionsQuery {
    /// How many, 1 to 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u64>,
    #[param(default = 0)]
    offset: Option<u64>,
}

/// Executions of a transform, newest first.
#[utoipa::path(get, path = "/api/transforms/{transform_id}/executions", tag = "transforms",
    params(TransformPath, ExecutionsQuery),
    responses((status = 200, body = ListReply<ExecutionView>), (status = 404, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
    ApiQuery(query): ApiQuery<ExecutionsQuery>,
) -> ApiResult<ListReply<ExecutionView>> {
    let page = Page { limit: check_limit(query.limit, 20, 100)?, offset: query.offset.unwrap_or(0) };
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (limit, offset) = (count(page.limit), count(page.offset));
    let found = app.transforms.executions(&principal, &path.transform_id, limit, offset).await?;
    let views = found.items.into_iter().map(ExecutionView::from).collect();
    Ok(ListReply::of(views, page, found.total))
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Answer when the execution has ended, or after so many milliseconds; at most 30,000.
    #[serde(default)]
    wait: u64,
}

/// One execution.
#[utoipa::path(get, path = "/api/transforms/{transform_id}/executions/{execution_id}", tag = "transforms",
    params(ExecutionPath, WaitQuery),
    responses((status = 200, body = Reply<ExecutionView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ExecutionPath>,
    ApiQuery(query): ApiQuery<WaitQuery>,
) -> ApiResult<Reply<ExecutionView>> {
    let ExecutionPath { transform_id, execution_id } = path;
    let (record, running) = app.transforms.running(&principal, &transform_id, &execution_id).await?;
    let Some(running) = running.filter(|_| record.is_running()) else { return Ok(Reply::of(record.into())) };
    let patience = Duration::from_millis(query.wait).min(WAIT_MAX);
    // Out of patience or not, the answer is what it is now.
    let _ = tokio::time::timeout(patience, running.ended()).await;
    Ok(Reply::of(app.transforms.execution(&principal, &transform_id, &execution_id).await?.into()))
}

/// What an execution prints, line by line while it runs.
#[utoipa::path(get, path = "/api/transforms/{transform_id}/executions/{execution_id}/log", tag = "transforms",
    params(ExecutionPath),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = ErrorReply)))]
pub(super) async fn log(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ExecutionPath>,
) -> ApiResult<Response> {
    let (record, running) =
        app.transforms.running(&principal, &path.transform_id, &path.execution_id).await?;
    let body = match running {
        Some(running) => Body::from_stream(lines(running)),
        None => Body::from(record.log),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Proxies that collect an answer before they pass it on are asked not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn lines(running: Arc<Running>) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold((running, 0), async |(running, from)| {
        let found = running.lines_from(from).await?;
        let mut text = String::new();
        for line in &found {
            text.push_str(line);
            text.push('\n');
        }
        let next = from + found.len();
        Some((Ok(Bytes::from(text)), (running, next)))
    })
    .boxed()
}

/// Stop an execution. Nothing of it is published.
#[utoipa::path(post, path = "/api/transforms/{transform_id}/executions/{execution_id}/cancel", tag = "transforms",
    params(ExecutionPath),
    responses((status = 200, body = Reply<ExecutionView>), (status = 403, body = ErrorReply),
        (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
pub(super) async fn cancel(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ExecutionPath>,
) -> ApiResult<Response> {
    let ExecutionPath { transform_id, execution_id } = path;
    let record = app.transforms.cancel(&principal, &transform_id, &execution_id).await?;
    Ok((StatusCode::OK, Json(Reply::of(ExecutionView::from(record)))).into_response())
}

/// A range of due times. Both ends are in it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackfillBody {
    /// RFC 3339.
    #[schema(example = "2026-01-01T00:00:00Z")]
    from: String,
    /// RFC 3339; what lies in the future is not due yet.
    #[schema(example = "2026-01-31T23:59:59Z")]
    to: String,
}

/// The due times that are made up for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackfillView {
    /// RFC 3339, in the order in which they are run.
    due_times: Vec<String>,
}

/// Run a transform for each due time of a range that there is no execution for, one after the other. Asking again goes
/// on with those that have not begun.
#[utoipa::path(post, path = "/api/transforms/{transform_id}/backfill", tag = "transforms", params(TransformPath),
    request_body = BackfillBody,
    responses((status = 202, body = Reply<BackfillView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 404, body = ErrorReply)))]
pub(super) async fn backfill(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
    ApiJson(body): ApiJson<BackfillBody>,
) -> ApiResult<Response> {
    let (from, to) = (moment("from", &body.from)?, moment("to", &body.to)?);
    if from > to {
        return Err(Error::invalid_field("from", "`from` is later than `to`").into());
    }
    let record = app.transforms.to_run(&principal, &path.transform_id).await?;
    let times = app.scheduler.backfill(&record, from, to, app.clock.now()).await?;
    let location = format!("/api/transforms/{}/executions", record.id);
    let due_times = times.into_iter().map(Timestamp::rfc3339).collect();
    Ok(Reply::of(BackfillView { due_times }).accepted(&location))
}

fn moment(field: &'static str, text: &str) -> Result<Timestamp> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text);
    parsed.map(|time| Timestamp::from_micros(time.timestamp_micros())).map_err(|_| {
        Error::invalid_field(
            field,
            format!("`{field}` is `{text}`: expected a time such as 2026-01-31T09:00:00Z"),
        )
    })
}
