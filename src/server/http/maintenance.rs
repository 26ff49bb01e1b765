//! `/api/admin`: the check and the collector.

use serde::Deserialize;
use utoipa::ToSchema;

use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{Caller, OptionalJson};
use super::state::AppState;
use crate::dataset::check::Checked;
use crate::dataset::collect::Collected;

/// How to collect.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct CollectBody {
    /// Only tell what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Read every manifest and every file, and compare sizes, checksums and references. For administrators.
#[utoipa::path(post, path = "/api/admin/check", tag = "admin",
    responses((status = 200, body = Reply<Checked>), (status = 403, body = ErrorReply)))]
pub(super) async fn check(app: AppState, Caller(principal): Caller) -> ApiResult<Reply<Checked>> {
    Ok(Reply::of(app.datasets.check(&principal).await?))
}

/// Expire old versions, and remove files that nothing names any more. For administrators.
#[utoipa::path(post, path = "/api/admin/gc", tag = "admin", request_body = CollectBody,
    responses((status = 200, body = Reply<Collected>), (status = 403, body = ErrorReply)))]
pub(super) async fn collect(
    app: AppState,
    Caller(principal): Caller,
    OptionalJson(body): OptionalJson<CollectBody>,
) -> ApiResult<Reply<Collected>> {
    Ok(Reply::of(app.datasets.collect(&principal, body.dry_run).await?))
}
