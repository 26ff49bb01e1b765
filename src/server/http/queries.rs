//! `/api/query`: ask a question in SQL, in a body or behind the question mark.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::etag::Etag;
use super::extract::{ApiJson, ApiQuery, Caller};
use super::state::AppState;
use super::stream::{self, Answer, FormatQuery};
use super::{answer, context};
use crate::encode::Format;
use crate::engine::{Explanation, Request, WrittenParameters, parameters_of_pairs};
use crate::error::{Error, Result};
use crate::ids::QueryId;

/// A caller may keep an answer, and has to ask each time whether it still holds: what it may see can change.
const ASK_EACH_TIME: HeaderValue = HeaderValue::from_static("private, no-cache");

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "sql": "select carrier, count(*) as flights from flights where month = $month group by carrier order by 2 desc",
    "parameters": {"month": 1},
    "limit": 1000,
}))]
pub(super) struct QueryBody {
    /// One read-only statement over datasets, each by its name or id.
    #[schema(example = "select carrier, count(*) as flights from flights group by carrier order by 2 desc")]
    sql: String,
    /// A value for each `$name` of the statement. A plain value has the type of its form: whole numbers `int64`,
    /// others `float64`, text `string`, `true` and `false` `bool`; `{"type": "date", "value": "2024-01-31"}` says it.
    /// Lists are for `IN ($name)` and `= ANY($name)`.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"from": {"type": "date", "value": "2024-01-01"}, "ids": [1, 2]}))]
    parameters: WrittenParameters,
    /// The version to read (when the statement names one dataset), or a time in RFC 3339 at which all
    /// are read.
    as_of: Option<String>,
    /// Rows at most; the answer says whether there were more.
    limit: Option<u64>,
    /// How long it may take, in milliseconds; at most what the service allows.
    timeout_ms: Option<u64>,
    /// The zone of timestamps without one: a name such as `Asia/Tokyo` or an offset such as `+09:00`.
    time_zone: Option<String>,
    /// Whether an answer that was kept will do.
    #[serde(default = "stream::yes")]
    #[schema(default = true)]
    use_cache: bool,
}

/// A question behind the question mark. The value of a `$name` is `p.name=text` or, of another type than text,
/// `p.name:type=value`, as in `p.from:date=2024-01-31`; a name that comes several times is a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SqlQuery {
    /// One read-only statement over datasets, each by its name or id.
    #[param(example = "select count(*) from flights")]
    sql: String,
    /// The version to read (when the statement names one dataset), or a time in RFC 3339 at which all
    /// are read.
    as_of: Option<String>,
    /// Rows at most; the answer says whether there were more.
    limit: Option<u64>,
    /// How long it may take, in milliseconds; at most what the service allows.
    timeout_ms: Option<u64>,
    /// The zone of timestamps without one: a name such as `Asia/Tokyo` or an offset such as `+09:00`.
    time_zone: Option<String>,
    /// Whether an answer that was kept will do.
    #[serde(default = "stream::yes")]
    #[param(default = true)]
    use_cache: bool,
}

impl QueryBody {
    fn request(self) -> Result<Request> {
        let mut request = named(self.sql);
        request.parameters = self.parameters.read()?;
        request.as_of = self.as_of.as_deref().map(str::parse).transpose()?;
        request.row_limit = self.limit;
        request.timeout = timeout(self.timeout_ms)?;
        request.time_zone = self.time_zone.as_deref().map(str::parse).transpose()?;
        request.use_cache = self.use_cache;
        Ok(request)
    }
}

impl SqlQuery {
    fn request(self, pairs: &[(String, String)]) -> Result<Request> {
        let Self { sql, as_of, limit, timeout_ms, time_zone, use_cache } = self;
        let body = QueryBody {
            sql,
            parameters: WrittenParameters::default(),
            as_of,
            limit,
            timeout_ms,
            time_zone,
            use_cache,
        };
        Ok(Request { parameters: parameters_of_pairs(pairs)?, ..body.request()? })
    }
}

/// A request with an id of its own.
fn named(sql: String) -> Request {
    let query_id = QueryId::random();
    context::set_query(&query_id);
    Request::new(query_id, sql)
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
    let form = form.form(&headers, Format::Json)?;
    let request = body.request()?;
    let use_cache = request.use_cache;
    let spec = app
        .engine
        .resolve(app.catalog.as_ref(), app.macros.store(), &principal, request, app.clock.now())
        .await?;
    let query_id = Some(spec.query_id.clone());
    let trailers = stream::reads_trailers(&headers);
    let answer = Answer { form, query_id, file_name: None, trailers };
    Ok(answer::respond(&app, spec, use_cache, answer).await?)
}

/// The same by GET, for links, spreadsheets and programs that keep answers.
///
/// `ETag` names the answer; `If-None-Match` with it answers 304 without running anything while the versions that the
/// statement reads are the current ones. A statement that asks for the time or for chance has none.
#[utoipa::path(get, path = "/api/query", tag = "query", params(SqlQuery, FormatQuery),
    responses((status = 200, description = "the rows, in the format asked for",
        content((Object = "application/json"), (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (String = "application/x-ndjson"), (String = "text/csv"))),
        (status = 304, description = "the answer that the caller has still holds"),
        (status = 400, body = ErrorReply), (status = 401, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 504, body = ErrorReply)))]
pub(super) async fn ask(
    app: AppState,
    method: Method,
    Caller(principal): Caller,
    ApiQuery(question): ApiQuery<SqlQuery>,
    ApiQuery(form): ApiQuery<FormatQuery>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let form = form.form(&headers, Format::Json)?;
    let request = question.request(&pairs)?;
    let use_cache = request.use_cache;
    let spec = app
        .engine
        .resolve(app.catalog.as_ref(), app.macros.store(), &principal, request, app.clock.now())
        .await?;
    let volatile = app.engine.is_volatile(&spec)?;
    let etag = (!volatile).then(|| Etag::of(&spec.fingerprint(), &form));
    let known = etag.as_ref().is_some_and(|etag| etag.is_known(&headers));
    let mut response = if known || method == Method::HEAD {
        let mut response = Response::new(Body::empty());
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let content_type = HeaderValue::from_static(form.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    } else {
        let query_id = Some(spec.query_id.clone());
        let trailers = stream::reads_trailers(&headers);
        let answer = Answer { form, query_id, file_name: None, trailers };
        answer::respond(&app, spec, use_cache, answer).await?
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization"));
    if let Some(etag) = etag.and_then(|etag| etag.header()) {
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, ASK_EACH_TIME);
    }
    Ok(response)
}

/// What a statement would cost: files, row groups and bytes that its filters leave, and what its joins would hold.
///
/// Nothing is run and no row is read.
#[utoipa::path(post, path = "/api/query/explain", tag = "query", request_body = QueryBody,
    responses((status = 200, body = Reply<Explanation>), (status = 400, body = ErrorReply),
        (status = 401, body = ErrorReply), (status = 422, body = ErrorReply)))]
pub(super) async fn explain(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<QueryBody>,
) -> ApiResult<Reply<Explanation>> {
    let (request, now) = (body.request()?, app.clock.now());
    let spec = app.engine.resolve(app.catalog.as_ref(), app.macros.store(), &principal, request, now).await?;
    Ok(Reply::of(Box::pin(app.engine.explain(spec)).await?))
}

fn timeout(ms: Option<u64>) -> Result<Option<Duration>> {
    match ms {
        Some(0) => Err(Error::invalid_field("timeout_ms", "`timeout_ms` is 0: expected 1 or more")),
        ms => Ok(ms.map(Duration::from_millis)),
    }
}
