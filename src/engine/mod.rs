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

mod admission;
mod ask;
mod bind;
mod cache;
mod check;
mod classify;
mod deep;
mod execute;
mod explain;
mod first_row;
pub mod functions;
mod guard;
mod history;
#[cfg(test)]
mod hostile;
mod hot;
mod in_order;
mod isolation;
#[cfg(test)]
mod life_tests;
mod lineage;
mod list;
mod literals;
mod macros;
mod manifests;
mod memory;
mod named_casts;
mod near;
mod one_file;
mod parameter;
mod plain_output;
mod planners;
mod reader;
mod report;
mod resolve;
mod resources;
mod running;
mod runtime;
mod scan_budget;
mod select;
mod session;
mod session_value;
mod sort;
mod spec;
mod spill;
mod spill_file;
mod statement;
mod stats;
mod stream;
mod system;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unsound;
mod volatile;
mod wanted;
mod weighing;
mod window_memory;
mod written_parameters;
mod yielding;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use tokio_util::task::AbortOnDropHandle;

pub use admission::AdmissionLimits;
pub use ask::{Asked, Caches};
pub use cache::{Answer, Body, Ended, Fill, Kept, Running as RunningAnswer};
pub use explain::{Explanation, Join, Part, Scan};
pub use first_row::{Row, shown};
pub use isolation::Isolation;
pub use lineage::{ColumnOrigin, Derivation, Lineage, Origin, TableUse};
pub use list::QueryFilter;
pub use one_file::OneFile;
pub use parameter::{Parameter, ParameterType, Parameters};
pub use runtime::EngineConfig;
pub use select::{Selected, Selection};
pub use sort::Batches;
pub use spec::{About, AsOf, Limits, QuerySpec, Request, SpecTable, TableRows, TimeZone, version_read};
pub use stream::{Progress, QueryStream};
pub use written_parameters::{WrittenParameters, parameters_of_pairs};

use crate::catalog::manifest::Manifest;
use crate::catalog::record::VersionRecord;
use crate::catalog::store::HistoryStore;
use crate::error::Result;
use crate::tasks::Workers;
use admission::Admission;
use cache::{Plans, Results, Statements};
use execute::{Plan, Work};
use history::History;
use hot::HotColumns;
use in_order::InOrder;
use manifests::Manifests;
use planners::Planners;
use reader::CheckedReaders;
use resources::Pools;
use running::{Run, Running};
use scan_budget::ScanBudget;
use session::Sessions;
use session_value::SessionValue;
use stream::{Cuts, Deadline};

/// How far queries stand back when an answer is to be written or a request read.
const NICENESS: i32 = 5;

/// Runs queries. Cheap to clone: clones share memory, caches and spill space.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sessions: Sessions,
    manifests: Manifests,
    pools: Pools,
    admission: Admission,
    running: Running,
    history: Arc<History>,
    planners: Arc<Planners>,
    workers: Workers,
    statements: Statements,
    plans: Plans,
    /// None when none are to be kept.
    results: Option<Results>,
    /// None when none are to be kept.
    hot: Option<Arc<HotColumns>>,
    /// Decodes what comes to be kept.
    _loading: Option<AbortOnDropHandle<()>>,
    config: EngineConfig,
}

/// Where a query runs.
enum How {
    /// In this process, when it is planned.
    Here(BoxFuture<'static, Result<Plan>>),
    Elsewhere(Arc<dyn Isolation>, Box<QuerySpec>),
}

impl Engine {
    /// An engine that reads from `objects` and nothing else, and keeps its history in `history`.
    ///
    /// # Errors
    /// `Internal` when the spill folder cannot be used, or no thread can be started.
    pub fn new(
        config: EngineConfig,
        objects: Arc<dyn ObjectStore>,
        history: Arc<dyn HistoryStore>,
    ) -> Result<Self> {
        let runtime = runtime::build(&config, Arc::clone(&objects))?;
        let history = Arc::new(History::new(history));
        let workers = Workers::start("query", config.threads, NICENESS)?;
        let (hot, loading) = match config.hot_bytes_max {
            0 => (None, None),
            bytes => {
                let (hot, waiting) = HotColumns::new(bytes);
                let load = hot::load(Arc::downgrade(&hot), CheckedReaders::of(&runtime)?, waiting);
                (Some(hot), Some(workers.spawn(load)))
            }
        };
        Ok(Self(Arc::new(Inner {
            sessions: Sessions::new(&config, Arc::clone(&runtime), hot.as_ref()),
            manifests: Manifests::new(objects, config.manifest_cache_bytes_max),
            pools: Pools::new(&config, runtime)?,
            admission: Admission::new(config.admission),
            running: Running::new(Arc::clone(&history)),
            history,
            planners: Arc::new(Planners::new()),
            workers,
            statements: Statements::default(),
            plans: Plans::new(config.plan_cache_bytes_max),
            results: match config.result_cache_bytes_max {
                0 => None,
                bytes => Some(Results::new(bytes)?),
            },
            hot,
            _loading: loading,
            config,
        })))
    }

