//! Which calls may be calls of macros.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{Expr, Function, Ident, ObjectName, Query, Visit as _, Visitor};

use crate::catalog::name::NameKey;
use crate::engine::functions;

/// Functions that the planner makes something of before it looks them up.
const PLANNED: [&str; 3] = ["make_map", "map", "unnest"];

static BUILT_IN: LazyLock<HashSet<NameKey>> =
    LazyLock::new(|| functions::names().iter().map(String::as_str).chain(PLANNED).map(NameKey::of).collect());

/// Whether the name is that of a function that everybody has.
pub(super) fn is_built_in(name: &NameKey) -> bool {
    BUILT_IN.contains(name)
}

/// The name of a called function, when a macro may have it.
pub(super) fn macro_name(function: &Function) -> Option<NameKey> {
    let name = simple_name(&function.name)?;
    let name = NameKey::of(&name.value);
    (!is_built_in(&name)).then_some(name)
}

/// A name without dots.
pub(super) fn simple_name(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    }
}

/// Names of functions that `query` calls and that are not built in, each once.
pub(super) fn of_query(query: &Query) -> Vec<NameKey> {
    let mut calls = Calls::default();
    // It never breaks off.
    let _ = query.visit(&mut calls);
    calls.0
}

/// The same for an expression.
pub(super) fn of_expression(expression: &Expr) -> Vec<NameKey> {
    let mut calls = Calls::default();
    let _ = expression.visit(&mut calls);
    calls.0
}

#[derive(Debug, Default)]
struct Calls(Vec<NameKey>);

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(name) = macro_name(function)
            && !self.0.contains(&name)
        {
            self.0.push(name);
        }
        ControlFlow::Continue(())
    }
}
