//! Whether a statement would still work over tables with other columns: "errors before damage".
//!
//! Why by planning it: nothing else knows what a statement needs of its tables. A column that is gone, one with
//! another type, a name that now means two columns: the planner tells, in the words in which a query would. The
//! tables are empty and stand for nothing that is stored, so this asks neither catalogue nor object store.

mod sketch;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::classify::{classify, with_hint};
use super::parameter::Parameters;
use super::spec::{SpecTable, TableRows, TimeZone};
use super::statement::TableName;
use super::stream::Deadline;
use super::{Engine, bind, near, session, system};
use crate::catalog::name::NameKey;
use crate::error::{Error, Result};
pub(super) use sketch::Sketch;

/// Near names to offer.
const SUGGESTIONS_MAX: usize = 3;

impl Engine {
    /// Plans `statement` over tables with these columns, and returns the columns of its result. Names are compared
    /// as those of datasets are. Macros have to be written out already ([`Engine::without_macros`]).
    ///
    /// Timestamps without a zone have `time_zone`, or the engine's own.
    ///
    /// What depends on values is not found: a text that is no number fails when it is met.
    ///
    /// # Errors
    /// As planning the statement over such datasets: `InvalidSql`, `UnknownName`, `NotSupported`, `OverLimit`,
    /// `Invalid` for parameters; `TimedOut` and `Unavailable` when planning takes too long, or there is too much of it.
    pub async fn check_against(
        &self,
        statement: &str,
        parameters: &Parameters,
        tables: &HashMap<String, SchemaRef>,
        time_zone: Option<&TimeZone>,
    ) -> Result<SchemaRef> {
        let time_zone = time_zone.map_or(self.time_zone(), TimeZone::name).to_owned();
        let (engine, parameters) = (self.clone(), parameters.clone());
        let statement = self.0.statements.parse(statement)?;
        let tables =
            statement.tables.iter().map(|table| sketched(table, tables)).collect::<Result<Vec<_>>>()?;
        let planned = async move {
            let mut state = engine.0.sessions.open(None, tables)?;
            session::set_time_zone(&mut state, &time_zone)?;
            bind::check(&statement.parsed, &parameters)?;
            let plan = bind::plan(&state, statement.parsed.clone(), &parameters).await?;
            session::check_read_only(&plan)?;
            schema_of(&state, &plan).await
        };
        self.by_planner(planned.boxed()).await
    }

    /// Has something planned that no query asked for.
    pub(super) async fn by_planner<T: Send + 'static>(
        &self,
        work: BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        let deadline = Deadline::after(Duration::from_millis(self.deadline_ms(None)));
        deadline.bound(self.0.planners.run(work)).await
    }
}

/// The columns of the rows that a plan would give, down to its operators: some of what cannot be done is found only
/// when these are chosen.
pub(super) async fn schema_of(state: &SessionState, plan: &LogicalPlan) -> Result<SchemaRef> {
    Ok(state.create_physical_plan(plan).await.map_err(classify)?.schema())
}

/// A table of the statement, with the columns that are given for its name.
fn sketched(
    table: &TableName,
    tables: &HashMap<String, SchemaRef>,
) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    if table.system {
        system::check_name(table)?;
        return system::provide(&SpecTable {
            name: table.name.clone(),
            rows: TableRows::Queries(Vec::new()),
        });
    }
    let same = |name: &&String| NameKey::of(name) == NameKey::of(&table.name);
    let schema = tables.get(&table.name).or_else(|| tables.get(tables.keys().find(same)?));
    match schema {
        Some(schema) => Ok((TableReference::bare(table.name.as_str()), Arc::new(Sketch::new(schema)))),
        None => {
            let suggestions = near::near(&table.name, tables.keys().map(String::as_str), SUGGESTIONS_MAX);
            let message = with_hint(format!("no dataset `{}`", table.name), &suggestions);
            Err(Error::UnknownName { message, place: table.place, suggestions })
        }
    }
}
