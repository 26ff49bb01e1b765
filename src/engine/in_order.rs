//! Rows in the order in which a version stores them, read by as many threads as if the order did not matter.
//!
//! Why: whoever gets rows to work through, a script above all, expects to get the same twice. Parts of a scan that are read
//! side by side end in an order of their own each time.
//!
//! ```text
//!  Filter                        InOrder            part 0 is passed on, part 1 is read ahead meanwhile
//!    Scan: 2 parts, by size  ⇒     Filter
//!                                    Scan: a part for some 250,000 rows, in the order of the files
//! ```
//!
//! Only plans that take one row after the other are changed: one that joins or groups has no order to keep.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::config::ConfigOptions;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{EmissionType, SchedulingType};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::reader::Written;
use super::session_value::{OfSession, SessionValue};

/// Rows of a part: those of a row group as imports write it, which is what a scan reads at once.
const PART_ROWS: u64 = 256 << 10;
/// Parts of a plan; with more rows, parts are larger.
const PARTS_MAX: u64 = 1024;
/// Rows of a batch where nothing is made of them: handing a batch from thread to thread takes as long for many as for few.
/// What functions make of a batch is bounded for those of the session's size.
const BATCH_ROWS: usize = 32 << 10;
/// Rows that are read ahead of their turn are kept up to this size, for each part.
const AHEAD_BYTES: usize = 64 << 20;
/// Batches of the part whose turn it is that wait to be taken.
const BATCHES_AHEAD: usize = 2;

/// In the options of a session: its rows are wanted in order.
#[derive(Debug, Clone)]
pub(super) struct InOrder;

impl OfSession for InOrder {
    const NAME: &'static str = "shirabe_in_order";
}

/// Puts the parts of a scan in order, where the session wants it.
#[derive(Debug, Default)]
pub(super) struct KeepOrder;

impl PhysicalOptimizerRule for KeepOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if options.extensions.get::<SessionValue<InOrder>>().is_none() {
            return Ok(plan);
        }
        let in_order = arranged(&plan, true)?;
        Ok(in_order.map_or(plan, |in_order| as_one_part(in_order, None)))
    }

    fn name(&self) -> &'static str {
        "keep_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `plan` over parts that are in order; none when it does more than to take one row after the other. What was one part is
/// one afterwards, for what lies above may need that. `is_all` says that nothing is done with its rows afterwards.
fn arranged(plan: &Arc<dyn ExecutionPlan>, is_all: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let input = match plan.children()[..] {
        [] => {
            let scan = scan_in_order(plan, is_all);
            return Ok(scan.map(|scan| if parts(plan) == 1 { as_one_part(scan, plan.fetch()) } else { scan }));
        }
        [input] if plan.maintains_input_order() == [true] && !plan.is::<RepartitionExec>() => input,
        [input] if plan.is::<CoalescePartitionsExec>() => {
            let input = arranged(input, is_all)?;
            return Ok(input.map(|input| as_one_part(input, plan.fetch())));
        }
        _ => return Ok(None),
    };
    let Some(input) = arranged(input, false)? else { return Ok(None) };
    let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(vec![input], anew).map(Some)
}

fn parts(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.properties().output_partitioning().partition_count()
}

/// The parts of `plan` one after the other, and of all their rows the first `fetch`.
fn as_one_part(plan: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
    let in_order = if parts(&plan) > 1 { Arc::new(InOrderExec::new(plan)) } else { plan };
    match fetch {
        Some(fetch) => Arc::new(GlobalLimitExec::new(in_order, 0, Some(fetch))),
        None => in_order,
    }
}

/// A scan of files that we wrote, each part of them a group by itself.
fn scan_in_order(plan: &Arc<dyn ExecutionPlan>, is_all: bool) -> Option<Arc<dyn ExecutionPlan>> {
    let scan = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    let is_plain = is_all
        && scan.file_source().filter().is_none()
        && scan
            .file_source()
            .projection()
            .is_none_or(|projection| projection.iter().all(|made| made.expr.is::<Column>()));
    // One may be in several parts already.
    let mut files: BTreeMap<usize, &PartitionedFile> = BTreeMap::new();
    for file in scan.file_groups.iter().flat_map(FileGroup::iter) {
        files.insert(file.extension::<Written>()?.index(), file);
    }
    let rows = |file: &PartitionedFile| file.extension::<Written>().map_or(0, |file| file.file().row_count);
    let all_rows: u64 = files.values().map(|file| rows(file)).sum();
    let part_rows = PART_ROWS.max(all_rows.div_ceil(PARTS_MAX));
    let parts = files.into_values().flat_map(|file| {
        let (bytes, count) = (file.object_meta.size, rows(file).div_ceil(part_rows).max(1));
        let place = move |part: u64| i64::try_from(u128::from(bytes) * u128::from(part) / u128::from(count));
        (0..count).filter_map(move |part| {
            let mut file = file.clone();
            file.range = None;
            Some(match count {
                1 => file,
                _ => file.with_range(place(part).ok()?, place(part + 1).ok()?),
            })
        })
    });
    let groups = parts.map(|part| FileGroup::new(vec![part])).collect();
    let scan = FileScanConfigBuilder::from(scan.clone())
        .with_file_groups(groups)
        .with_batch_size(if is_plain { Some(BATCH_ROWS) } else { scan.batch_size })
        // It would be claimed of each part.
        .with_output_ordering(Vec::new())
        .with_preserve_order(true)
        .build();
    Some(DataSourceExec::from_data_source(scan))
}

