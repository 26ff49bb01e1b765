//! Writing macros out on the syntax tree: arguments take the places of parameters, as expressions in parentheses.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned as _, Visit as _,
    VisitMut, Visitor, VisitorMut,
};

use super::body::{Body, Parameter};
use super::calls::macro_name;
use super::scope::{Key, Known};
use crate::catalog::name::NameKey;
use crate::error::{Error, Place, Result};
use crate::limits::{MACRO_DEPTH_MAX, STATEMENT_NODES_MAX};

/// Writes out the calls of one statement. Bounded before anything is copied: macros that call one another twice double
/// with each level.
#[derive(Debug)]
pub(super) struct Expander<'a> {
    known: &'a Known,
    /// Macros without calls of others, as they were needed.
    plain: HashMap<Key, Plain>,
    /// Those that are being made plain, outermost first.
    within: Vec<Key>,
    nodes: u64,
}

/// An expression that calls no macro.
#[derive(Debug, Clone)]
struct Plain {
    expression: Expr,
    nodes: u64,
    /// How often each parameter is in it.
    uses: Vec<u64>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(known: &'a Known) -> Self {
        Self { known, plain: HashMap::new(), within: Vec::new(), nodes: 0 }
    }

    /// `expression` without calls of macros, whose names mean what they mean in a statement, or in a shared macro.
    ///
    /// # Errors
    /// `InvalidSql` for a call that does not fit, `OverLimit` for what would grow too large.
    pub(super) fn expand(&mut self, mut expression: Expr, in_shared: bool) -> Result<Expr> {
        match VisitMut::visit(&mut expression, &mut Calls { expander: self, in_shared }) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(expression),
        }
    }

    /// A call, whose arguments call no macro any more, as the macro's expression.
    fn written_out(&mut self, key: Key, body: &'a Body, call: &Function) -> Result<Expr> {
        let arguments = arguments(body, call)?;
        let Plain { mut expression, nodes, uses } = self.plain(key, body)?;
        let in_arguments = arguments.iter().zip(&uses).map(|(argument, uses)| {
            let casts = 1;
            (count(argument) + casts).saturating_mul(*uses)
        });
        self.nodes = in_arguments.fold(self.nodes.saturating_add(nodes), u64::saturating_add);
        if self.nodes > STATEMENT_NODES_MAX {
            return Err(Error::OverLimit(format!(
                "the statement has more than {STATEMENT_NODES_MAX} parts once its macros are written out"
            )));
        }
        let values = body.parameters.iter().zip(arguments);
        let values =
            values.map(|(parameter, argument)| (&parameter.name, typed(parameter, argument))).collect();
        // It never breaks off.
        let _ = VisitMut::visit(&mut expression, &mut Values(values));
        Ok(in_parentheses(expression))
    }

    fn plain(&mut self, key: Key, body: &'a Body) -> Result<Plain> {
        if let Some(plain) = self.plain.get(&key) {
            return Ok(plain.clone());
        }
        if let Some(start) = self.within.iter().position(|within| *within == key) {
            let names = self.within[start..].iter().chain([&key]).map(|key| format!("`{}`", key.name));
            return Err(Error::InvalidSql {
                message: format!("a macro calls itself: {}", names.collect::<Vec<_>>().join(" calls ")),
                place: None,
            });
        }
        if self.within.len() >= MACRO_DEPTH_MAX {
            return Err(Error::OverLimit(format!(
                "macros call one another over more than {MACRO_DEPTH_MAX} levels"
            )));
        }
        self.within.push(key.clone());
        let expression = self.expand(body.expression.clone(), key.shared)?;
        self.within.pop();
        let uses = body.parameters.iter().map(|parameter| uses(&expression, &parameter.name)).collect();
        let plain = Plain { nodes: count(&expression), expression, uses };
        self.plain.insert(key, plain.clone());
        Ok(plain)
    }
}

/// Finds calls from the innermost on, so that arguments are plain before they are put into a macro.
struct Calls<'e, 'a> {
    expander: &'e mut Expander<'a>,
    in_shared: bool,
}

impl VisitorMut for Calls<'_, '_> {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = &*expr else { return ControlFlow::Continue(()) };
        let Some(name) = macro_name(call) else { return ControlFlow::Continue(()) };
        let written = match (self.expander.known.find(&name, self.in_shared), self.expander.within.last()) {
            (Some((key, body)), _) => self.expander.written_out(key, body, call),
            (None, Some(caller)) => {
                let message =
                    format!("the macro `{}` calls `{name}`, and there is no such function", caller.name);
                Err(Error::UnknownName { message, place: None, suggestions: Vec::new() })
            }
            // The planner says so, and what was probably meant.
            (None, None) => return ControlFlow::Continue(()),
        };
        match written {
            Ok(written) => {
                *expr = written;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// Puts values for parameters. What is put in is not walked again, so a name in it stays what it was.
struct Values<'a>(HashMap<&'a NameKey, Expr>);

impl VisitorMut for Values<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = &*expr
            && let Some(value) = self.0.get(&NameKey::of(&ident.value))
        {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}

/// The arguments of a call that is nothing but a name and arguments.
fn arguments(body: &Body, call: &Function) -> Result<Vec<Expr>> {
    let refuse = |message: String| {
        let start = call.name.span().start;
        let place = (start.line > 0).then_some(Place { line: start.line, column: start.column });
        Err(Error::InvalidSql { message, place })
    };
    let name = &body.record.name;
    let more = call.over.is_some()
        || call.filter.is_some()
        || call.null_treatment.is_some()
        || !call.within_group.is_empty()
        || !matches!(call.parameters, FunctionArguments::None);
    let (FunctionArguments::List(list), false) = (&call.args, more) else {
        return refuse(format!(
            "the macro `{name}` takes values and nothing else: no FILTER, no OVER, no sub-query"
        ));
    };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return refuse(format!("the macro `{name}` takes values and nothing else: no DISTINCT, no ORDER BY"));
    }
    let values: Option<Vec<Expr>> = list
        .args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
            _ => None,
        })
        .collect();
    match values {
        Some(values) if values.len() == body.parameters.len() => Ok(values),
        Some(values) => {
            refuse(format!("the macro `{name}` takes {} values, got {}", body.parameters.len(), values.len()))
        }
        None => refuse(format!("the macro `{name}` takes values by their order: no names, no `*`")),
    }
}

fn typed(parameter: &Parameter, argument: Expr) -> Expr {
    match &parameter.data_type {
        None => in_parentheses(argument),
        Some(data_type) => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(argument),
            data_type: data_type.clone(),
            array: false,
            format: None,
        },
    }
}

/// What needs them to stay together.
fn in_parentheses(expr: Expr) -> Expr {
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::Nested(_)
        | Expr::Function(_)
        | Expr::Cast { kind: CastKind::Cast | CastKind::TryCast, .. } => expr,
        other => Expr::Nested(Box::new(other)),
    }
}

fn count(expr: &Expr) -> u64 {
    let mut count = Count { all: 0, named: 0, name: None };
    let _ = expr.visit(&mut count);
    count.all
}

fn uses(expr: &Expr, name: &NameKey) -> u64 {
    let mut count = Count { all: 0, named: 0, name: Some(name) };
    let _ = expr.visit(&mut count);
    count.named
}

struct Count<'a> {
    all: u64,
    named: u64,
    name: Option<&'a NameKey>,
}

impl Visitor for Count<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.all += 1;
        if let (Expr::Identifier(ident), Some(name)) = (expr, self.name) {
            self.named += u64::from(NameKey::of(&ident.value) == *name);
        }
        ControlFlow::Continue(())
    }
}
