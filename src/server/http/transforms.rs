//! `/api/transforms`: code that makes datasets of datasets.

use std::collections::HashSet;

use axum::http::StatusCode;
use axum::response::Response;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::datasets::{ColumnView, DatasetPath};
use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, ApiQuery, Caller, PageParams};
use super::state::AppState;
use super::transform_view::{TransformBody, TransformView};
use crate::catalog::manifest::type_name;
use crate::catalog::transform::{TransformRecord, Usage};
use crate::clock::Timestamp;
use crate::dataset::Listed;
use crate::encode;
use crate::engine::Lineage;
use crate::error::{Error, Result};
use crate::ids::TransformId;
use crate::transform::schedule::Cron;
use crate::transform::{Graph, NodeKind, PreviewRequest, Sample, TransformDraft};

/// Rows that a preview shows at most.
const PREVIEW_ROWS_MAX: u64 = 1_000;

/// Rows that a sample has when nothing is said.
const SAMPLE_ROWS: u64 = 1_000;

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TransformPath {
    #[param(value_type = String, example = "tf_0f8fad5bd9cb469fa16570867728950e")]
    pub(super) transform_id: TransformId,
}

/// Which transforms to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TransformsQuery {
    /// `me`: only one's own.
    owner: Option<String>,
    /// Only those of this name.
    name: Option<String>,
}

/// Transforms that the caller may see, newest first.
#[utoipa::path(get, path = "/api/transforms", tag = "transforms", params(TransformsQuery, PageParams),
    responses((status = 200, body = ListReply<TransformView>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<TransformsQuery>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<TransformView>> {
    let page = page.check()?;
    let mine = match query.owner.as_deref() {
        None => false,
        Some("me") => true,
        Some(other) => {
            let message = format!("`owner` is `{other}`: expected `me`");
            return Err(Error::invalid_field("owner", message).into());
        }
    };
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (limit, offset) = (count(page.limit), count(page.offset));
    let found = match &query.name {
        Some(name) => {
            let found = app.transforms.named(&principal, mine, name).await?;
            let total = found.len() as u64;
            Listed { items: found.into_iter().skip(offset).take(limit).collect(), total }
        }
        None => app.transforms.list(&principal, mine, limit, offset).await?,
    };
    Ok(ListReply::of(views(&app, found.items).await?, page, found.total))
}

/// Transforms as the API shows them. The names of all owners are asked for at once.
async fn views(app: &AppState, records: Vec<TransformRecord>) -> Result<Vec<TransformView>> {
    let owners: HashSet<_> = records.iter().map(|record| &record.owner_id).collect();
    let names = app.accounts.users.names_of(&owners).await?;
    let now = app.clock.now();
    let each = records.into_iter().map(|record| {
        let owner = names.get(&record.owner_id).cloned().unwrap_or_else(|| record.owner_id.to_string());
        TransformView::of(record, owner, now)
    });
    Ok(each.collect())
}

async fn view(app: &AppState, record: TransformRecord) -> Result<TransformView> {
    let owner = app.accounts.users.name_of(&record.owner_id).await?;
    Ok(TransformView::of(record, owner, app.clock.now()))
}

/// Make a transform. What can be found wrong without running it is told now.
#[utoipa::path(post, path = "/api/transforms", tag = "transforms", request_body = TransformBody,
    responses((status = 201, body = Reply<TransformView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 409, body = ErrorReply), (status = 422, body = ErrorReply)))]
pub(super) async fn create(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<TransformBody>,
) -> ApiResult<Response> {
    let record = app.transforms.create(&principal, TransformDraft::from(body)).await?;
    let location = format!("/api/transforms/{}", record.id);
    Ok(Reply::of(view(&app, record).await?).created(&location))
}

/// One transform.
#[utoipa::path(get, path = "/api/transforms/{transform_id}", tag = "transforms", params(TransformPath),
    responses((status = 200, body = Reply<TransformView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
) -> ApiResult<Reply<TransformView>> {
    let record = app.transforms.get(&principal, &path.transform_id).await?;
    Ok(Reply::of(view(&app, record).await?))
}

/// Change a transform, unless what reads its dataset would break.
#[utoipa::path(put, path = "/api/transforms/{transform_id}", tag = "transforms", params(TransformPath),
    request_body = TransformBody,
    responses((status = 200, body = Reply<TransformView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply)))]
