//! `/api/datasets`: list, look at, rename and delete datasets.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, ApiQuery, Asker, Caller, PageParams};
use super::state::AppState;
use crate::auth::Principal;
use crate::catalog::Manifest;
use crate::catalog::manifest::type_name;
use crate::catalog::record::{DatasetRecord, Source};
use crate::dataset::source::S3Address;
use crate::dataset::{DatasetPatch, Listed};
use crate::error::Error;
use crate::ids::{DatasetId, UserId};

/// A column as the contract shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ColumnView {
    name: String,
    /// `int64`, `float64`, `bool`, `date`, `datetime`, `string`, `decimal(18,2)`, …
    #[serde(rename = "type")]
    #[schema(example = "int64")]
    type_name: String,
    /// Whether any row of this version has no value.
    nullable: bool,
}

impl ColumnView {
    pub(super) fn new(name: String, type_name: String, nullable: bool) -> Self {
        Self { name, type_name, nullable }
    }
}

/// The columns of a version.
pub(super) fn columns(manifest: &Manifest) -> Vec<ColumnView> {
    let each = manifest.columns.iter().map(|column| ColumnView {
        name: column.name.clone(),
        type_name: type_name(&column.data_type),
        nullable: column.null_count > 0,
    });
    each.collect()
}

/// Whose a dataset is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnerView {
    #[schema(value_type = String)]
    pub(super) user_id: UserId,
    pub(super) name: String,
}

/// A dataset in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatasetSummary {
    #[schema(value_type = String, example = "ds_0f8fad5bd9cb469fa16570867728950e")]
    dataset_id: DatasetId,
    name: String,
    description: String,
    /// `local_csv`, `s3_csv`, `transform`, or `local_file` and `s3_file` for other formats.
    #[schema(example = "local_csv")]
    source_type: String,
    row_count: u64,
    column_count: u64,
    byte_count: u64,
    /// The number of the current version.
    version: u64,
    partition_column: Option<String>,
    sort_column: Option<String>,
    owner: OwnerView,
    created_at: String,
    last_import_at: String,
}

/// A dataset with its columns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DatasetView {
    #[serde(flatten)]
    summary: DatasetSummary,
    schema: Vec<ColumnView>,
    /// Where the files of the current version are, below the bucket or the data folder.
    s3_path: String,
    source_config: SourceView,
    /// Rows that were set aside when the current version was imported.
    quarantined_count: u64,
    /// How the source was read: format, encoding, delimiter, types; the next import follows it.
    #[schema(value_type = Object)]
    read_contract: serde_json::Value,
}

/// The file a dataset came from.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SourceView {
    file_name: String,
    /// Set when a re-import can read the file again.
    path: Option<String>,
    /// Set with `s3_key` when it is in S3.
    s3_bucket: Option<String>,
    s3_key: Option<String>,
}

impl From<&Source> for SourceView {
    fn from(source: &Source) -> Self {
        let address = source.path.as_deref().and_then(S3Address::parse).and_then(Result::ok);
        let (s3_bucket, s3_key) = address.map(|address| (address.bucket().to_owned(), address.key())).unzip();
        Self { file_name: source.file_name.clone(), path: source.path.clone(), s3_bucket, s3_key }
    }
}

/// Datasets as a list shows them. The names of all owners are asked for at once.
async fn summaries(app: &AppState, records: &[DatasetRecord]) -> Result<Vec<DatasetSummary>, Error> {
    let owners = records.iter().map(|record| &record.owner_id).collect();
    let names = app.accounts.users.names_of(&owners).await?;
    let name = |owner: &UserId| names.get(owner).cloned().unwrap_or_else(|| owner.to_string());
    Ok(records.iter().map(|record| summary(record, name(&record.owner_id))).collect())
}

fn summary(record: &DatasetRecord, owner_name: String) -> DatasetSummary {
    DatasetSummary {
        dataset_id: record.id.clone(),
        name: record.name.clone(),
        description: record.description.clone(),
        source_type: record.source.kind.clone(),
        row_count: record.current.row_count,
        column_count: record.current.column_count,
        byte_count: record.current.byte_count,
        version: record.current.number,
        partition_column: record.partition_column.clone(),
        sort_column: record.sort_column.clone(),
        owner: OwnerView { user_id: record.owner_id.clone(), name: owner_name },
        created_at: record.created_at.rfc3339(),
        last_import_at: record.last_import_at.rfc3339(),
    }
}

