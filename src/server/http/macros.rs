//! `/api/macros`: expressions of SQL with names, which statements call like functions.

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{ListReply, Reply};
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiJson, ApiPath, Caller, Page};
use super::state::AppState;
use crate::catalog::record::{MacroParameter, MacroRecord};
use crate::ids::{MacroId, UserId};
use crate::limits::MACROS_PER_SCOPE_MAX;
use crate::macros::{MacroPatch, NewMacro};

/// A value that a macro takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterView {
    #[schema(example = "sales")]
    name: String,
    /// A type of SQL to which the value is cast; without one it stays as it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(example = "DECIMAL(18, 2)")]
    kind: Option<String>,
}

impl From<MacroParameter> for ParameterView {
    fn from(MacroParameter { name, kind }: MacroParameter) -> Self {
        Self { name, kind }
    }
}

impl From<ParameterView> for MacroParameter {
    fn from(ParameterView { name, kind }: ParameterView) -> Self {
        Self { name, kind }
    }
}

/// A macro.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MacroView {
    #[schema(value_type = String, example = "macro_0f8fad5bd9cb469fa16570867728950e")]
    macro_id: MacroId,
    name: String,
    parameters: Vec<ParameterView>,
    expression: String,
    description: String,
    /// Whether everybody may call it.
    shared: bool,
    #[schema(value_type = String)]
    owner_id: UserId,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

impl From<MacroRecord> for MacroView {
    fn from(record: MacroRecord) -> Self {
        Self {
            macro_id: record.id,
            name: record.name,
            parameters: record.parameters.into_iter().map(ParameterView::from).collect(),
            expression: record.expression,
            description: record.description,
            shared: record.shared,
            owner_id: record.owner_id,
            created_at: record.created_at.rfc3339(),
            updated_at: record.updated_at.rfc3339(),
        }
    }
}

/// A macro to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMacroBody {
    #[schema(example = "margin")]
    name: String,
    #[serde(default)]
    parameters: Vec<ParameterView>,
    /// One expression over the parameters. It may call functions and other macros.
    #[schema(example = "safe_divide(sales - cost, sales)")]
    expression: String,
    #[serde(default)]
    description: String,
    /// Everybody's; administrators only.
    #[serde(default)]
    shared: bool,
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeMacroBody {
    name: Option<String>,
    parameters: Option<Vec<ParameterView>>,
    expression: Option<String>,
    description: Option<String>,
    /// Administrators only.
    shared: Option<bool>,
}

/// In the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct MacroPath {
    /// The id, or the name as the caller's statements see it.
    macro_id: String,
}

/// The caller's macros and the shared ones, by name.
#[utoipa::path(get, path = "/api/macros", tag = "functions",
    responses((status = 200, body = ListReply<MacroView>), (status = 401, body = ErrorReply)))]
pub(super) async fn list(app: AppState, Caller(principal): Caller) -> ApiResult<ListReply<MacroView>> {
    let found = app.macros.list(&principal).await?;
    let total = found.len() as u64;
    // One page always: both kinds have a bound.
    let page = Page { limit: 2 * MACROS_PER_SCOPE_MAX as u64, offset: 0 };
    Ok(ListReply::of(found.into_iter().map(MacroView::from).collect(), page, total))
}

/// Make a macro. It is checked as far as that goes without values.
#[utoipa::path(post, path = "/api/macros", tag = "functions", request_body = NewMacroBody,
    responses((status = 201, body = Reply<MacroView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 409, body = ErrorReply), (status = 422, body = ErrorReply)))]
pub(super) async fn create(
    app: AppState,
    Caller(principal): Caller,
    ApiJson(body): ApiJson<NewMacroBody>,
) -> ApiResult<Response> {
    let new = NewMacro {
        name: body.name,
        parameters: body.parameters.into_iter().map(MacroParameter::from).collect(),
        expression: body.expression,
        description: body.description,
        shared: body.shared,
    };
    let record = app.macros.create(&principal, new, app.clock.now()).await?;
    let location = format!("/api/macros/{}", record.id);
    Ok(Reply::of(MacroView::from(record)).created(&location))
}

/// One macro.
#[utoipa::path(get, path = "/api/macros/{macro_id}", tag = "functions", params(MacroPath),
    responses((status = 200, body = Reply<MacroView>), (status = 404, body = ErrorReply)))]
pub(super) async fn get(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<MacroPath>,
) -> ApiResult<Reply<MacroView>> {
    Ok(Reply::of(app.macros.get(&principal, &path.macro_id).await?.into()))
}

/// Change a macro, unless another one would break. Statements that call it mean the new one from now on.
#[utoipa::path(put, path = "/api/macros/{macro_id}", tag = "functions", params(MacroPath),
    request_body = ChangeMacroBody,
    responses((status = 200, body = Reply<MacroView>), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply)))]
pub(super) async fn change(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<MacroPath>,
    ApiJson(body): ApiJson<ChangeMacroBody>,
) -> ApiResult<Reply<MacroView>> {
    let patch = MacroPatch {
        name: body.name,
        parameters: body.parameters.map(|all| all.into_iter().map(MacroParameter::from).collect()),
        expression: body.expression,
        description: body.description,
        shared: body.shared,
    };
    Ok(Reply::of(app.macros.change(&principal, &path.macro_id, patch, app.clock.now()).await?.into()))
}

/// Remove a macro, unless another one calls it.
#[utoipa::path(delete, path = "/api/macros/{macro_id}", tag = "functions", params(MacroPath),
    responses((status = 204), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply)))]
pub(super) async fn remove(
    app: AppState,
    Caller(principal): Caller,
    ApiPath(path): ApiPath<MacroPath>,
) -> ApiResult<StatusCode> {
    app.macros.remove(&principal, &path.macro_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
