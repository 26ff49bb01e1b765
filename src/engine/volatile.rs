//! Whether a statement can have another answer although nothing it reads has changed: it asks for the time, or for
//! chance. Told by the functions it names, without planning it.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, TableFactor, Visit as _, Visitor};

use super::session::Sessions;
use super::{Engine, QuerySpec, deep};
use crate::error::Result;

impl Engine {
    /// Whether the answer may differ from one run of `spec` to the next. Says yes when in doubt.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub fn is_volatile(&self, spec: &QuerySpec) -> Result<bool> {
        // What runs now is another list each time.
        if !spec.reads_only_versions() {
            return Ok(true);
        }
        let statement = self.0.statements.parse(&spec.statement)?;
        Ok(deep::on_stack_for(&spec.statement, || match &statement.parsed {
            Parsed::Statement(query) => query.visit(&mut Calls(&self.0.sessions)).is_break(),
            // A plan tells of the machine as well.
            _ => true,
        }))
    }
}

/// Breaks off at the first call that is volatile.
struct Calls<'a>(&'a Sessions);

impl Calls<'_> {
    fn see(&self, function: &ObjectName) -> ControlFlow<()> {
        let name = function.0.last().and_then(|part| part.as_ident());
        let name = name.map(|name| match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_lowercase(),
        });
        match name {
            Some(name) if !self.0.is_volatile(&name) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

impl Visitor for Calls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.see(&function.name),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { args: Some(_), name, .. } | TableFactor::Function { name, .. } => {
                self.see(name)
            }
            TableFactor::Table { sample: Some(_), .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
