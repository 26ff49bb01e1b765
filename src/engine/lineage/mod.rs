//! What a statement makes its columns of: for each column of the result the columns of datasets that its values come
//! from, and the columns that decide which rows there are.
//!
//! Why from the plan, before it is optimised: there all names are resolved, `*` is written out and macros are gone,
//! but no column has moved yet, and no cast of ours hides that a value came through as it was.
//!
//! ```text
//! statement ─▶ plan ─▶ walk.rs: from the tables up, each node's columns ─▶ names.rs: as tables and columns are called
//!                           └─▶ exprs.rs: what one expression takes from the columns below it
//! ```
//!
//! This folder must not know what lineage is wanted for: transforms, cards, or a page that shows it.

mod exprs;
mod found;
mod names;
mod steps;
#[cfg(test)]
mod tests;
mod walk;

use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::classify::classify;
use super::spec::QuerySpec;
use super::stream::Deadline;
use super::{Engine, session};
use crate::error::Result;
use crate::ids::DatasetId;

/// What a statement reads, and what it makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lineage {
    /// All tables that the statement names, also those of which no column is read.
    pub tables: Vec<TableUse>,
    /// One for each column of the result, in its order.
    pub columns: Vec<ColumnOrigin>,
    /// Columns that decide which rows there are, how they are grouped and in which order they come, or that a
    /// sub-query reads for a value.
    pub influences: Vec<Origin>,
}

/// A table of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TableUse {
    /// As the statement names it.
    pub table: String,
    /// None for a table of the service's own.
    #[schema(value_type = Option<String>)]
    pub dataset_id: Option<DatasetId>,
    /// Columns that the result depends on, in the order of the table. One that the statement names for nothing, as
    /// `*` of a sub-query may, is not among them.
    pub columns: Vec<String>,
}

/// Where a column of a result comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ColumnOrigin {
    pub column: String,
    /// Columns that its values are made of.
    pub from: Vec<Origin>,
    /// Those of them whose values come through as they are.
    pub direct: Vec<Origin>,
    pub how: Derivation,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Origin {
    /// As the statement names it.
    pub table: String,
    pub column: String,
}

/// What happened to a value on its way. Of several things the last one counts: a sum that is rounded is an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Derivation {
    /// It comes from no column.
    Constant,
    /// Each value is one of a column, as it is there.
    Identity,
    /// It is computed from values of one row.
    Expression,
    /// It is computed from a group of rows.
    Aggregate,
    /// It is computed from the rows around it.
    Window,
}

/// The columns of `table` that a plan over it alone depends on, in the table's order.
pub(super) fn columns_read(plan: &LogicalPlan, table: &Schema) -> Result<Vec<String>> {
    let walked = walk::walk(plan, &|_, _| Some(0)).map_err(classify)?;
    let read = names::read(&walked, 1).into_iter().flatten();
    Ok(read.map(|column| table.field(column).name().clone()).collect())
}

impl Engine {
    /// Plans `spec`, and tells where the columns of its result come from. It waits for its turn like a query, and
    /// reads no row.
    ///
    /// # Errors
    /// As [`Engine::run`]; `OverLimit` when the columns of the result come from more columns than can be listed.
    pub async fn lineage(&self, spec: QuerySpec) -> Result<Lineage> {
        let deadline = Deadline::after(Duration::from_millis(spec.limits.deadline_ms));
        let engine = self.clone();
        let work = async move {
            let slot = engine.0.admission.enter(&spec.user_id).await?;
            let tracing = engine.clone();
            let traced = async move {
                let _slot = slot;
                tracing.traced(&spec).await
            };
            engine.0.planners.run(traced.boxed()).await
        };
        deadline.bound(work).await
    }

    async fn traced(&self, spec: &QuerySpec) -> Result<Lineage> {
        let (state, plan) = self.plan(spec).await?;
        // What does not fit together is found here, and told as a query would tell it.
        session::analyse(&state, plan.clone())?;
        let walked = walk::walk(&plan, &|scan, provider| names::place(&spec.tables, scan, provider));
        let walked = walked.map_err(classify)?;
        let mut lineage = names::lineage(&plan, &spec.tables, walked);
        // A sub-query for a value is called otherwise once it has become a join, and so is its column of the result.
        let optimised = state.optimize(&plan).map_err(classify)?;
        for (column, field) in lineage.columns.iter_mut().zip(optimised.schema().fields()) {
            column.column.clone_from(field.name());
        }
        Ok(lineage)
    }
}
