//! `/api/auth`: signing in and out, who am I, passwords, the first set-up.

use axum::http::{HeaderMap, StatusCode};
use metrics::counter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context;
use super::envelope::Reply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, Caller};
use super::identify::bearer;
use super::state::AppState;
use super::users::UserView;
use crate::account::Signed;
use crate::auth::{Principal, Role};
use crate::catalog::record::UserRecord;
use crate::error::{Error, Unauthenticated};
use crate::ids::UserId;
use crate::telemetry::LOGIN_FAILURES;

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub(super) struct LoginBody {
    #[schema(example = "ana@example.com")]
    email: String,
    #[schema(format = Password)]
    password: String,
}

/// A token and whose it is.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginView {
    /// To be sent as `Authorization: Bearer <token>`.
    access_token: String,
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds until the token expires.
    #[schema(example = 86400)]
    expires_in: i64,
    user: SignedInView,
}

/// The user that a token belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedInView {
    #[schema(value_type = String, example = "user_0f8fad5bd9cb469fa16570867728950e")]
    user_id: UserId,
    email: String,
    name: String,
    role: Role,
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MeView {
    #[serde(flatten)]
    user: SignedInView,
    /// Groups come with sharing; nobody is in one yet.
    groups: Vec<GroupView>,
    /// RFC 3339; absent for the operator, who has no record.
    created_at: Option<String>,
}

/// A group that the caller is in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupView {
    group_id: String,
    name: String,
}

/// The old and the new password.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasswordBody {
    #[schema(format = Password)]
    current_password: String,
    #[schema(format = Password)]
    new_password: String,
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
pub(super) struct SetupBody {
    /// The one-time code that `shirabe serve` printed.
    code: String,
    email: String,
    #[schema(format = Password)]
    password: String,
    /// By default the part of the address before the `@`.
    name: Option<String>,
}

impl From<Signed> for LoginView {
    fn from(signed: Signed) -> Self {
        let Signed { token, expires_in_s, user } = signed;
        Self { access_token: token, token_type: "bearer", expires_in: expires_in_s, user: user.into() }
    }
}

impl From<UserRecord> for SignedInView {
    fn from(user: UserRecord) -> Self {
        Self { user_id: user.id, email: user.email, name: user.name, role: user.role }
    }
}

/// Sign in.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", security(()), request_body = LoginBody,
    responses((status = 200, body = Reply<LoginView>), (status = 401, body = ErrorReply),
        (status = 429, body = ErrorReply)))]
pub(super) async fn login(app: AppState, ApiJson(body): ApiJson<LoginBody>) -> ApiResult<Reply<LoginView>> {
    let LoginBody { email, password } = body;
    let (now, request_id) = (app.clock.now(), context::current_id());
    let signed = app.accounts.sign_in.sign_in(&email, &password, now, Some(&request_id)).await;
    let signed = signed.inspect_err(|_| counter!(LOGIN_FAILURES).increment(1))?;
    context::set_user(&signed.user.id);
    Ok(Reply::of(signed.into()))
}

/// Sign out: the token stops working.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth",
    responses((status = 204), (status = 401, body = ErrorReply)))]
pub(super) async fn logout(app: AppState, _caller: Caller, headers: HeaderMap) -> ApiResult<StatusCode> {
    let token = bearer(&headers)?.ok_or(Error::Unauthenticated(Unauthenticated::Missing))?;
    app.accounts.sign_in.sign_out(token, app.clock.now(), Some(&context::current_id())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who am I?
#[utoipa::path(get, path = "/api/auth/me", tag = "auth",
    responses((status = 200, body = Reply<MeView>), (status = 401, body = ErrorReply)))]
pub(super) async fn me(app: AppState, Caller(principal): Caller) -> ApiResult<Reply<MeView>> {
    if principal.operator {
        return Ok(Reply::of(MeView { user: operator(principal), groups: Vec::new(), created_at: None }));
    }
    let record = app.accounts.users.get(&principal, &principal.user_id).await?;
    let created_at = Some(record.created_at.rfc3339());
    Ok(Reply::of(MeView { user: record.into(), groups: Vec::new(), created_at }))
}

/// Change one's own password. All former tokens end; the answer has a new one.
#[utoipa::path(post, path = "/api/auth/password", tag = "auth", request_body = PasswordBody,
    responses((status = 200, body = Reply<LoginView>), (status = 400, body = ErrorReply),
        (status = 401, body = ErrorReply)))]
pub(super) async fn change_password(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<PasswordBody>,
) -> ApiResult<Reply<LoginView>> {
    let PasswordBody { current_password, new_password } = body;
    let now = app.clock.now();
    let signed =
        app.accounts.sign_in.change_password(&principal, &current_password, &new_password, now).await?;
    Ok(Reply::of(signed.into()))
}

/// Make the first administrator, with the one-time code; refused once there is any user.
#[utoipa::path(post, path = "/api/auth/setup", tag = "auth", security(()), request_body = SetupBody,
    responses((status = 201, body = Reply<UserView>), (status = 403, body = ErrorReply)))]
pub(super) async fn setup(
    app: AppState,
    ApiJson(body): ApiJson<SetupBody>,
) -> ApiResult<axum::response::Response> {
    let name = body.name.as_deref().unwrap_or_default();
    let now = app.clock.now();
    let user = app.accounts.setup.complete(&body.code, &body.email, &body.password, name, now).await?;
    Ok(Reply::of(UserView::from(user)).created("/api/auth/me"))
}

fn operator(principal: Principal) -> SignedInView {
    let Principal { user_id, email, role, .. } = principal;
    SignedInView { user_id, name: email.clone(), email, role }
}
