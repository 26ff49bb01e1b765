//! `/api/keys`: API keys, which programs send in place of a token.

use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, ApiQuery, Caller, Page};
use super::state::AppState;
use crate::account::{CreatedKey, NewKey};
use crate::auth::Scope;
use crate::catalog::record::KeyRecord;
use crate::clock::Timestamp;
use crate::ids::{KeyId, UserId};

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyView {
    #[schema(value_type = String, example = "key_0f8fad5bd9cb469fa16570867728950e")]
    key_id: KeyId,
    name: String,
    scope: Scope,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339; absent when it does not end by itself.
    expires_at: Option<String>,
}

impl From<KeyRecord> for KeyView {
    fn from(key: KeyRecord) -> Self {
        let (created_at, expires_at) = (key.created_at.rfc3339(), key.expires_at.map(Timestamp::rfc3339));
        Self { key_id: key.id, name: key.name, scope: key.scope, created_at, expires_at }
    }
}

/// A new key. The only answer that holds its text.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKeyView {
    #[serde(flatten)]
    key: KeyView,
    /// To be sent as `Authorization: Bearer <key>`. It is not kept and cannot be shown again.
    secret: String,
}

/// A key to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewKeyBody {
    #[schema(example = "nightly load")]
    name: String,
    #[serde(default = "full")]
    scope: Scope,
    /// RFC 3339; by default it does not end by itself.
    expires_at: Option<DateTime<Utc>>,
    /// Whose key; by default the caller's. Only the operator may name another.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

fn full() -> Scope {
    Scope::Full
}

/// Whose keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// By default the caller's. Only the operator may name another.
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct KeyPath {
    #[param(value_type = String)]
    key_id: KeyId,
}

/// One's keys, newest first.
#[utoipa::path(get, path = "/api/keys", tag = "keys", params(KeysQuery),
    responses((status = 200, body = ListReply<KeyView>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<KeysQuery>,
) -> ApiResult<ListReply<KeyView>> {
    let owner = query.user_id.as_ref().unwrap_or(&principal.user_id);
    let keys = app.accounts.keys.list(&principal, owner).await?;
    let total = keys.len() as u64;
    // One page always: there is a small bound on the keys of a user.
    let page = Page { limit: crate::limits::KEYS_PER_USER_MAX as u64, offset: 0 };
    Ok(ListReply::of(keys.into_iter().map(KeyView::from).collect(), page, total))
}

/// Make a key. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/keys", tag = "keys", request_body = NewKeyBody,
    responses((status = 201, body = Reply<CreatedKeyView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply)))]
pub(super) async fn create(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<NewKeyBody>,
) -> ApiResult<Response> {
    let new = NewKey {
        owner: body.user_id.as_ref().unwrap_or(&principal.user_id),
        name: &body.name,
        scope: body.scope,
        expires_at: body.expires_at.map(|time| Timestamp::from_micros(time.timestamp_micros())),
    };
    let CreatedKey { record, text } = app.accounts.keys.create(&principal, new, app.clock.now()).await?;
    let location = format!("/api/keys/{}", record.id);
    Ok(Reply::of(CreatedKeyView { key: record.into(), secret: text }).created(&location))
}

/// End a key.
#[utoipa::path(delete, path = "/api/keys/{key_id}", tag = "keys", params(KeyPath),
    responses((status = 204), (status = 404, body = ErrorReply)))]
pub(super) async fn revoke(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<KeyPath>,
) -> ApiResult<StatusCode> {
    app.accounts.keys.revoke(&principal, &path.key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
