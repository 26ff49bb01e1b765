//! Reading one version without a statement: its rows, some of its columns, the rows that meet a condition.
//!
//! Why beside `run`: previews, exports and what a transform reads name a version and not a dataset; there is no name
//! to resolve, and who may read it was decided when the version was looked up.
//!
//! ```text
//! manifest ─▶ table ─▶ columns by name, a condition in SQL (condition.rs) ─▶ QueryStream
//! ```
//!
//! This folder must not know who reads, or in which form the rows leave.

mod condition;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, ident};
use futures::FutureExt as _;

use super::check::{self, Sketch};
use super::classify::classify;
use super::execute::Plan;
use super::parameter::Parameters;
use super::spec::{About, Limits, TimeZone};
use super::statement::Statement;
use super::stream::QueryStream;
use super::table::DatasetTable;
use super::{Engine, How, bind, lineage, session};
use crate::catalog::manifest::Manifest;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// The name of the one table.
const TABLE: &str = "dataset";

/// Which part of a version is wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// In this order; all when none are given.
    pub columns: Option<Vec<String>>,
    /// A condition of SQL over the columns of the version, whichever are wanted.
    pub filter: Option<String>,
    /// The values of the `$name`s of the condition.
    pub parameters: Parameters,
    /// Rows at most.
    pub rows: Option<u64>,
    /// The zone of timestamps without one; the engine's own when none is given.
    pub time_zone: Option<TimeZone>,
}

/// What a selection would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    pub schema: SchemaRef,
    /// The columns that it needs: those that are wanted, and those of the condition.
    pub reads: Vec<String>,
}

impl Engine {
    /// A version as a data frame, to be filtered and aggregated by expressions, never by SQL text. Hand
    /// the result to [`Engine::stream`].
    ///
    /// # Errors
    /// `Internal` when the manifest has columns that no table can have.
    pub fn table(&self, manifest: Arc<Manifest>) -> Result<DataFrame> {
        let plan = whole(Arc::new(DatasetTable::new(manifest)?))?;
        Ok(DataFrame::new(self.0.sessions.open(None, [])?, plan))
    }

    /// Runs a data frame made by [`Engine::table`], up to `rows` rows.
    ///
    /// # Errors
    /// What is wrong with its expressions; `RateLimited`, `Unavailable`, `Cancelled`, `TimedOut` as a query.
    pub async fn stream(&self, frame: DataFrame, rows: Option<u64>, about: About) -> Result<QueryStream> {
        let plan = Plan::new(frame.into_parts(), None);
        self.begin(about, self.unlimited(rows), How::Here(async move { Ok(plan) }.boxed())).await
    }

    /// The rows of a version: all columns or those named, in the given order.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there.
    pub async fn scan(
        &self,
        manifest: Arc<Manifest>,
        columns: Option<&[String]>,
        rows: Option<u64>,
        about: About,
    ) -> Result<QueryStream> {
        let selection = Selection { columns: columns.map(<[String]>::to_vec), rows, ..Selection::default() };
        self.select(manifest, selection, about).await
    }

    /// The rows of a version that meet a condition, in no particular order. It is `about.asked_at`.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there, and for parameters that the condition does not ask for or that it
    /// lacks; for the condition, what planning a statement fails with; `RateLimited`, `Unavailable`, `Cancelled`,
    /// `TimedOut` as a query.
    pub async fn select(
        &self,
        manifest: Arc<Manifest>,
        selection: Selection,
        about: About,
    ) -> Result<QueryStream> {
        let (engine, limits, now) = (self.clone(), self.unlimited(selection.rows), about.asked_at);
        check_columns(&manifest.schema(), selection.columns.as_deref())?;
        let condition = selection.filter.as_deref().map(condition::parse).transpose()?;
        let plan = async move {
            let table = Arc::new(DatasetTable::new(manifest)?);
            let planned = engine.selected(table, &selection, condition, Some(now)).await?;
            Ok(Plan::new(planned, None))
        };
        self.begin(about, limits, How::Here(plan.boxed())).await
    }

    /// Plans a selection over a version with these columns, and tells what it would give.
    ///
    /// # Errors
    /// As [`Engine::select`], without those of running.
    pub async fn check_selection(&self, schema: &Schema, selection: Selection) -> Result<Selected> {
        check_columns(schema, selection.columns.as_deref())?;
        let condition = selection.filter.as_deref().map(condition::parse).transpose()?;
        let (engine, table) = (self.clone(), Arc::new(Sketch::new(schema)));
        let known = table.schema();
        let planned = async move {
            let (state, plan) = engine.selected(table, &selection, condition, None).await?;
            let schema = check::schema_of(&state, &plan).await?;
            Ok(Selected { schema, reads: lineage::columns_read(&plan, &known)? })
        };
        self.by_planner(planned.boxed()).await
    }

    /// The plan of a selection over `table`.
    async fn selected(
        &self,
        table: Arc<dyn TableProvider>,
        selection: &Selection,
        condition: Option<Statement>,
        now: Option<Timestamp>,
    ) -> Result<(SessionState, LogicalPlan)> {
        let named = (TableReference::bare(TABLE), Arc::clone(&table));
        let mut state = self.0.sessions.open(now, [named])?;
        let zone = selection.time_zone.as_ref().map_or(self.time_zone(), TimeZone::name);
        session::set_time_zone(&mut state, zone)?;
        let plan = match condition {
            None if selection.parameters.is_empty() => whole(table)?,
            None => {
                return Err(Error::invalid_field("parameters", "there is no condition that asks for them"));
            }
            Some(condition) => {
                bind::check(&condition.parsed, &selection.parameters)?;
                bind::plan(&state, condition.parsed, &selection.parameters).await?
            }
        };
        let Some(columns) = &selection.columns else { return Ok((state, plan)) };
        let columns = columns.iter().map(|name| ident(name.as_str()));
        let chosen = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
        Ok((state, chosen.map_err(classify)?))
    }

    /// The limits of what we ask ourselves.
    fn unlimited(&self, rows: Option<u64>) -> Limits {
        Limits { rows, result_bytes: None, scan_bytes: None, deadline_ms: self.deadline_ms(None) }
    }
}

fn whole(table: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::scan(TABLE, provider_as_source(table), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(classify)
}

fn check_columns(known: &Schema, columns: Option<&[String]>) -> Result<()> {
    match columns.into_iter().flatten().find(|name| known.index_of(name).is_err()) {
        None => Ok(()),
        Some(missing) => Err(Error::invalid(format!("there is no column `{missing}`"))),
    }
}
