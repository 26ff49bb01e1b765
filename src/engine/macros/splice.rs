//! Putting expressions for calls into the text of a statement. All else stays as it was written, line breaks and
//! remarks too, so that the place of an error is still one of the text that was sent.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, SelectItem, Spanned as _, Visit as _, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::calls::macro_name;
use super::expand::Expander;
use super::scope::Known;
use crate::engine::classify::classify;
use crate::error::{Error, Result};

/// The text of `query` with its macros written out.
///
/// # Errors
/// As [`Expander::expand`].
pub(super) fn written_out(text: &str, query: &Query, known: &Known) -> Result<String> {
    let mut calls = Outermost { known, found: Vec::new(), columns: Vec::new(), inside: 0 };
    // It never breaks off.
    let _ = query.visit(&mut calls);
    let mut found = calls.found;
    found.sort_by_key(|call| call.start);

    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| classify(DataFusionError::SQL(Box::new(error.into()), None)))?;
    let starts: HashMap<Location, usize> =
        tokens.iter().enumerate().map(|(at, token)| (token.span.start, at)).collect();
    let places = Places::of(text);
    let mut expander = Expander::new(known);
    let (mut written, mut done) = (String::with_capacity(text.len() * 2), 0);
    for call in found {
        let end = starts.get(&call.start).and_then(|at| end_of_call(&tokens[*at..]));
        let range = end.and_then(|end| Some((places.offset(call.start)?, places.offset(end)?)));
        let Some((from, to)) = range.filter(|(from, to)| done <= *from && from < to) else {
            return Err(Error::internal("a call of a macro is not where the parser saw it"));
        };
        written.push_str(&text[done..from]);
        written.push_str(&expander.expand(call.expression, false)?.to_string());
        if let Some(name) = call.column {
            written.push_str(&format!(" AS \"{}\"", name.replace('"', "\"\"")));
        }
        done = to;
    }
    written.push_str(&text[done..]);
    Ok(written)
}

/// A call of a macro that is not inside of another one.
#[derive(Debug)]
struct Call {
    start: Location,
    expression: Expr,
    /// What the column is called whose whole expression it is.
    column: Option<String>,
}

struct Outermost<'a> {
    known: &'a Known,
    found: Vec<Call>,
    /// Columns without a name of their own, by their address in the tree.
    columns: Vec<*const Expr>,
    inside: usize,
}

impl Outermost<'_> {
    fn is_call(&self, expr: &Expr) -> bool {
        let Expr::Function(function) = expr else { return false };
        macro_name(function).is_some_and(|name| self.known.find(&name, false).is_some())
    }
}

impl Visitor for Outermost<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let columns = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) if self.is_call(expr) => Some(std::ptr::from_ref(expr)),
            _ => None,
        });
        let columns: Vec<_> = columns.collect();
        self.columns.extend(columns);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if !self.is_call(expr) {
            return ControlFlow::Continue(());
        }
        if let (0, Expr::Function(function)) = (self.inside, expr) {
            let address = std::ptr::from_ref(expr);
            let column = self.columns.iter().position(|column| *column == address);
            self.found.push(Call {
                start: function.name.span().start,
                expression: expr.clone(),
                column: column.map(|_| function.to_string()),
            });
        }
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.inside -= usize::from(self.is_call(expr));
        ControlFlow::Continue(())
    }
}

/// Where the call ends whose name `tokens` begin with: behind the parenthesis that closes its own.
fn end_of_call(tokens: &[TokenWithSpan]) -> Option<Location> {
    let mut open = 0_usize;
    for token in &tokens[1..] {
        match &token.token {
            Token::LParen => open += 1,
            Token::RParen if open <= 1 => return (open == 1).then_some(token.span.end),
            Token::RParen => open -= 1,
            Token::Whitespace(_) => {}
            _ if open == 0 => return None,
            _ => {}
        }
    }
    None
}

/// From the lines and columns of the tokenizer, which counts characters, to bytes.
struct Places<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    fn offset(&self, place: Location) -> Option<usize> {
        let line = *self.lines.get(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
        let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
        let rest = &self.text[line..];
        rest.char_indices().map(|(at, _)| line + at).chain([self.text.len()]).nth(column)
    }
}
