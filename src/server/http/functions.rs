//! `/api/functions`: what a statement may call.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::ListReply;
use super::error::{ApiResult, ErrorReply};
use super::extract::{ApiQuery, Caller, Page};
use super::state::AppState;
use crate::catalog::record::MacroRecord;
use crate::engine::functions::{self, Function};

/// What kind of function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FunctionKind {
    Scalar,
    Aggregate,
    Window,
    Table,
    /// Made by users; see `/api/macros`.
    Macro,
}

impl From<functions::Kind> for FunctionKind {
    fn from(kind: functions::Kind) -> Self {
        match kind {
            functions::Kind::Scalar => Self::Scalar,
            functions::Kind::Aggregate => Self::Aggregate,
            functions::Kind::Window => Self::Window,
            functions::Kind::Table => Self::Table,
        }
    }
}

/// A value that a function takes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArgumentView {
    name: String,
    description: String,
}

/// A function.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunctionView {
    #[schema(example = "safe_divide")]
    name: String,
    kind: FunctionKind,
    /// Other names of the same function.
    aliases: Vec<String>,
    /// As one calls it.
    #[schema(example = "safe_divide(dividend, divisor)")]
    signature: String,
    description: String,
    arguments: Vec<ArgumentView>,
    /// A statement and its answer, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<String>,
    /// The version of Shirabe that first had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.1.0")]
    since: Option<String>,
}

/// All functions so far came with the first version.
const SINCE: &str = "0.1.0";

impl From<Function> for FunctionView {
    fn from(function: Function) -> Self {
        let argument = |(name, description)| ArgumentView { name, description };
        Self {
            name: function.name,
            kind: function.kind.into(),
            aliases: function.aliases,
            signature: function.syntax,
            description: function.description,
            arguments: function.arguments.into_iter().map(argument).collect(),
            example: function.example,
            since: Some(SINCE.to_owned()),
        }
    }
}

impl From<MacroRecord> for FunctionView {
    fn from(record: MacroRecord) -> Self {
        let arguments: Vec<_> = record
            .parameters
            .into_iter()
            .map(|parameter| ArgumentView {
                name: parameter.name,
                description: parameter.kind.unwrap_or_default(),
            })
            .collect();
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
        Self {
            signature: format!("{}({})", record.name, names.join(", ")),
            name: record.name,
            kind: FunctionKind::Macro,
            aliases: Vec::new(),
            description: record.description,
            arguments,
            example: None,
            since: None,
        }
    }
}

/// Which functions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FunctionsQuery {
    /// A part of a name, an alias or a description, in any case.
    #[serde(default)]
    q: String,
    kind: Option<FunctionKind>,
}

impl FunctionsQuery {
    fn takes(&self, function: &FunctionView) -> bool {
        let part = self.q.trim().to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&part);
        let found = part.is_empty()
            || holds(&function.name)
            || function.aliases.iter().any(|alias| holds(alias))
            || holds(&function.description);
        found && self.kind.is_none_or(|kind| kind == function.kind)
    }
}

/// What a statement may call, by name: functions, and the macros that the caller sees.
#[utoipa::path(get, path = "/api/functions", tag = "functions", params(FunctionsQuery),
    responses((status = 200, body = ListReply<FunctionView>), (status = 400, body = ErrorReply),
        (status = 401, body = ErrorReply)))]
pub(super) async fn list(
    app: AppState,
    Caller(principal): Caller,
    ApiQuery(query): ApiQuery<FunctionsQuery>,
) -> ApiResult<ListReply<FunctionView>> {
    let macros = app.macros.list(&principal).await?;
    let all = functions::catalogue().into_iter().map(FunctionView::from);
    let all = all.chain(macros.into_iter().map(FunctionView::from));
    let mut found: Vec<FunctionView> = all.filter(|function| query.takes(function)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let total = found.len() as u64;
    // One page always: it is one program's functions and a bounded number of macros.
    let page = Page { limit: total, offset: 0 };
    Ok(ListReply::of(found, page, total))
}