/// Passes the parts of its input on, one after the other.
#[derive(Debug)]
struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            input.properties().boundedness,
        );
        Self { properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)), input }
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self::new(input)))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let parts = parts(&self.input);
        let side_by_side = context.session_config().target_partitions().max(1);
        let input = Arc::clone(&self.input);
        let reader = Reader { input, context, next: 0, parts, side_by_side, begun: VecDeque::new() };
        let parts = futures::stream::try_unfold(reader, |mut reader| async move {
            let part = reader.next_part()?;
            Ok::<_, DataFusionError>(part.map(|part| (part.batches(), reader)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), parts.try_flatten())))
    }
}

/// Begins parts, so that some are always being read.
struct Reader {
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    next: usize,
    parts: usize,
    side_by_side: usize,
    begun: VecDeque<Part>,
}

impl Reader {
    fn next_part(&mut self) -> Result<Option<Part>> {
        while self.begun.len() < self.side_by_side && self.next < self.parts {
            let batches = self.input.execute(self.next, Arc::clone(&self.context))?;
            let consumer = MemoryConsumer::new("rows read ahead of their turn");
            let memory = consumer.register(self.context.memory_pool());
            let (turn, its_turn) = oneshot::channel();
            let (send, receive) = mpsc::channel(BATCHES_AHEAD);
            let task = SpawnedTask::spawn(read(batches, memory, its_turn, send));
            self.begun.push_back(Part { turn, receive, task });
            self.next += 1;
        }
        Ok(self.begun.pop_front())
    }
}

/// A part that is being read.
struct Part {
    turn: oneshot::Sender<()>,
    receive: mpsc::Receiver<Result<RecordBatch>>,
    /// Ends with this.
    task: SpawnedTask<()>,
}

impl Part {
    /// Its batches: it is its turn.
    fn batches(self) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
        let Self { turn, receive, task } = self;
        // It has ended, and what it sent is there.
        let _ = turn.send(());
        let batches =
            futures::stream::unfold(
                receive,
                |mut receive| async move { Some((receive.recv().await?, receive)) },
            );
        let end = futures::stream::once(async move {
            let ended = task.join().await;
            ended.map_err(|cause| DataFusionError::ExecutionJoin(Box::new(cause)))
        });
        batches.chain(end.filter_map(|end| std::future::ready(end.err().map(Err))))
    }
}

