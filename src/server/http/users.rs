//! `/api/users`: people who can sign in.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::datasets::given;
use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, ApiQuery, Caller, Page, check_limit};
use super::state::AppState;
use crate::account::{NewUser, UserChange};
use crate::auth::Role;
use crate::catalog::record::UserRecord;
use crate::error::Error;
use crate::ids::UserId;
use crate::limits::MB_MAX;

/// A user as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    #[schema(value_type = String, example = "user_0f8fad5bd9cb469fa16570867728950e")]
    id: UserId,
    email: String,
    name: String,
    role: Role,
    disabled: bool,
    /// MiB of tables that a query of theirs may read; none of their own when it is null.
    scan_mb_max: Option<u64>,
    /// RFC 3339.
    created_at: String,
}

impl From<UserRecord> for UserView {
    fn from(user: UserRecord) -> Self {
        let created_at = user.created_at.rfc3339();
        let UserRecord { id, email, name, role, disabled, scan_bytes_max, .. } = user;
        let scan_mb_max = scan_bytes_max.map(|bytes| bytes >> 20);
        Self { id, email, name, role, disabled, scan_mb_max, created_at }
    }
}

/// Whom to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// Part of the e-mail address. Empty finds nobody.
    #[serde(default)]
    q: String,
    /// All users instead; for administrators.
    #[serde(default)]
    all: bool,
    /// How many, 1 to 100.
    #[param(default = 50, minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// Of all users, how many to skip.
    #[param(default = 0)]
    offset: Option<u64>,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserPath {
    #[param(value_type = String)]
    user_id: UserId,
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewUserBody {
    #[schema(example = "ben@example.com")]
    email: String,
    /// By default the part of the address before the `@`.
    #[serde(default)]
    name: String,
    #[serde(default = "plain")]
    role: Role,
    #[schema(format = Password)]
    password: String,
}

fn plain() -> Role {
    Role::User
}

/// What to change; what is left out stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct UserChangeBody {
    name: Option<String>,
    role: Option<Role>,
    /// A disabled user cannot sign in, and their tokens and keys stop working.
    disabled: Option<bool>,
    /// A new password; it ends all their tokens.
    #[schema(format = Password)]
    password: Option<String>,
    /// MiB of tables, as they are stored, that a query of theirs may read; null for what the service is set to.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_073_741_824)]
    scan_mb_max: Option<Option<u64>>,
}

/// Find users by a part of their e-mail address.
#[utoipa::path(get, path = "/api/users", tag = "users", params(UsersQuery),
    responses((status = 200, body = ListReply<UserView>), (status = 401, body = ErrorReply)))]
pub(super) async fn search(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<UsersQuery>,
) -> ApiResult<ListReply<UserView>> {
    let limit = check_limit(query.limit, 50, 100)?;
    if query.all {
        let page = Page { limit, offset: query.offset.unwrap_or(0) };
        let users = app.accounts.users.list(&principal).await?;
        let views = page.of(&users).iter().cloned().map(UserView::from).collect();
        return Ok(ListReply::of(views, page, users.len() as u64));
    }
    let count = usize::try_from(limit).unwrap_or(usize::MAX);
    let users = app.accounts.users.search(&principal, &query.q, count).await?;
    let total = users.len() as u64;
    Ok(ListReply::of(users.into_iter().map(UserView::from).collect(), Page { limit, offset: 0 }, total))
}

/// Add a user; for administrators.
#[utoipa::path(post, path = "/api/users", tag = "users", request_body = NewUserBody,
    responses((status = 201, body = Reply<UserView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 409, body = ErrorReply)))]
pub(super) async fn add(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<NewUserBody>,
) -> ApiResult<Response> {
    let NewUserBody { email, name, role, password } = &body;
    let user = NewUser { email, name, role: *role, password };
    let user = app.accounts.users.add(&principal, user, app.clock.now()).await?;
    let location = format!("/api/users/{}", user.id);
    Ok(Reply::of(UserView::from(user)).created(&location))
}

/// One user: oneself, or any for administrators.
#[utoipa::path(get, path = "/api/users/{user_id}", tag = "users", params(UserPath),
    responses((status = 200, body = Reply<UserView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<UserPath>,
) -> ApiResult<Reply<UserView>> {
    Ok(Reply::of(app.accounts.users.get(&principal, &path.user_id).await?.into()))
}

/// Change a user; for administrators.
#[utoipa::path(put, path = "/api/users/{user_id}", tag = "users", params(UserPath), request_body = UserChangeBody,
    responses((status = 200, body = Reply<UserView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
pub(super) async fn change(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<UserPath>,
    ApiJson(body): ApiJson<UserChangeBody>,
) -> ApiResult<Reply<UserView>> {
    let UserChangeBody { name, role, disabled, password, scan_mb_max } = &body;
    let change = UserChange {
        name: name.as_deref(),
        role: *role,
        disabled: *disabled,
        password: password.as_deref(),
        scan_bytes_max: scan_mb_max.map(|own| own.map(scan_bytes).transpose()).transpose()?,
    };
    Ok(Reply::of(app.accounts.users.change(&principal, &path.user_id, change).await?.into()))
}

fn scan_bytes(mb: u64) -> Result<u64, Error> {
    match mb {
        1..=MB_MAX => Ok(mb << 20),
        _ => {
            Err(Error::invalid_field("scan_mb_max", format!("`scan_mb_max` is {mb}: expected 1 to {MB_MAX}")))
        }
    }
}