pub(super) async fn change(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
    ApiJson(body): ApiJson<TransformBody>,
) -> ApiResult<Reply<TransformView>> {
    let force = body.force;
    let draft = TransformDraft::from(body);
    let record = app.transforms.change(&principal, &path.transform_id, draft, force).await?;
    Ok(Reply::of(view(&app, record).await?))
}

/// Remove a transform. The dataset that it made stays.
#[utoipa::path(delete, path = "/api/transforms/{transform_id}", tag = "transforms", params(TransformPath),
    responses((status = 204), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply)))]
pub(super) async fn remove(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
) -> ApiResult<StatusCode> {
    app.transforms.remove(&principal, &path.transform_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is taken of each input for a preview.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum SampleBody {
    First {
        rows: Option<u64>,
    },
    /// Each row with the chance `share`.
    Random {
        share: f64,
        rows: Option<u64>,
    },
    /// Rows that meet a condition of SQL.
    Where {
        condition: String,
        rows: Option<u64>,
    },
}

impl From<Option<SampleBody>> for Sample {
    fn from(body: Option<SampleBody>) -> Self {
        match body {
            None => Self::First { rows: SAMPLE_ROWS },
            Some(SampleBody::First { rows }) => Self::First { rows: rows.unwrap_or(SAMPLE_ROWS) },
            Some(SampleBody::Random { share, rows }) => {
                Self::Random { share, rows: rows.unwrap_or(SAMPLE_ROWS) }
            }
            Some(SampleBody::Where { condition, rows }) => {
                Self::Where { condition, rows: rows.unwrap_or(SAMPLE_ROWS) }
            }
        }
    }
}

/// What to try out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransformPreviewBody {
    /// A transform, or what to try instead of what is kept.
    #[serde(default)]
    transform: TransformBody,
    /// For this run.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Value,
    sample: Option<SampleBody>,
    /// Rows to show, 1 to 1,000; 100 when nothing is said.
    limit: Option<u64>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransformPreviewView {
    columns: Vec<ColumnView>,
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Box<RawValue>,
    row_count: u64,
    /// What the code printed.
    log: String,
    usage: Usage,
    execution_time_ms: u64,
}

/// Run code over samples of its inputs. Nothing is kept.
#[utoipa::path(post, path = "/api/transforms/preview", tag = "transforms", request_body = TransformPreviewBody,
    responses((status = 200, body = Reply<TransformPreviewView>), (status = 400, body = ErrorReply),
        (status = 408, body = ErrorReply), (status = 422, body = ErrorReply), (status = 500, body = ErrorReply)))]
pub(super) async fn preview_new(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<TransformPreviewBody>,
) -> ApiResult<Reply<TransformPreviewView>> {
    Ok(previewed(&app, &principal, None, body).await?)
}

/// Run a transform, or what it is to become, over samples of its inputs. Nothing is published.
#[utoipa::path(post, path = "/api/transforms/{transform_id}/preview", tag = "transforms", params(TransformPath),
    request_body = TransformPreviewBody,
    responses((status = 200, body = Reply<TransformPreviewView>), (status = 400, body = ErrorReply),
        (status = 404, body = ErrorReply), (status = 408, body = ErrorReply), (status = 422, body = ErrorReply),
        (status = 500, body = ErrorReply)))]
pub(super) async fn preview(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
    ApiJson(body): ApiJson<TransformPreviewBody>,
) -> ApiResult<Reply<TransformPreviewView>> {
    Ok(previewed(&app, &principal, Some(path.transform_id), body).await?)
}

