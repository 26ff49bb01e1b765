//! `/api/queries`: what is asked, by whom, how far it has come, and what came of it.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiPath, ApiQuery, Caller, PageParams};
use super::state::AppState;
use crate::catalog::record::{
    CacheUse, QueryFailure, QueryKind, QueryOutcome, QueryRecord, QueryTable, QueryWork,
};
use crate::clock::Timestamp;
use crate::engine::QueryFilter;
use crate::ids::{QueryId, UserId};

/// A query: while it runs, as far as it has come. Times are microseconds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueryView {
    #[schema(value_type = String, example = "q_0f8fad5bd9cb469fa16570867728950e")]
    query_id: QueryId,
    #[schema(value_type = String)]
    user_id: UserId,
    kind: QueryKind,
    statement: String,
    /// The versions that are read.
    tables: Vec<QueryTable>,
    /// RFC 3339.
    asked_at: String,
    /// RFC 3339; absent while it runs.
    ended_at: Option<String>,
    outcome: QueryOutcome,
    error: Option<QueryFailure>,
    cache: CacheUse,
    /// From its arrival to its end, or until now.
    total_us: u64,
    /// Of these: waiting for its turn, and planning.
    queue_us: u64,
    plan_us: u64,
    /// Writing rows in the format of the answer.
    encode_us: u64,
    /// Rows and bytes of the result, before it is written in a format.
    rows: u64,
    bytes: u64,
    memory_peak_bytes: u64,
    /// It ran out of memory and ran again with joins that can spill.
    retried: bool,
    #[serde(flatten)]
    work: QueryWork,
}

impl From<QueryRecord> for QueryView {
    fn from(record: QueryRecord) -> Self {
        Self {
            query_id: record.id,
            user_id: record.user_id,
            kind: record.kind,
            statement: record.statement,
            tables: record.tables,
            asked_at: record.asked_at.rfc3339(),
            ended_at: record.ended_at.map(Timestamp::rfc3339),
            outcome: record.outcome,
            error: record.failure,
            cache: record.cache,
            total_us: record.total_us,
            queue_us: record.queue_us,
            plan_us: record.plan_us,
            encode_us: record.encode_us,
            rows: record.rows,
            bytes: record.bytes,
            memory_peak_bytes: record.memory_peak_bytes,
            retried: record.retried,
            work: record.work,
        }
    }
}

/// Which queries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `live`: only those that wait or run; `ended`: only the history. By default both.
    #[param(inline)]
    state: Option<ListState>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListState {
    Live,
    Ended,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct QueryPath {
    #[param(value_type = String)]
    query_id: QueryId,
}

/// One's queries, those asked last first; an administrator sees all.
#[utoipa::path(get, path = "/api/queries", tag = "query", params(ListQuery, PageParams),
    responses((status = 200, body = ListReply<QueryView>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<QueryView>> {
    let page = page.check()?;
    let filter = QueryFilter { live: query.state.map(|state| matches!(state, ListState::Live)) };
    let count = usize::try_from(page.offset.saturating_add(page.limit)).unwrap_or(usize::MAX);
    let (found, total) = app.engine.queries(&principal, filter, count).await?;
    let shown = page.of(&found).iter().cloned().map(QueryView::from).collect();
    Ok(ListReply::of(shown, page, total))
}

/// One query.
#[utoipa::path(get, path = "/api/queries/{query_id}", tag = "query", params(QueryPath),
    responses((status = 200, body = Reply<QueryView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<QueryPath>,
) -> ApiResult<Reply<QueryView>> {
    Ok(Reply::of(app.engine.query(&principal, &path.query_id).await?.into()))
}

/// Cancel a query. Whoever waits for its rows gets `CANCELLED`. One that has ended stays as it is.
#[utoipa::path(delete, path = "/api/queries/{query_id}", tag = "query", params(QueryPath),
    responses((status = 204), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply)))]
pub(super) async fn cancel(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<QueryPath>,
) -> ApiResult<StatusCode> {
    app.engine.cancel(&principal, &path.query_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