/// Reads ahead as far as there is memory, and passes all on when it is its turn.
async fn read(
    mut batches: SendableRecordBatchStream,
    memory: MemoryReservation,
    mut turn: oneshot::Receiver<()>,
    send: mpsc::Sender<Result<RecordBatch>>,
) {
    let mut ahead = VecDeque::new();
    let mut has_more = true;
    let mut has_room = true;
    loop {
        tokio::select! {
            biased;
            told = &mut turn => match told {
                Ok(()) => break,
                // Nobody wants it any more.
                Err(_) => return,
            },
            batch = batches.next(), if has_more && has_room => match batch {
                Some(batch) => {
                    let bytes = batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
                    has_room = memory.size() + bytes <= AHEAD_BYTES && memory.try_grow(bytes).is_ok();
                    has_more = batch.is_ok();
                    ahead.push_back((batch, if has_room { bytes } else { 0 }));
                }
                None => has_more = false,
            },
        }
    }
    for (batch, bytes) in ahead {
        if send.send(batch).await.is_err() {
            return;
        }
        memory.shrink(bytes);
    }
    while has_more && let Some(batch) = batches.next().await {
        has_more = batch.is_ok();
        if send.send(batch).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray as _, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionConfig;

    use super::super::testing::{Fixture, spec, trips};
    use super::super::{EngineConfig, QuerySpec};
    use super::*;

    async fn fixture() -> Fixture {
        let files = (0..5).map(|file| trips(file * 20_000..(file + 1) * 20_000)).collect();
        Fixture::with_files(files, None).await
    }

    async fn ids(fixture: &Fixture, statement: &str) -> Vec<i64> {
        let spec = QuerySpec { in_order: true, ..spec(fixture, statement) };
        let batches: Vec<_> = fixture.engine.run(spec).await.unwrap().try_collect().await.unwrap();
        let ids = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        batches.iter().flat_map(ids).collect()
    }

    async fn plan(fixture: &Fixture, statement: &str) -> String {
        let spec = QuerySpec { in_order: true, ..spec(fixture, statement) };
        let (state, plan) = fixture.engine.plan(&spec).await.unwrap();
        let plan = state.create_physical_plan(&plan).await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_come_as_they_are_stored() {
        let fixture = fixture().await;
        for _ in 0..3 {
            let all = ids(&fixture, "select id, city from trips").await;
            assert_eq!(all, (0..100_000).collect::<Vec<_>>());
            let some = ids(&fixture, "select id from trips where id % 3 = 1 and fare >= 0").await;
            assert_eq!(some, (0..100_000).filter(|id| id % 3 == 1).collect::<Vec<_>>());
            let first = ids(&fixture, "select id from trips where id >= 30000 limit 30000").await;
            assert_eq!(first, (30_000..60_000).collect::<Vec<_>>());
        }
        let plan = plan(&fixture, "select id, city from trips where id % 3 = 1").await;
        assert!(plan.starts_with("InOrderExec") && plan.contains("5 groups"), "{plan}");
    }

    /// What was one part becomes three, and what was two becomes one.
    #[tokio::test]
    async fn a_limit_holds_however_many_parts_there_were() {
        check(600_000, 1, "3 groups").await;
        check(600_000, 2, "3 groups").await;
        check(200_000, 2, "1 group").await;

        async fn check(rows: i64, side_by_side: usize, groups: &str) {
            let numbers = Int64Array::from_iter_values(0..rows);
            let file = RecordBatch::try_from_iter([("id", Arc::new(numbers) as _)]).unwrap();
            let change = |config: &mut EngineConfig| config.target_partitions = side_by_side;
            let fixture = Fixture::build(vec![file], None, change).await;
            let odd = "select id from trips where id % 2 = 1 limit 10";
            assert_eq!(ids(&fixture, odd).await, (1..21).step_by(2).collect::<Vec<_>>());
            let later = ids(&fixture, &format!("{odd} offset 3")).await;
            assert_eq!(later, (7..27).step_by(2).collect::<Vec<_>>());
            assert_eq!(ids(&fixture, "select id from trips limit 10").await, (0..10).collect::<Vec<_>>());
            let plan = plan(&fixture, odd).await;
            assert!(plan.contains(groups) && plan.contains("fetch=10"), "{plan}");
        }
    }

    #[tokio::test]
    async fn what_groups_or_joins_stays_as_it_is() {
        let fixture = fixture().await;
        for statement in [
            "select city, count(*) from trips group by city",
            "select t.id from trips t join trips u on t.id = u.id",
            "select id from trips where id in (select max(id) from trips)",
        ] {
            let plan = plan(&fixture, statement).await;
            assert!(!plan.contains("InOrderExec"), "{plan}");
        }
        let spec = spec(&fixture, "select id from trips");
        let (state, plan) = fixture.engine.plan(&spec).await.unwrap();
        let plan = state.create_physical_plan(&plan).await.unwrap();
        assert_ne!(plan.name(), "InOrderExec", "nobody wanted an order");
    }

    /// Parts of 100 batches each, of which few have room.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_finds_no_room_waits_for_its_turn() {
        let batch = |from: i64| {
            let rows = Int64Array::from_iter_values(from..from + 1000);
            RecordBatch::try_from_iter([("n", Arc::new(rows) as _)]).unwrap()
        };
        let parts: Vec<Vec<_>> =
            (0..4).map(|part| (0..100).map(|at| batch((part * 100 + at) * 1000)).collect()).collect();
        let schema = parts[0][0].schema();
        let input = MemorySourceConfig::try_new_exec(&parts, schema, None).unwrap();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100_000));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
        let config = SessionConfig::new().with_target_partitions(3);
        let context = TaskContext::default().with_session_config(config).with_runtime(runtime);
        let batches: Vec<_> =
            InOrderExec::new(input).execute(0, Arc::new(context)).unwrap().try_collect().await.unwrap();
        let numbers = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        assert!(numbers.copied().eq(0..400_000));
        assert_eq!(pool.reserved(), 0);
    }
}
