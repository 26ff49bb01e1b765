//! `/api/datasets/{id}/versions`: the history of a dataset.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::datasets::{ColumnView, DatasetPath, DatasetView, SourceView, columns, view_of};
use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiPath, ApiQuery, Asker, Caller, PageParams};
use super::state::AppState;
use crate::catalog::record::{VersionKind, VersionRecord};
use crate::dataset::quarantine::SetAside;
use crate::dataset::versions::Comparison;
use crate::ids::{DatasetId, UserId};

/// A version in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionSummary {
    /// 1, 2, 3 … in the order they came into force.
    version: u64,
    kind: VersionKind,
    row_count: u64,
    column_count: u64,
    byte_count: u64,
    /// Rows that were set aside while it was imported.
    quarantined_count: u64,
    created_at: String,
    #[schema(value_type = String)]
    created_by: UserId,
}

impl From<&VersionRecord> for VersionSummary {
    fn from(version: &VersionRecord) -> Self {
        Self {
            version: version.number,
            kind: version.kind,
            row_count: version.row_count,
            column_count: version.column_count,
            byte_count: version.byte_count,
            quarantined_count: version.quarantined_count,
            created_at: version.created_at.rfc3339(),
            created_by: version.created_by.clone(),
        }
    }
}

/// A version with its columns and files.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionView {
    #[serde(flatten)]
    summary: VersionSummary,
    parent: Option<u64>,
    restored_from: Option<u64>,
    source: SourceView,
    schema: Vec<ColumnView>,
    files: Vec<FileView>,
    #[schema(value_type = Object)]
    read_contract: serde_json::Value,
}

/// A Parquet file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileView {
    key: String,
    row_count: u64,
    byte_count: u64,
    blake3: String,
    partition_day: Option<String>,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    #[param(value_type = String)]
    dataset_id: DatasetId,
    /// The version's number.
    number: u64,
}

/// Two versions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareQuery {
    from: u64,
    to: u64,
}

/// The kept versions of a dataset, newest first.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/versions", tag = "versions",
    params(DatasetPath, PageParams),
    responses((status = 200, body = ListReply<VersionSummary>), (status = 404, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<VersionSummary>> {
    let page = page.check()?;
    let versions = app.datasets.versions(&principal, &path.dataset_id).await?;
    let shown = page.of(&versions).iter().map(VersionSummary::from).collect();
    Ok(ListReply::of(shown, page, versions.len() as u64))
}

/// One version, with its columns and files.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/versions/{number}", tag = "versions",
    params(VersionPath),
    responses((status = 200, body = Reply<VersionView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<VersionPath>,
) -> ApiResult<Reply<VersionView>> {
    let (version, manifest) = app.datasets.version(&principal, &path.dataset_id, path.number).await?;
    let files = manifest.files.iter().map(|file| FileView {
        key: file.key.clone(),
        row_count: file.row_count,
        byte_count: file.byte_count,
        blake3: file.blake3.clone(),
        partition_day: file.partition_day.clone(),
    });
    Ok(Reply::of(VersionView {
        summary: VersionSummary::from(&version),
        parent: manifest.parent,
        restored_from: manifest.restored_from,
        source: SourceView::from(&manifest.source),
        schema: columns(&manifest),
        files: files.collect(),
        read_contract: manifest.read_contract.clone(),
    }))
}

/// Put an old version back in force, as a new version with the same rows.
#[utoipa::path(post, path = "/api/datasets/{dataset_id}/versions/{number}/restore", tag = "versions",
    params(VersionPath),
    responses((status = 200, body = Reply<DatasetView>), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply)))]
pub(super) async fn restore(
    app: AppState,
    Asker(caller): Asker,
    ApiPath(path): ApiPath<VersionPath>,
) -> ApiResult<Reply<DatasetView>> {
    let record = app.datasets.restore(&caller, &path.dataset_id, path.number).await?;
    Ok(Reply::of(view_of(&app, &record).await?))
}

/// How the columns and the row counts of two versions differ.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/versions/compare", tag = "versions",
    params(DatasetPath, CompareQuery),
    responses((status = 200, body = Reply<Comparison>), (status = 404, body = ErrorReply)))]
pub(super) async fn compare(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiQuery(query): ApiQuery<CompareQuery>,
) -> ApiResult<Reply<Comparison>> {
    let comparison = app.datasets.compare(&principal, &path.dataset_id, query.from, query.to).await?;
    Ok(Reply::of(comparison))
}

/// The rows that were set aside while a version was imported.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}/versions/{number}/quarantine", tag = "versions",
    params(VersionPath, PageParams),
    responses((status = 200, body = ListReply<SetAside>), (status = 404, body = ErrorReply)))]
pub(super) async fn quarantine(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<VersionPath>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<SetAside>> {
    let page = page.check()?;
    let rows = app.datasets.quarantine(&principal, &path.dataset_id, path.number).await?;
    Ok(ListReply::of(page.of(&rows).to_vec(), page, rows.len() as u64))
}
