//! Running SQL over datasets: `resolve` turns a statement and a caller into a [`QuerySpec`], `run` turns
//! that into a [`QueryStream`].
//!
//! ```text
//! statement ─▶ parse ─▶ look tables up ─▶ authorise ─▶ versions ─▶ manifests ─▶ QuerySpec     resolve
//! QuerySpec ─▶ session with exactly these tables ─▶ plan ─▶ optimise ─▶ execute ─▶ QueryStream    run
//! ```
//!
//! Why two steps: a spec is complete, so the same `run` works here, in another process, or again next
//! week. `run` asks no catalogue, clock or configuration.
//!
//! All doors, previews, exports and profiles come through here, so that authorisation and limits cannot
//! be forgotten by one. This stage must not know HTTP, formats, or how datasets are made.

mod classify;
mod deep;
mod guard;
mod manifests;
mod near;
mod reader;
mod resolve;
mod runtime;
mod session;
mod sort;
mod spec;
mod statement;
mod stats;
mod stream;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod yielding;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execute_stream;
use object_store::ObjectStore;

pub use runtime::EngineConfig;
pub use sort::Batches;
pub use spec::{AsOf, Limits, QuerySpec, Request, SpecTable};
pub use stream::{Progress, QueryStream};

use crate::catalog::manifest::Manifest;
use crate::catalog::record::VersionRecord;
use crate::error::{Error, Result};
use classify::classify;
use deep::Deep;
use manifests::Manifests;
use session::Sessions;
use stream::{Deadline, Run, Running};
use table::DatasetTable;

/// The name of the one table in [`Engine::table`].
const TABLE: &str = "dataset";

/// Runs queries. Cheap to clone: clones share memory, caches and spill space.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Arc<RuntimeEnv>,
    sessions: Sessions,
    manifests: Manifests,
    running: Running,
    deadline: Duration,
    time_zone: String,
}

impl Engine {
    /// An engine that reads from `objects` and nothing else.
    ///
    /// # Errors
    /// `Internal` when the spill folder cannot be used.
    pub fn new(config: EngineConfig, objects: Arc<dyn ObjectStore>) -> Result<Self> {
        let runtime = runtime::build(&config, Arc::clone(&objects))?;
        Ok(Self(Arc::new(Inner {
            sessions: Sessions::new(&config, Arc::clone(&runtime)),
            runtime,
            manifests: Manifests::new(objects, config.manifest_cache_bytes_max),
            running: Running::default(),
            deadline: config.deadline,
            time_zone: config.time_zone,
        })))
    }

    /// Plans `spec` and starts it. Its deadline counts from here.
    ///
    /// # Errors
    /// What is wrong with the statement, or `TimedOut`.
    pub async fn run(&self, spec: QuerySpec) -> Result<QueryStream> {
        let deadline = Deadline::after(Duration::from_millis(spec.limits.deadline_ms));
        let run = self.0.running.begin();
        let planning = async {
            let (state, plan) = self.plan(&spec).await?;
            Box::pin(start(state, plan, spec.limits.rows, deadline, run)).await
        };
        deadline.bound(Deep::new(planning)).await
    }

    /// The manifest of a version, verified against its record.
    ///
    /// # Errors
    /// `Damaged` when it is not what was written, `Unavailable` when the store does not answer.
    pub async fn manifest(&self, version: &VersionRecord) -> Result<Arc<Manifest>> {
        self.0.manifests.get(version).await
    }

    /// A version as a data frame, to be filtered and aggregated by expressions, never by SQL text. Hand
    /// the result to [`Engine::stream`].
    ///
    /// # Errors
    /// `Internal` when the manifest has columns that no table can have.
    pub fn table(&self, manifest: Arc<Manifest>) -> Result<DataFrame> {
        let provider = provider_as_source(Arc::new(DatasetTable::new(manifest)?));
        let plan = LogicalPlanBuilder::scan(TABLE, provider, None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(classify)?;
        Ok(DataFrame::new(self.0.sessions.open(None, [])?, plan))
    }

    /// Runs a data frame made by [`Engine::table`], up to `rows` rows.
    ///
    /// # Errors
    /// What is wrong with its expressions.
    pub async fn stream(&self, frame: DataFrame, rows: Option<u64>) -> Result<QueryStream> {
        let (state, plan) = frame.into_parts();
        let deadline = Deadline::after(self.0.deadline);
        let run = self.0.running.begin();
        deadline.bound(Box::pin(start(state, plan, rows, deadline, run))).await
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
    ) -> Result<QueryStream> {
        let known = manifest.schema();
        let mut frame = self.table(manifest)?;
        if let Some(columns) = columns {
            if let Some(missing) = columns.iter().find(|name| known.index_of(name).is_err()) {
                return Err(Error::invalid(format!("there is no column `{missing}`")));
            }
            let columns = columns.iter().map(|name| datafusion::logical_expr::ident(name.as_str()));
            frame = frame.select(columns.collect::<Vec<_>>()).map_err(classify)?;
        }
        self.stream(frame, rows).await
    }

    /// Sorts `input` by `columns`, ascending, NULL last, in bounded memory: what does not fit is spilled.
    ///
    /// # Errors
    /// `Invalid` when a column is not in `schema`.
    pub fn sort(&self, schema: SchemaRef, input: Batches, columns: &[String]) -> Result<Batches> {
        sort::sort(self.0.sessions.open(None, [])?.task_ctx(), schema, input, columns)
    }

    /// Queries, previews and exports that run at this moment: planned, or not read to their end.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.0.running.count()
    }

    /// Bytes that running queries hold at this moment.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.0.runtime.memory_pool.reserved()
    }

    /// Bytes of spilled rows on disk at this moment.
    #[must_use]
    pub fn spill_used(&self) -> u64 {
        self.0.runtime.disk_manager.used_disk_space()
    }

    fn deadline(&self) -> Duration {
        self.0.deadline
    }

    fn time_zone(&self) -> &str {
        &self.0.time_zone
    }

    /// A session with the tables of `spec`, and the plan of its statement.
    async fn plan(&self, spec: &QuerySpec) -> Result<(SessionState, LogicalPlan)> {
        let statement = statement::parse(&spec.statement)?;
        let mut tables = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            let provider: Arc<dyn datafusion::catalog::TableProvider> =
                Arc::new(DatasetTable::new(Arc::clone(&table.manifest))?);
            tables.push((table.name.clone(), provider));
        }
        let mut state = self.0.sessions.open(Some(spec.now), tables)?;
        session::set_time_zone(&mut state, &spec.time_zone)?;
        let plan = state.statement_to_plan(statement.parsed).await.map_err(classify)?;
        session::check_read_only(&plan)?;
        Ok((state, plan))
    }
}

/// Optimises and starts `plan`. It is asked for one row more than is handed out, so that the stream knows
/// whether there were more, and operators can stop early.
async fn start(
    state: SessionState,
    plan: LogicalPlan,
    rows: Option<u64>,
    deadline: Deadline,
    run: Run,
) -> Result<QueryStream> {
    let fetch = rows.and_then(|rows| usize::try_from(rows).ok()?.checked_add(1));
    let plan = match (fetch, &plan) {
        (None, _) | (_, LogicalPlan::Explain(_)) => plan,
        (fetch, _) => LogicalPlanBuilder::from(plan)
            .limit(0, fetch)
            .and_then(LogicalPlanBuilder::build)
            .map_err(classify)?,
    };
    let plan = state.create_physical_plan(&plan).await.map_err(classify)?;
    let source = execute_stream(plan, state.task_ctx()).map_err(classify)?;
    Ok(QueryStream::new(source, rows, deadline, run))
}
