//! Parts of SQL that the planner would read wrongly or leave out: written so that the answer is right, or refused.
//!
//! Why: a clause that is dropped in silence is a wrong number on somebody's page. What is here was found by
//! `tests/slt`; each goes when the planner does it right.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor, Visit as _,
    VisitMut as _, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result};

/// Refuses what the planner would leave out, and tells whether there is something for [`apart`] to do.
///
/// # Errors
/// `NotSupported`, with what to write instead where there is something.
pub(super) fn check(query: &Query) -> Result<bool> {
    let mut ignored = Ignored::default();
    match query.visit(&mut ignored) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(ignored.compares),
    }
}

#[derive(Default)]
struct Ignored {
    /// There is an `ANY` or `ALL`.
    compares: bool,
}

/// Refuses the first part that is there.
fn refuse(parts: &[(bool, &str)]) -> ControlFlow<Error> {
    match parts.iter().find(|(there, _)| *there) {
        None => ControlFlow::Continue(()),
        Some((_, what)) => ControlFlow::Break(Error::NotSupported(format!("{what} is not supported"))),
    }
}

impl Visitor for Ignored {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        refuse(&[
            (query.for_clause.is_some(), "`FOR XML`, `FOR JSON` or `FOR BROWSE`"),
            (query.settings.is_some(), "`SETTINGS`"),
            (query.format_clause.is_some(), "`FORMAT` (choose it with the request)"),
        ])?;
        // With a list of our own: a chain of hundreds is a tree that deep.
        let mut waiting = vec![query.body.as_ref()];
        while let Some(body) = waiting.pop() {
            if let SetExpr::SetOperation { op, set_quantifier, left, right } = body {
                let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
                if counts && *op != SetOperator::Union {
                    return ControlFlow::Break(Error::NotSupported(format!(
                        "`{op} ALL` is not supported: number equal rows by `row_number() OVER (PARTITION BY …)` on \
                         both sides, and write `{op}`"
                    )));
                }
                waiting.extend([left.as_ref(), right.as_ref()]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        refuse(&[
            (select.into.is_some(), "`SELECT … INTO`"),
            (select.exclude.is_some(), "`EXCLUDE` after columns (write `* EXCLUDE (…)`)"),
            (select.prewhere.is_some(), "`PREWHERE` (write `WHERE`)"),
            (!select.connect_by.is_empty(), "`CONNECT BY` (write `WITH RECURSIVE`)"),
            (select.value_table_mode.is_some(), "`SELECT AS STRUCT` or `SELECT AS VALUE`"),
        ])
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.compares |= matches!(expr, Expr::AnyOp { .. } | Expr::AllOp { .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let sampled = "`TABLESAMPLE` (write `WHERE random() < 0.1`, or `LIMIT`)";
        match factor {
            TableFactor::Table {
                with_hints, version, partitions, json_path, sample, index_hints, ..
            } => refuse(&[
                (sample.is_some(), sampled),
                (version.is_some(), "a version behind a table's name (give `as_of` with the request)"),
                (!with_hints.is_empty() || !index_hints.is_empty(), "a hint behind a table's name"),
                (!partitions.is_empty(), "`PARTITION` behind a table's name (write `WHERE`)"),
                (json_path.is_some(), "a path behind a table's name"),
            ]),
            TableFactor::Derived { sample: Some(_), .. } => refuse(&[(true, sampled)]),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Gives the rows that `ANY` or `ALL` compares with a name of their own.
///
/// The planner makes a condition of the sub-query out of the comparison, with the column on its left inside. When
/// both sides read a table under the same name, that column then is the one of the inner table. A sub-query that
/// looks at columns of the query around it has to stay where it is; there, the same name twice is refused.
///
/// # Errors
/// `NotSupported` for such a name.
pub(super) fn apart(statement: &mut Parsed) -> Result<()> {
    let statement = match statement {
        Parsed::Statement(statement) => statement.as_mut(),
        Parsed::Explain(explain) => return apart(&mut explain.statement),
        Parsed::CreateExternalTable(_) | Parsed::CopyTo(_) | Parsed::Reset(_) => return Ok(()),
    };
    let Statement::Query(query) = statement else { return Ok(()) };
    let mut compared = Compared { names: Names::of(query) };
    match query.visit(&mut compared) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Compared {
    /// Of the whole statement.
    names: Names,
}

impl VisitorMut for Compared {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let (Expr::AnyOp { right, .. } | Expr::AllOp { right, .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let Expr::Subquery(query) = right.as_mut() else { return ControlFlow::Continue(()) };
        let inner = Names::of(query);
        if !inner.looks_outside() {
            if let Some(named) = named(query) {
                **query = named;
            }
            return ControlFlow::Continue(());
        }
        match inner.tables.iter().find(|(name, count)| self.names.tables.get(*name) > Some(count)) {
            None => ControlFlow::Continue(()),
            Some((name, _)) => ControlFlow::Break(Error::NotSupported(format!(
                "`{name}` names a table inside of `ANY (…)` or `ALL (…)` and one outside: give one of them another \
                 name by `AS`"
            ))),
        }
    }
}

/// Under which names a query reads tables, how often, and which names stand before its columns.
#[derive(Debug, Default)]
struct Names {
    tables: HashMap<String, usize>,
    qualifiers: HashSet<String>,
}

impl Names {
    fn of(query: &Query) -> Self {
        let mut names = Self::default();
        // It never breaks.
        let _ = query.visit(&mut names);
        names
    }

    fn looks_outside(&self) -> bool {
        self.qualifiers.iter().any(|name| !self.tables.contains_key(name))
    }

    fn add(&mut self, name: &Ident) {
        *self.tables.entry(folded(name)).or_default() += 1;
    }
}

impl Visitor for Names {
    type Break = Infallible;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
        match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => self.add(&alias.name),
            TableFactor::Table { name, .. } => {
                if let Some(name) = name.0.last().and_then(|part| part.as_ident()) {
                    self.add(name);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [.., table, _] = parts.as_slice()
        {
            self.qualifiers.insert(folded(table));
        }
        ControlFlow::Continue(())
    }
}

/// As the planner compares names.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// `SELECT * FROM (query)` under a name that nobody else gives.
fn named(query: &Query) -> Option<Query> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql("SELECT * FROM (SELECT 1) AS rows").ok()?;
    let mut outer = *parser.parse_query().ok()?;
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, alias, .. } = &mut select.from.first_mut()?.relation else {
        return None;
    };
    **subquery = query.clone();
    if let Some(alias) = alias {
        alias.name = Ident::with_quote('"', "the rows compared with");
    }
    Some(outer)
}
