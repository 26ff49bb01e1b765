//! A look into a dataset: first rows, values of a column, profiles, and the whole of it as a file.

use axum::http::HeaderMap;
use axum::response::Response;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::datasets::{ColumnView, DatasetPath, columns};
use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiPath, ApiQuery, Caller, check_limit};
use super::state::AppState;
use super::stream::{self, Answer, FormatQuery};
use crate::dataset::look::VALUES_MAX;
use crate::dataset::profile::ColumnProfile;
use crate::encode::{self, Format};
use crate::engine::{AsOf, QueryStream};
use crate::error::Error;
use crate::ids::DatasetId;

/// Columns that one request profiles: each takes passes over the dataset.
const PROFILED_MAX: usize = 100;

/// Which version to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AsOfQuery {
    /// A version's number, or a time in RFC 3339: the version that was in force then.
    as_of: Option<String>,
}

impl AsOfQuery {
    fn check(&self) -> Result<Option<AsOf>, Error> {
        self.as_of.as_deref().map(str::parse).transpose()
    }
}

/// How many rows to show.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// 1 to 1,000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// The first rows of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewView {
    columns: Vec<ColumnView>,
    /// One array a row, in the order of the columns. Decimals, and integers beyond 2^53, are strings.
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Box<RawValue>,
    total_rows: u64,
    preview_rows: u64,
}

/// The different values of a column.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValuesView {
    column: String,
    /// In their order, without NULL; at most 1,000.
    #[schema(value_type = Vec<Object>)]
    values: Box<RawValue>,
    /// Whether there are more.
    truncated: bool,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ColumnPath {
    #[param(value_type = String)]
    dataset_id: DatasetId,
    column: String,
}

/// The first rows of a dataset.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/preview", tag = "datasets",
    params(DatasetPath, PreviewQuery, AsOfQuery),
    responses((status = 200, body = Reply<PreviewView>), (status = 404, body = ErrorReply)))]
pub(super) async fn preview(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiQuery(query): ApiQuery<PreviewQuery>,
    ApiQuery(as_of): ApiQuery<AsOfQuery>,
) -> ApiResult<Reply<PreviewView>> {
    let limit = check_limit(query.limit, 100, 1000)?;
    let manifest = app.datasets.manifest(&principal, &path.dataset_id, as_of.check()?).await?;
    let rows = app.datasets.rows(&principal, std::sync::Arc::clone(&manifest), Some(limit)).await?;
    let (rows, preview_rows) = small(rows).await?;
    let columns = columns(&manifest);
    Ok(Reply::of(PreviewView { columns, rows, total_rows: manifest.row_count, preview_rows }))
}

/// A result of bounded size as JSON rows, and how many they are.
async fn small(stream: QueryStream) -> Result<(Box<RawValue>, u64), Error> {
    let schema = std::sync::Arc::clone(stream.schema());
    let batches: Vec<_> = stream.try_collect().await?;
    let count = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let rows = encode::json_rows(&schema, &batches)?;
    Ok((RawValue::from_string(rows).map_err(Error::internal)?, count))
}

/// The different values of a column, for a filter to choose from.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/columns/{column}/values", tag = "datasets",
    params(ColumnPath, AsOfQuery),
    responses((status = 200, body = Reply<ValuesView>), (status = 404, body = ErrorReply)))]
pub(super) async fn values(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ColumnPath>,
    ApiQuery(as_of): ApiQuery<AsOfQuery>,
) -> ApiResult<Reply<ValuesView>> {
    let manifest = app.datasets.manifest(&principal, &path.dataset_id, as_of.check()?).await?;
    let stream = app.datasets.values(&principal, manifest, &path.column).await?;
    let progress = stream.progress();
    let schema = std::sync::Arc::clone(stream.schema());
    let batches: Vec<_> = stream.try_collect().await?;
    let values = encode::json_column(&schema, &batches)?;
    let values = RawValue::from_string(values).map_err(Error::internal)?;
    debug_assert!(progress.rows() <= VALUES_MAX);
    Ok(Reply::of(ValuesView { column: path.column, values, truncated: progress.truncated() }))
}

/// What the values of a column are like: NULLs, different values, bounds, histogram, most frequent.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/columns/{column}/profile", tag = "datasets",
    params(ColumnPath, AsOfQuery),
    responses((status = 200, body = Reply<ColumnProfile>), (status = 404, body = ErrorReply)))]
pub(super) async fn profile(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<ColumnPath>,
    ApiQuery(as_of): ApiQuery<AsOfQuery>,
) -> ApiResult<Reply<ColumnProfile>> {
    let manifest = app.datasets.manifest(&principal, &path.dataset_id, as_of.check()?).await?;
    Ok(Reply::of(app.datasets.profile(&principal, &manifest, &path.column).await?))
}

/// Profiles of all columns, or of the first 100.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/profile", tag = "datasets",
    params(DatasetPath, AsOfQuery),
    responses((status = 200, body = Reply<Vec<ColumnProfile>>), (status = 404, body = ErrorReply)))]
pub(super) async fn profile_all(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiQuery(as_of): ApiQuery<AsOfQuery>,
) -> ApiResult<Reply<Vec<ColumnProfile>>> {
    let manifest = app.datasets.manifest(&principal, &path.dataset_id, as_of.check()?).await?;
    let mut profiles = Vec::new();
    for column in manifest.columns.iter().take(PROFILED_MAX) {
        profiles.push(app.datasets.profile(&principal, &manifest, &column.name).await?);
    }
    Ok(Reply::of(profiles))
}

/// A whole dataset as a file.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/export", tag = "datasets",
    params(DatasetPath, FormatQuery, AsOfQuery),
    responses((status = 200, description = "the rows, in the format asked for",
        content((Vec<u8> = "text/csv"), (Vec<u8> = "application/vnd.apache.parquet"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"))), (status = 404, body = ErrorReply)))]
pub(super) async fn export(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiQuery(form): ApiQuery<FormatQuery>,
    ApiQuery(as_of): ApiQuery<AsOfQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let form = form.form(&headers, Format::Csv)?;
    let record = app.datasets.get(&principal, &path.dataset_id).await?;
    let manifest = app.datasets.manifest_as_of(&record, as_of.check()?).await?;
    form.check_rows(manifest.row_count)?;
    let rows = app.datasets.rows(&principal, manifest, None).await?;
    let query_id = Some(rows.query_id().clone());
    let trailers = stream::reads_trailers(&headers);
    let answer = Answer { form, query_id, file_name: Some(record.name), trailers };
    Ok(stream::respond(rows, answer).await?)
}
