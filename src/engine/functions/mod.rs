//! The functions that a statement may call: those of DataFusion that were looked at, with bounds on those that grow,
//! and our own.
//!
//! Why: DataFusion registers what it has. Some of it makes a gigabyte out of a few bytes in one step that nothing can
//! stop, and an allocation that fails ends the process with everybody's queries in it.
//!
//! ```text
//! DataFusion's functions ─▶ allowed.rs ─▶ growth.rs: may it grow? ─▶ bounded.rs: refuses before it runs
//! operators and literals ─▶ rewrite.rs: the same bounds ─▶ checked.rs: integers that do not go round
//! sum ─▶ sum/: totals that do not go round
//! ```
//!
//! This folder must not know tables, callers, or how a statement came here.

mod allowed;
mod bounded;
mod budget;
mod checked;
mod date_hours;
mod growth;
mod rewrite;
mod sizes;
mod sum;
#[cfg(test)]
mod tests;
mod types;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::catalog::TableFunction;
use datafusion::execution::SessionStateDefaults as Defaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, Documentation, ScalarUDF, WindowUDF};

use bounded::Bounded;
pub(super) use bounded::refused;
pub(super) use budget::Budget;
use growth::Growth;
pub(super) use rewrite::Bounding;
use sum::ExactSum;

/// Functions of ours. They come with their documentation, and say themselves how large their results may be.
fn own() -> Vec<Arc<ScalarUDF>> {
    shirabe_native::functions().into_iter().map(Arc::new).collect()
}

/// Functions with bounds, by their names.
static BOUNDED: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let allowed = Defaults::default_scalar_functions().into_iter().filter(|f| allowed::scalar(f.name()));
    let bounded = allowed.filter_map(|function| {
        let growth = Growth::of(function.name())?;
        let bounded = Bounded::new(ScalarUDF::clone(&function), growth);
        Some((function.name().to_owned(), Arc::new(ScalarUDF::new_from_impl(bounded))))
    });
    bounded.collect()
});

/// Scalar functions, with bounds where they may grow.
pub(super) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let allowed = Defaults::default_scalar_functions().into_iter().filter(|f| allowed::scalar(f.name()));
    let bounded = allowed.map(|function| match BOUNDED.get(function.name()) {
        Some(bounded) => Arc::clone(bounded),
        None => function,
    });
    bounded.chain(own()).collect()
}

/// Aggregate functions. What they hold is counted in the memory that queries share.
pub(super) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let allowed =
        Defaults::default_aggregate_functions().into_iter().filter(|f| allowed::aggregate(f.name()));
    let exact = allowed.map(|function| match function.name() {
        "sum" => Arc::new(AggregateUDF::new_from_impl(ExactSum::default())),
        _ => function,
    });
    exact.collect()
}

/// Window functions.
pub(super) fn window() -> Vec<Arc<WindowUDF>> {
    Defaults::default_window_functions().into_iter().filter(|f| allowed::window(f.name())).collect()
}

/// Functions that stand for a table.
pub(super) fn table() -> Vec<Arc<TableFunction>> {
    Defaults::default_table_functions().into_iter().filter(|f| allowed::table(f.name())).collect()
}

/// What makes function calls out of operators and literals; ours first, so that literals have bounds.
pub(super) fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    let ours: [Arc<dyn ExprPlanner>; 2] = [Arc::new(rewrite::Literals), Arc::new(date_hours::DateHours)];
    ours.into_iter().chain(Defaults::default_expr_planners()).collect()
}

/// Whether `function` looks at the size of its arguments before it runs.
pub(super) fn has_bounds(function: &ScalarUDF) -> bool {
    function.inner().is::<Bounded>()
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
    let scalar = scalar().into_iter().map(|f| entry(Kind::Scalar, f.name(), f.aliases(), f.documentation()));
    let aggregate = aggregate();
    let aggregate =
        aggregate.iter().map(|f| entry(Kind::Aggregate, f.name(), f.aliases(), f.documentation()));
    let window = window();
    let window = window.iter().map(|f| entry(Kind::Window, f.name(), f.aliases(), f.documentation()));
    let table = table();
    let table = table.iter().map(|f| entry(Kind::Table, f.name(), &[], None));
    let mut all: Vec<_> = scalar.chain(aggregate).chain(window).chain(table).collect();
    all.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
    all
}

fn entry(kind: Kind, name: &str, aliases: &[String], documentation: Option<&Documentation>) -> Function {
    let (syntax, description) = match (documentation, kind) {
        (Some(known), _) => (known.syntax_example.trim().to_owned(), known.description.trim().to_owned()),
        (None, Kind::Table) => (
            format!("SELECT * FROM {name}(start, stop[, step])"),
            "Whole numbers, dates or times from `start` to `stop`, as a table.".to_owned(),
        ),
        (None, _) => (format!("{name}(…)"), String::new()),
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
