//! A condition over the columns of one table, written in SQL. It is parsed and guarded as a statement is.
//!
//! Why not put into the text of one: `true) OR (1 = 1` must not become something that its writer did not mean. The
//! condition is read alone, to its end, and becomes part of a syntax tree.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, Spanned, Statement as Ast, Visit as _, Visitor};

use super::TABLE;
use crate::engine::deep;
use crate::engine::statement::{self, Statement};
use crate::error::{Error, Place, Result};

/// `SELECT * FROM dataset WHERE text`.
///
/// # Errors
/// `InvalidSql`, with the place in the condition, for what is more than an expression over columns; otherwise as a
/// statement with this condition.
pub(super) fn parse(text: &str) -> Result<Statement> {
    statement::check_length(text)?;
    deep::on_stack_for(text, || {
        let condition = statement::read(text, |parser| parser.parse_expr())?;
        if let ControlFlow::Break(error) = condition.visit(&mut Rules) {
            return Err(error);
        }
        statement::guarded(over_the_table(condition)?)
    })
}

fn over_the_table(condition: Expr) -> Result<Parsed> {
    let mut query = statement::read(&format!("SELECT * FROM {TABLE}"), |parser| parser.parse_query())?;
    match query.body.as_mut() {
        SetExpr::Select(select) => select.selection = Some(condition),
        _ => return Err(Error::internal("a query without a `SELECT`")),
    }
    Ok(Parsed::Statement(Box::new(Ast::Query(query))))
}

struct Rules;

fn refuse(part: &impl Spanned, message: &str) -> ControlFlow<Error> {
    let start = part.span().start;
    let place = (start.line > 0).then_some(Place { line: start.line, column: start.column });
    ControlFlow::Break(Error::InvalidSql { message: message.to_owned(), place })
}

impl Visitor for Rules {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        refuse(query, "a condition is an expression over columns: it holds no sub-query")
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Function(function) if function.over.is_some() => {
                refuse(expr, "a condition looks at one row at a time: it holds no window function")
            }
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                refuse(expr, "a condition names its columns: it holds no `*`")
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