    /// Plans `spec` and starts it. Its deadline counts from here.
    ///
    /// # Errors
    /// What is wrong with the statement, `RateLimited` or `Unavailable` when too many queries wait, `Cancelled`,
    /// or `TimedOut`.
    pub async fn run(&self, spec: QuerySpec) -> Result<QueryStream> {
        let (about, limits, engine) = (spec.about(), spec.limits, self.clone());
        let how = match self.isolation_of(&spec) {
            Some(isolation) => How::Elsewhere(isolation, Box::new(spec)),
            None => How::Here(
                async move { Ok(Plan::new(engine.plan(&spec).await?, ScanBudget::of(&spec))) }.boxed(),
            ),
        };
        self.begin(about, limits, how).await
    }

    /// The manifest of a version, verified against its record.
    ///
    /// # Errors
    /// `Damaged` when it is not what was written, `Unavailable` when the store does not answer.
    pub async fn manifest(&self, version: &VersionRecord) -> Result<Arc<Manifest>> {
        self.0.manifests.get(version).await
    }

    /// Sorts `input` by `columns`, ascending, NULL last, in bounded memory: what does not fit is spilled.
    ///
    /// # Errors
    /// `Invalid` when a column is not in `schema`.
    pub fn sort(&self, schema: SchemaRef, input: Batches, columns: &[String]) -> Result<Batches> {
        let state = self.0.sessions.open(None, [])?;
        let context = execute::context(&state, &self.0.pools.for_import()?);
        let config = context.session_config().clone().with_batch_size(sort::BATCH_ROWS);
        sort::sort(Arc::new(context.with_session_config(config)), schema, input, columns)
    }

    /// Queries, previews and exports that are being answered at this moment: waiting, planned, or not read to
    /// their end.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.count()
    }

    /// Of these, the ones that wait for their turn, and those whose work has not ended.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.0.admission.waiting(), self.0.admission.running())
    }

    /// Statements that are planned although nobody waits for them any more: planning does not give way.
    #[must_use]
    pub fn planned_for_nobody(&self) -> usize {
        self.0.planners.lost()
    }

    /// Bytes that running queries hold at this moment.
    #[must_use]
    pub fn memory_used(&self) -> usize {
        self.0.pools.memory_used()
    }

    /// Bytes of spilled rows on disk at this moment.
    #[must_use]
    pub fn spill_used(&self) -> u64 {
        self.0.pools.spill_used()
    }

    fn time_zone(&self) -> &str {
        &self.0.config.time_zone
    }

    /// The time a query gets: what was asked for, as far as the engine allows it.
    fn deadline_ms(&self, asked: Option<Duration>) -> u64 {
        let deadline = asked.map_or(self.0.config.deadline, |asked| asked.min(self.0.config.deadline));
        u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
    }

    /// Who runs `spec` instead of this process, if somebody does. The list of queries stays in this process.
    fn isolation_of(&self, spec: &QuerySpec) -> Option<Arc<dyn Isolation>> {
        self.0.config.isolation.as_ref().filter(|_| spec.reads_only_versions()).map(Arc::clone)
    }

    /// Puts a query on the list, and launches it.
    async fn begin(&self, about: About, limits: Limits, how: How) -> Result<QueryStream> {
        let deadline = Deadline::after(Duration::from_millis(limits.deadline_ms));
        self.launch(self.0.running.begin(about)?, limits, deadline, how).await
    }

    /// Waits for the turn of a query, and starts it.
    async fn launch(
        &self,
        mut run: Run,
        limits: Limits,
        deadline: Deadline,
        how: How,
    ) -> Result<QueryStream> {
        let live = Arc::clone(run.live());
        let starting = async {
            let slot = self.0.admission.enter(live.user_id()).await?;
            live.admitted();
            let live = Arc::clone(&live);
            match how {
                How::Here(plan) => {
                    let resources = self.0.pools.share(live.peak())?;
                    let work = Work { plan, rows: limits.rows, resources, live, deadline, slot };
                    execute::start(&self.0.workers, Arc::clone(&self.0.planners), work).await
                }
                How::Elsewhere(isolation, spec) => {
                    let (schema, rows) = isolation.run(*spec).await?;
                    live.planned_elsewhere();
                    Ok(execute::pass_on(&self.0.workers, schema, rows, deadline, slot))
                }
            }
        };
        match live.bound(deadline, starting).await {
            Ok(started) => {
                let cuts = Cuts { rows: limits.rows, bytes: limits.result_bytes };
                Ok(QueryStream::new(started, cuts, deadline, run))
            }
            Err(error) => {
                run.fail(&error);
                Err(error)
            }
        }
    }

    /// A session with the tables of `spec`, and the plan of its statement.
    async fn plan(&self, spec: &QuerySpec) -> Result<(SessionState, LogicalPlan)> {
        let statement = self.0.statements.parse(&spec.statement)?;
        let tables = spec.tables.iter().map(system::provide).collect::<Result<Vec<_>>>()?;
        let mut state = self.0.sessions.open(Some(spec.now), tables)?;
        session::set_time_zone(&mut state, &spec.time_zone)?;
        if spec.in_order {
            state.config_mut().options_mut().extensions.insert(SessionValue(InOrder));
        }
        bind::check(&statement.parsed, &spec.parameters)?;
        let plan = bind::plan(&state, statement.parsed.clone(), &spec.parameters).await?;
        session::check_read_only(&plan)?;
        Ok((state, plan))
    }
}