/// A dataset as the API shows it, with the columns of its current version. The record was read in this
/// request, with the right to see it.
pub(super) async fn view_of(app: &AppState, record: &DatasetRecord) -> Result<DatasetView, Error> {
    let manifest = app.datasets.manifest_as_of(record, None).await?;
    whole(app, record, &manifest).await
}

/// The same of a record that was kept: the dataset may be gone since, or be no longer the caller's to see.
pub(super) async fn view(
    app: &AppState,
    principal: &Principal,
    record: &DatasetRecord,
) -> Result<DatasetView, Error> {
    let (_, manifest) = app.datasets.version(principal, &record.id, record.current.number).await?;
    whole(app, record, &manifest).await
}

async fn whole(app: &AppState, record: &DatasetRecord, manifest: &Manifest) -> Result<DatasetView, Error> {
    let owner = app.accounts.users.name_of(&record.owner_id).await?;
    Ok(DatasetView {
        summary: summary(record, owner),
        schema: columns(manifest),
        s3_path: format!("datasets/{}/", record.id),
        source_config: SourceView::from(&record.source),
        quarantined_count: record.current.quarantined_count,
        read_contract: record.read_contract.clone(),
    })
}

/// Which datasets to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DatasetsQuery {
    /// `me`: only one's own.
    owner: Option<String>,
    /// Only the one of this name.
    name: Option<String>,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct DatasetPath {
    #[param(value_type = String, example = "ds_0f8fad5bd9cb469fa16570867728950e")]
    pub(super) dataset_id: DatasetId,
}

/// Datasets that the caller may see, newest first.
#[utoipa::path(get, path = "/api/datasets", tag = "datasets", params(DatasetsQuery, PageParams),
    responses((status = 200, body = ListReply<DatasetSummary>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<DatasetsQuery>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> ApiResult<ListReply<DatasetSummary>> {
    let page = page.check()?;
    let mine = match query.owner.as_deref() {
        None => false,
        Some("me") => true,
        Some(other) => {
            let message = format!("`owner` is `{other}`: expected `me`");
            return Err(Error::invalid_field("owner", message).into());
        }
    };
    let Listed { items, total } = match &query.name {
        Some(name) => {
            let found: Vec<_> = app.datasets.by_name(&principal, name).await?.into_iter().collect();
            Listed { total: found.len() as u64, items: found }
        }
        None => {
            let (limit, offset) = (count(page.limit), count(page.offset));
            app.datasets.list(&principal, mine, limit, offset).await?
        }
    };
    Ok(ListReply::of(summaries(&app, &items).await?, page, total))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// One dataset.
#[utoipa::path(get, path = "/api/datasets/{dataset_id}", tag = "datasets", params(DatasetPath),
    responses((status = 200, body = Reply<DatasetView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
) -> ApiResult<Reply<DatasetView>> {
    let record = app.datasets.get(&principal, &path.dataset_id).await?;
    Ok(Reply::of(view_of(&app, &record).await?))
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct DatasetChangeBody {
    name: Option<String>,
    description: Option<String>,
    /// The date column by whose days the next import splits the files; null ends it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    partition_column: Option<Option<String>>,
    /// The column by which the next import sorts; null ends it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    sort_column: Option<Option<String>>,
}

/// Tells `null` from a field that is left out.
pub(super) fn given<'de, D, T>(value: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(value).map(Some)
}

/// Rename a dataset, describe it, or choose the layout of its next import.
#[utoipa::path(put, path = "/api/datasets/{dataset_id}", tag = "datasets", params(DatasetPath),
    request_body = DatasetChangeBody,
    responses((status = 200, body = Reply<DatasetView>), (status = 400, body = ErrorReply),
        (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
pub(super) async fn update(
    app: AppState,
    Asker(caller): Asker,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiJson(body): ApiJson<DatasetChangeBody>,
) -> ApiResult<Reply<DatasetView>> {
    let DatasetChangeBody { name, description, partition_column, sort_column } = body;
    let patch = DatasetPatch { name, description, partition_column, sort_column };
    let record = app.datasets.update(&caller, &path.dataset_id, patch).await?;
    Ok(Reply::of(view_of(&app, &record).await?))
}

/// Delete a dataset. Its files go after the grace period.
#[utoipa::path(delete, path = "/api/datasets/{dataset_id}", tag = "datasets", params(DatasetPath),
    responses((status = 204), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
pub(super) async fn delete(
    app: AppState,
    Asker(caller): Asker,
    ApiPath(path): ApiPath<DatasetPath>,
) -> ApiResult<StatusCode> {
    app.datasets.delete(&caller, &path.dataset_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
