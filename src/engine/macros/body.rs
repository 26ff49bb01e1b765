//! What a macro may be: one expression over its parameters.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Query, Spanned as _, Value, Visit as _, Visitor};

use crate::catalog::name::NameKey;
use crate::catalog::record::MacroRecord;
use crate::engine::statement::read;
use crate::error::{Error, Place, Result};

/// A macro that was read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) record: MacroRecord,
    pub(super) expression: Expr,
    pub(super) parameters: Vec<Parameter>,
}

/// A value that the macro takes.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: NameKey,
    pub(super) data_type: Option<ast::DataType>,
}

impl Body {
    /// Reads a record.
    ///
    /// # Errors
    /// `InvalidSql`, with the place in the expression, for one that is more than an expression, or names anything but
    /// parameters and functions; also for a parameter's type that is none.
    pub(super) fn parse(record: MacroRecord) -> Result<Self> {
        let parameters = record.parameters.iter().map(|parameter| {
            let data_type = parameter.kind.as_deref().map(|text| {
                read(text, |parser| parser.parse_data_type()).map_err(|error| {
                    within(error, &format!("the type of the parameter `{}`", parameter.name))
                })
            });
            Ok(Parameter { name: NameKey::of(&parameter.name), data_type: data_type.transpose()? })
        });
        let parameters: Vec<Parameter> = parameters.collect::<Result<_>>()?;
        let expression = read(&record.expression, |parser| parser.parse_expr())?;
        let mut rules = Rules { parameters: &parameters };
        match expression.visit(&mut rules) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(Self { record, expression, parameters }),
        }
    }
}

/// Says in front what the error is about.
fn within(error: Error, what: &str) -> Error {
    match error {
        Error::InvalidSql { message, .. } => {
            Error::InvalidSql { message: format!("{what}: {message}"), place: None }
        }
        other => other,
    }
}

struct Rules<'a> {
    parameters: &'a [Parameter],
}

impl Rules<'_> {
    fn refuse(&self, expr: &Expr, message: String) -> ControlFlow<Error> {
        let start = expr.span().start;
        let place = (start.line > 0).then_some(Place { line: start.line, column: start.column });
        ControlFlow::Break(Error::InvalidSql { message, place })
    }
}

impl Visitor for Rules<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        let message = "a macro is an expression over its parameters: it holds no sub-query".to_owned();
        ControlFlow::Break(Error::InvalidSql { message, place: None })
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Identifier(ident) => {
                let name = NameKey::of(&ident.value);
                if self.parameters.iter().any(|parameter| parameter.name == name) {
                    return ControlFlow::Continue(());
                }
                self.refuse(
                    expr,
                    format!("`{ident}` is no parameter of the macro, and it may name nothing else"),
                )
            }
            Expr::CompoundIdentifier(_) => self
                .refuse(expr, format!("`{expr}` is no parameter of the macro, and it may name nothing else")),
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                self.refuse(expr, format!("`{value}` has no value in a macro: make it a parameter"))
            }
            Expr::Function(function) if function.over.is_some() => {
                self.refuse(expr, "a macro holds no window function: call it inside of one".to_owned())
            }
            Expr::Function(function) if super::calls::simple_name(&function.name).is_none() => {
                self.refuse(expr, format!("`{}` has dots: functions have none", function.name))
            }
            // Its own names could catch those of an argument.
            Expr::Lambda(_) => self.refuse(expr, "a macro holds no function without a name".to_owned()),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                self.refuse(expr, "`*` names columns, and a macro has only its parameters".to_owned())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
