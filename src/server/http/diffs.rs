//! `/api/datasets/{id}/versions/diff`: which rows differ between two versions.

use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::datasets::{ColumnView, DatasetPath, columns};
use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, Caller, check_limit};
use super::state::AppState;
use crate::dataset::diff::{Differing, Pair, RowDiff};
use crate::encode;
use crate::error::{Error, Result};

/// What to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffBody {
    /// The older version.
    from: u64,
    /// The newer one.
    to: u64,
    /// The columns by which rows are the same row.
    #[schema(example = json!(["tailnum"]))]
    keys: Vec<String>,
    /// Rows of each kind to show, 1 to 100; 20 when nothing is said.
    limit: Option<u64>,
}

/// What differs, with some of the rows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DiffView {
    #[serde(flatten)]
    diff: RowDiff,
    /// The columns of `added` and `changed`; `removed` has those of the older version.
    schema: Vec<ColumnView>,
    #[schema(value_type = Vec<Vec<Object>>)]
    added: Box<RawValue>,
    #[schema(value_type = Vec<Vec<Object>>)]
    removed: Box<RawValue>,
    /// As they are in the newer version.
    #[schema(value_type = Vec<Vec<Object>>)]
    changed: Box<RawValue>,
}

/// Which rows were added, removed and changed between two versions, by key, and how each column moved.
#[utoipa::path(post, path = "/api/datasets/{dataset_id}/versions/diff", tag = "versions", params(DatasetPath),
    request_body = DiffBody,
    responses((status = 200, body = Reply<DiffView>), (status = 400, body = ErrorReply),
        (status = 404, body = ErrorReply)))]
pub(super) async fn diff(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<DatasetPath>,
    ApiJson(body): ApiJson<DiffBody>,
) -> ApiResult<Reply<DiffView>> {
    let limit = check_limit(body.limit, 20, 100)?;
    let pair = app.datasets.pair(&principal, &path.dataset_id, (body.from, body.to), body.keys).await?;
    let diff = app.datasets.row_diff(&pair).await?;
    Ok(Reply::of(DiffView {
        diff,
        schema: columns(pair.to()),
        added: rows(&app, &pair, Differing::Added, limit).await?,
        removed: rows(&app, &pair, Differing::Removed, limit).await?,
        changed: rows(&app, &pair, Differing::Changed, limit).await?,
    }))
}

async fn rows(app: &AppState, pair: &Pair, which: Differing, limit: u64) -> Result<Box<RawValue>> {
    let stream = app.datasets.differing_rows(pair, which, limit).await?;
    let schema = std::sync::Arc::clone(stream.schema());
    let batches: Vec<_> = stream.try_collect().await?;
    RawValue::from_string(encode::json_rows(&schema, &batches)?).map_err(Error::internal)
}
