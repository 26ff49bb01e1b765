//! The functions that a statement may call: those of DataFusion and our own.
//!
//! This folder must not know tables, callers, or how a statement came here.

use std::sync::Arc;

use datafusion::execution::SessionStateDefaults as Defaults;
use datafusion::logical_expr::{Documentation, ScalarUDF};

/// Functions of ours. They come with their documentation, and say themselves how large their results may be.
pub(super) fn own() -> Vec<Arc<ScalarUDF>> {
    shirabe_native::functions().into_iter().map(Arc::new).collect()
}

/// What kind of function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Scalar,
    Aggregate,
    Window,
    Table,
}

/// What a user is told about a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub kind: Kind,
    pub aliases: Vec<String>,
    /// As one calls it: `lpad(str, n[, padding_str])`.
    pub syntax: String,
    pub description: String,
    /// Name and meaning of each argument.
    pub arguments: Vec<(String, String)>,
    /// A statement and its answer.
    pub example: Option<String>,
}

/// All functions that a statement may call, by name.
#[must_use]
pub fn catalogue() -> Vec<Function> {
    let mut scalar = Defaults::default_scalar_functions();
    scalar.extend(own());
    let scalar = scalar.iter().map(|f| entry(Kind::Scalar, f.name(), f.aliases(), f.documentation()));
    let aggregate = Defaults::default_aggregate_functions();
    let aggregate =
        aggregate.iter().map(|f| entry(Kind::Aggregate, f.name(), f.aliases(), f.documentation()));
    let window = Defaults::default_window_functions();
    let window = window.iter().map(|f| entry(Kind::Window, f.name(), f.aliases(), f.documentation()));
    let table = Defaults::default_table_functions();
    let table = table.iter().map(|f| entry(Kind::Table, f.name(), &[], None));
    let mut all: Vec<_> = scalar.chain(aggregate).chain(window).chain(table).collect();
    all.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    all
}

fn entry(kind: Kind, name: &str, aliases: &[String], documentation: Option<&Documentation>) -> Function {
    let (syntax, description) = match documentation {
        Some(known) => (known.syntax_example.trim().to_owned(), known.description.trim().to_owned()),
        None => (format!("{name}(…)"), String::new()),
    };
    Function {
        name: name.to_owned(),
        kind,
        aliases: aliases.to_vec(),
        syntax,
        description,
        arguments: documentation.and_then(|known| known.arguments.clone()).unwrap_or_default(),
        example: documentation.and_then(|known| known.sql_example.clone()),
    }
}

/// Names and aliases of all functions, to suggest one that was probably meant.
pub(super) fn names() -> Vec<String> {
    catalogue()
        .into_iter()
        .flat_map(|function| std::iter::once(function.name).chain(function.aliases))
        .collect()
}
