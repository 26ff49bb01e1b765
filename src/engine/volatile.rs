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

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::LogicalPlan;

    use super::super::cache;
    use super::super::functions::{Function, Kind, catalogue};
    use super::super::testing::{Fixture, spec};
    use super::*;

    /// Arguments, of which most functions take some.
    const ARGUMENTS: &[&str] = &[
        "",
        "1",
        "1.5",
        "'a'",
        "true",
        "[1]",
        "['a']",
        "[[1]]",
        "date '2024-01-01'",
        "timestamp '2024-01-01'",
        "1, 1",
        "1.5, 1",
        "'a', 'a'",
        "'a', 1",
        "1, 'a'",
        "[1], 1",
        "[1], [1]",
        "[1.5], [1.5]",
        "['a'], 'a'",
        "'day', date '2024-01-01'",
        "date '2024-01-01', date '2024-01-01'",
        "date '2024-01-01', 1",
        "1, 0.5",
        "'a', 'hex'",
        "'a', 'md5'",
        "'a', 'Int8'",
        "interval '1 day', timestamp '2024-01-01'",
        "{'a': 1}, 'a'",
        "map {'a': 1}",
        "map {'a': 1}, 'a'",
        "'a', 1, 1",
        "'a', 'a', 'a'",
        "'a', 'a', 1",
        "[1], 1, 1",
        "[1], 1, 1, 1",
        "1, [1]",
        "1, 1, 1",
        "1, 0.5, 10",
        "date '2024-01-01', '%Y'",
        "timestamp '2024-01-01', '%Y'",
    ];

    /// A call of `function` by `name`, and its plan.
    async fn planned(fixture: &Fixture, function: &Function, name: &str) -> Option<(QuerySpec, LogicalPlan)> {
        let call = |arguments: &&str| match function.kind {
            Kind::Scalar | Kind::Aggregate => format!("select {name}({arguments})"),
            Kind::Window => format!("select {name}({arguments}) over (order by 1)"),
            Kind::Table => format!("select * from {name}({arguments})"),
        };
        for statement in ARGUMENTS.iter().map(call) {
            let asked = spec(fixture, &statement);
            if let Ok((_, plan)) = fixture.engine.plan(&asked).await {
                return Some((asked, plan));
            }
        }
        None
    }

    /// The text is asked before there is a plan, for an `ETag` and for what runs in a worker, and the plan for what is
    /// kept: had they two opinions, one answer would be kept that the other knows to change.
    #[tokio::test]
    async fn text_and_plan_agree_on_each_function() {
        let fixture = Fixture::new().await;
        let (mut volatile, mut untried) = (Vec::new(), Vec::new());
        for function in catalogue() {
            for name in std::iter::once(&function.name).chain(&function.aliases) {
                let Some((asked, plan)) = planned(&fixture, &function, name).await else {
                    untried.push(name.clone());
                    continue;
                };
                // The arguments of a table are gone from its plan, which therefore says yes.
                if function.kind == Kind::Table {
                    continue;
                }
                let by_plan = cache::is_volatile(&plan).unwrap();
                let by_text = fixture.engine.is_volatile(&asked).unwrap();
                assert_eq!(by_text, by_plan, "{}", asked.statement);
                if by_plan {
                    volatile.push(name.clone());
                }
            }
        }
        assert_eq!(untried, [""; 0], "no arguments were found for these");
        assert_eq!(
            volatile.join(" "),
            "current_date today current_time now current_timestamp random rand uuid"
        );
    }
}
