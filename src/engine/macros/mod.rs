//! Macros: expressions of SQL that users gave a name, called like functions.
//!
//! Why written out in the text: what stands behind the parser then sees plain SQL. The guard counts what a macro
//! amounts to, a spec needs no catalogue to be run again, and a result that is kept is one of what was really asked.
//!
//! ```text
//! statement ─▶ which functions are not built in? ─▶ scope.rs: look them up ─▶ expand.rs: put arguments for
//! parameters, on the syntax tree ─▶ splice.rs: put the outcome for the call, in the text ─▶ parse and guard it
//! ```
//!
//! `body.rs` holds what a macro may be: one expression that names its parameters and nothing else, so that no name of
//! a macro can mean a column of the statement, nor the other way round. This folder must not know who asks over what.

mod body;
mod calls;
mod check;
mod expand;
mod scope;
mod splice;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::scope::Known;
use super::cache::Statements;
use super::statement::{self, Statement};
use super::{Engine, deep};
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::store::MacroStore;
use crate::error::Result;

impl Engine {
    /// A statement as it is once its macros are written out, for whoever keeps it or plans it without a catalogue.
    ///
    /// # Errors
    /// `InvalidSql`, `NotSupported` and `OverLimit` for the statement, and what the store failed with.
    pub async fn without_macros(
        &self,
        store: &dyn MacroStore,
        principal: &Principal,
        statement: String,
    ) -> Result<String> {
        Ok(parse(&self.0.statements, store, principal, statement).await?.0)
    }
}

/// Parses `text` with its macros written out, and returns the text without them. The store is asked only when the
/// statement calls a function that is not built in.
///
/// # Errors
/// As [`statement::parse`]; `InvalidSql` for a call that does not fit its macro, `OverLimit` for what grows too large.
pub(super) async fn parse(
    statements: &Statements,
    store: &dyn MacroStore,
    principal: &Principal,
    text: String,
) -> Result<(String, Arc<Statement>)> {
    let statement = statements.parse(&text)?;
    let called = deep::on_stack_for(&text, || statement::query(&statement.parsed).map(calls::of_query))?;
    if called.is_empty() {
        return Ok((text, statement));
    }
    let known = Known::load(store, &principal.user_id, called, None).await?;
    for record in known.records() {
        let object = Object::Macro { id: &record.id, owner: &record.owner_id, shared: record.shared };
        authorize(principal, Action::ReadMacro, &object)?;
    }
    if known.is_empty() {
        // The planner says which function there is not, and which was probably meant.
        return Ok((text, statement));
    }
    let text = deep::on_stack_for(&text, || {
        splice::written_out(&text, statement::query(&statement.parsed)?, &known)
    })?;
    let statement = statements.parse(&text)?;
    Ok((text, statement))
}
