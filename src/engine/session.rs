//! Sessions: the only place that makes one. Each query gets its own, cloned from a template that was
//! prepared once, with nothing in it but the tables the query names. No session is ever shared
//! between callers, so nothing one caller does can be seen by another.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::TableReference;
use datafusion::common::config::SpillCompression;
use datafusion::execution::context::{SQLOptions, SessionState};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry as _, SessionStateBuilder};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{LogicalPlan, Signature, Volatility};
use datafusion::prelude::SessionConfig;
use quick_cache::sync::Cache;

use super::classify::classify;
use super::functions::{self, Bounding, Budget};
use super::hot::{FromMemory, HotColumns};
use super::in_order::KeepOrder;
use super::literals::LiteralSizes;
use super::plain_output::PlainOutput;
use super::runtime::EngineConfig;
use super::session_value::SessionValue;
use super::system;
use super::window_memory::WindowMemory;
use super::yielding::Yielding;
use crate::clock::Timestamp;
use crate::error::Result;

const CATALOG: &str = "shirabe";
const SCHEMA: &str = "datasets";

/// Time zones for which a session is kept.
const PLANNERS_MAX: usize = 32;

/// Makes sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    template: SessionState,
    /// What turns a plan that was kept into operators, by time zone. It knows no tables and no time: such a plan holds
    /// its own and asks for none.
    planners: Cache<String, Arc<SessionState>>,
}

impl Sessions {
    /// Prepares the template: functions and optimiser rules are registered here, once.
    pub(super) fn new(
        config: &EngineConfig,
        runtime: Arc<RuntimeEnv>,
        hot: Option<&Arc<HotColumns>>,
    ) -> Self {
        let mut session = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false)
            .with_target_partitions(config.target_partitions.max(1))
            .with_batch_size(config.batch_rows.max(1));
        let options = session.options_mut();
        // Places in error messages.
        options.sql_parser.collect_spans = true;
        options.execution.parquet.enable_page_index = true;
        options.execution.parquet.bloom_filter_on_read = true;
        // Every sort keeps this much for merging what it spilled, which must not be all that a query has.
        let for_merging = &mut options.execution.sort_spill_reservation_bytes;
        *for_merging =
            (*for_merging).min(config.memory_per_query_bytes_max.min(config.memory_bytes_max) / 16);
        // Rows that wait on disk take half the space, and the limit on it lasts twice as long.
        options.execution.spill_compression = SpillCompression::Lz4Frame;
        options.execution.time_zone = Some(config.time_zone.clone());
        let builder = SessionStateBuilder::new()
            .with_config(session)
            .with_runtime_env(runtime)
            .with_expr_planners(functions::planners())
            .with_scalar_functions(functions::scalar())
            .with_aggregate_functions(functions::aggregate())
            .with_window_functions(functions::window())
            .with_table_function_list(functions::table())
            .with_analyzer_rule(Arc::new(Bounding))
            .with_physical_optimizer_rule(Arc::new(LiteralSizes))
            .with_physical_optimizer_rule(Arc::new(WindowMemory))
            .with_physical_optimizer_rule(Arc::new(KeepOrder))
            .with_analyzer_rule(Arc::new(PlainOutput));
        let builder = match hot {
            Some(hot) => builder.with_physical_optimizer_rule(Arc::new(FromMemory(Arc::clone(hot)))),
            None => builder,
        };
        let template = builder.with_physical_optimizer_rule(Arc::new(Yielding)).build();
        Self { template, planners: Cache::new(PLANNERS_MAX) }
    }

    /// A session without tables and without a time. What a query's functions make is counted in its session, so
    /// only plans that call none share one.
    pub(super) fn planner(&self, time_zone: &str, calls_functions: bool) -> Result<Arc<SessionState>> {
        let shared = self.planners.get_or_insert_with(time_zone, || -> Result<_> {
            let mut state = self.open(None, [])?;
            set_time_zone(&mut state, time_zone)?;
            Ok(Arc::new(state))
        })?;
        if !calls_functions {
            return Ok(shared);
        }
        let mut own = shared.as_ref().clone();
        own.config_mut().options_mut().extensions.insert(SessionValue(Budget::default()));
        own.execution_props_mut().config_options = Some(Arc::clone(own.config_options()));
        Ok(Arc::new(own))
    }

    /// Whether a call of `function` can differ from one time to the next. One that is not known may.
    pub(super) fn is_volatile(&self, function: &str) -> bool {
        let volatility = |signature: &Signature| signature.volatility;
        let found = [
            self.template.scalar_functions().get(function).map(|function| volatility(function.signature())),
            self.template
                .aggregate_functions()
                .get(function)
                .map(|function| volatility(function.signature())),
            self.template.window_functions().get(function).map(|function| volatility(function.signature())),
            self.template.table_functions().get(function).map(|_| Volatility::Immutable),
        ];
        let mut found = found.into_iter().flatten().peekable();
        found.peek().is_none() || found.any(|volatility| volatility != Volatility::Immutable)
    }

    /// A session that can see `tables` and nothing else, in which it is `now`.
    pub(super) fn open(
        &self,
        now: Option<Timestamp>,
        tables: impl IntoIterator<Item = (TableReference, Arc<dyn TableProvider>)>,
    ) -> Result<SessionState> {
        let (datasets, system) = (MemorySchemaProvider::new(), MemorySchemaProvider::new());
        for (name, table) in tables {
            let schema = if name.schema().is_some() { &system } else { &datasets };
            schema.register_table(name.table().to_owned(), table).map_err(classify)?;
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(datasets)).map_err(classify)?;
        catalog.register_schema(system::SCHEMA, Arc::new(system)).map_err(classify)?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));

        let mut state = self.template.clone();
        state.register_catalog_list(Arc::new(catalogs));
        state.config_mut().options_mut().extensions.insert(SessionValue(Budget::default()));
        let mut props = ExecutionProps::new();
        props.query_execution_start_time = now.and_then(Timestamp::to_utc);
        props.config_options = Some(Arc::clone(state.config_options()));
        *state.execution_props_mut() = props;
        Ok(state)
    }
}

/// Sets the zone of timestamps that have none, for the rest of the session.
///
/// # Errors
/// `Internal` when a function cannot be replaced by itself.
pub(super) fn set_time_zone(state: &mut SessionState, time_zone: &str) -> Result<()> {
    if state.config_options().execution.time_zone.as_deref() == Some(time_zone) {
        return Ok(());
    }
    state.config_mut().options_mut().execution.time_zone = Some(time_zone.to_owned());
    let options = Arc::clone(state.config_options());
    // Some functions, such as `now`, took the zone over when they were registered.
    let renewed: Vec<_> = state
        .scalar_functions()
        .values()
        .filter_map(|function| function.inner().with_updated_config(&options))
        .collect();
    for function in renewed {
        state.register_udf(Arc::new(function)).map_err(classify)?;
    }
    state.execution_props_mut().config_options = Some(options);
    Ok(())
}

/// Finds out the types of all that is in a plan.
///
/// # Errors
/// What does not fit together.
pub(super) fn analyse(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| ()).map_err(classify)
}

/// Refuses plans that would do anything but read.
pub(super) fn check_read_only(plan: &LogicalPlan) -> Result<()> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|error| crate::error::Error::NotSupported(error.strip_backtrace()))
}
