//! `/api/query`: ask a question in SQL.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiQuery, Caller};
use super::state::AppState;
use super::stream::{Answer, FormatQuery};
use super::{answer, context};
use crate::encode::Format;
use crate::engine::Request;
use crate::error::Error;
use crate::ids::QueryId;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct QueryBody {
    /// One read-only statement over datasets, each by its name or id.
    #[schema(example = "select carrier, count(*) as flights from flights group by carrier order by 2 desc")]
    sql: String,
    /// The version to read (when the statement names one dataset), or a time in RFC 3339 at which all
    /// are read.
    as_of: Option<String>,
    /// Rows at most; the answer says whether there were more.
    limit: Option<u64>,
    /// How long it may take, in milliseconds; at most what the service allows.
    timeout_ms: Option<u64>,
    /// Whether an answer that was kept will do, and whether this one is kept. An answer is exact either way.
    #[serde(default = "yes")]
    #[schema(default = true)]
    use_cache: bool,
}

fn yes() -> bool {
    true
}

/// Run a statement and stream its rows in the format of `Accept` or `?format=`.
///
/// The header `X-Query-Id` names the query, and `X-Cache` says where its answer came from: `hit` (it was kept, or an
/// equal query made it meanwhile), `miss`, or `bypass`. A failure after the first byte is told by the format: JSON ends
/// with `"complete": false` and the error, NDJSON with an `error` line; of Arrow, CSV and Parquet the
/// transfer breaks.
#[utoipa::path(post, path = "/api/query", tag = "query", params(FormatQuery), request_body = QueryBody,
    responses((status = 200, description = "the rows, in the format asked for",
        content((Object = "application/json"), (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 400, body = ErrorReply), (status = 401, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 504, body = ErrorReply)))]
pub(super) async fn query(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(form): ApiQuery<FormatQuery>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<QueryBody>,
) -> ApiResult<Response> {
    let format = form.format(&headers, Format::Json)?;
    let query_id = QueryId::random();
    context::set_query(&query_id);
    let mut request = Request::new(query_id.clone(), body.sql);
    request.as_of = body.as_of.as_deref().map(str::parse).transpose()?;
    request.row_limit = body.limit;
    request.timeout = timeout(body.timeout_ms)?;
    let spec = app.engine.resolve(app.catalog.as_ref(), &principal, request, app.clock.now()).await?;
    let answer =
        Answer { format, query_id: Some(query_id), formula_guard: form.formula_guard, file_name: None };
    Ok(answer::respond(&app, spec, body.use_cache, answer).await?)
}

fn timeout(ms: Option<u64>) -> Result<Option<Duration>, Error> {
    match ms {
        Some(0) => Err(Error::invalid_field("timeout_ms", "`timeout_ms` is 0: expected 1 or more")),
        ms => Ok(ms.map(Duration::from_millis)),
    }
}