async fn previewed(
    app: &AppState,
    principal: &crate::auth::Principal,
    transform: Option<TransformId>,
    body: TransformPreviewBody,
) -> Result<Reply<TransformPreviewView>> {
    let rows = match body.limit.unwrap_or(100) {
        rows if (1..=PREVIEW_ROWS_MAX).contains(&rows) => rows,
        rows => {
            let message = format!("`limit` is {rows}: expected 1 to {PREVIEW_ROWS_MAX}");
            return Err(Error::invalid_field("limit", message));
        }
    };
    let (draft, params, sample) = (body.transform.into(), body.params, body.sample.into());
    let request = PreviewRequest { transform, draft, params, sample, rows };
    let preview = app.transforms.preview(principal, request).await?;
    let batches: Vec<_> = preview.rows.try_collect().await?;
    let row_count = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let columns = preview.schema.fields().iter().map(|field| {
        ColumnView::new(field.name().clone(), type_name(field.data_type()), field.is_nullable())
    });
    let rows = encode::json_rows(&preview.schema, &batches)?;
    Ok(Reply::of(TransformPreviewView {
        columns: columns.collect(),
        rows: RawValue::from_string(rows).map_err(Error::internal)?,
        row_count,
        log: preview.log,
        usage: preview.usage,
        execution_time_ms: u64::try_from(preview.elapsed.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Which columns of its inputs the columns of a transform come from.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LineageView {
    /// False for Python, whose code does not tell.
    known: bool,
    lineage: Option<Lineage>,
}

/// Which columns of its inputs the columns of a transform come from.
#[utoipa::path(get, path = "/api/transforms/{transform_id}/lineage", tag = "transforms", params(TransformPath),
    responses((status = 200, body = Reply<LineageView>), (status = 404, body = ErrorReply)))]
pub(super) async fn lineage(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<TransformPath>,
) -> ApiResult<Reply<LineageView>> {
    let lineage = app.transforms.lineage(&principal, &path.transform_id).await?;
    Ok(Reply::of(LineageView { known: lineage.is_some(), lineage }))
}

/// A dataset or a transform in a graph.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodeView {
    id: String,
    kind: NodeKind,
    name: String,
}

/// From what is read to what reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EdgeView {
    from: String,
    to: String,
}

/// What a dataset comes from, and what is made of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GraphView {
    nodes: Vec<NodeView>,
    edges: Vec<EdgeView>,
    /// There is more than is shown.
    truncated: bool,
}

impl From<Graph> for GraphView {
    fn from(graph: Graph) -> Self {
        let nodes =
            graph.nodes.into_iter().map(|node| NodeView { id: node.id, kind: node.kind, name: node.name });
        let edges = graph.edges.into_iter().map(|edge| EdgeView { from: edge.from, to: edge.to });
        Self { nodes: nodes.collect(), edges: edges.collect(), truncated: graph.truncated }
    }
}

/// What a dataset comes from and what is made of it, as far as the caller sees it.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/lineage", tag = "datasets", params(DatasetPath),
    responses((status = 200, body = Reply<GraphView>), (status = 404, body = ErrorReply)))]
pub(super) async fn graph(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
) -> ApiResult<Reply<GraphView>> {
    Ok(Reply::of(app.transforms.graph(&principal, &path.dataset_id).await?.into()))
}

/// A schedule to be looked at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CronQuery {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[param(example = "30 6 * * 1-5")]
    cron: String,
    #[serde(default = "utc")]
    #[param(default = "UTC", example = "Asia/Tokyo")]
    time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// When a schedule would be due.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CronView {
    /// RFC 3339.
    next_runs: Vec<String>,
}

/// The next five times at which a schedule would be due.
#[utoipa::path(get, path = "/api/schedules/next", tag = "transforms", params(CronQuery),
    responses((status = 200, body = Reply<CronView>), (status = 400, body = ErrorReply)))]
pub(super) async fn next_runs(
    app: AppState,
    Caller(_principal): Caller,
    ApiQuery(query): ApiQuery<CronQuery>,
) -> ApiResult<Reply<CronView>> {
    let cron = Cron::parse(&query.cron, &query.time_zone)?;
    let next = cron.upcoming(app.clock.now(), 5);
    Ok(Reply::of(CronView { next_runs: next.into_iter().map(Timestamp::rfc3339).collect() }))
}
