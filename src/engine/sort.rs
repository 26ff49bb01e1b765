//! Sorting more rows than fit into memory: imports order their files by it. It uses the pool and the
//! spill space that queries use, so that a big import cannot take memory nobody counted.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan as _, Partitioning};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::classify::classify;
use crate::error::{Error, Result};

/// What `ORDER BY` means when nothing else is said, so that a query can use the order of the files.
pub(super) const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Rows of a batch while it is sorted. Merging holds two batches of each run, so small ones let it merge all runs of a
/// large import at once; with those of queries it would have to write most rows a second time.
pub(super) const BATCH_ROWS: usize = 2048;

/// Batches as they come and go.
pub type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Sorts `input` by `columns`, ascending, NULL last.
///
/// # Errors
/// `Invalid` when a column is not in the schema. The stream fails with what the input failed with, or
/// with `OverLimit` when the spill space is used up.
pub(super) fn sort(
    context: Arc<TaskContext>,
    schema: SchemaRef,
    input: Batches,
    columns: &[String],
) -> Result<Batches> {
    let order = columns
        .iter()
        .map(|name| {
            let column = Column::new_with_schema(name, &schema)
                .map_err(|_| Error::invalid(format!("there is no column `{name}` to sort by")))?;
            Ok(PhysicalSortExpr::new(Arc::new(column), ASCENDING))
        })
        .collect::<Result<Vec<_>>>()?;
    let Some(order) = LexOrdering::new(order) else { return Ok(input) };
    let source = Once { schema: Arc::clone(&schema), input: Mutex::new(Some(input)) };
    let source = StreamingTableExec::try_new(schema, vec![Arc::new(source)], None, [], false, None)
        .map_err(classify)?;
    // Several sorts beside each other: while one sorts what it holds, or spills it, the input goes on.
    let parts = Partitioning::RoundRobinBatch(sorts(&context));
    let parted = RepartitionExec::try_new(Arc::new(source), parts).map_err(classify)?;
    let sorted = SortExec::new(order.clone(), Arc::new(parted)).with_preserve_partitioning(true);
    let merged = SortPreservingMergeExec::new(order, Arc::new(sorted));
    let sorted = merged.execute(0, context).map_err(classify)?;
    Ok(sorted.map(|batch| batch.map_err(classify)).boxed())
}

/// How many sorts the memory there is suffices for. Each merges what it spilled with what it holds, and with
/// less memory than this it would merge many times over.
fn sorts(context: &TaskContext) -> usize {
    const BYTES_PER_SORT: usize = 128 << 20;
    let wanted = context.session_config().target_partitions();
    match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(bytes) => wanted.min(bytes / BYTES_PER_SORT).max(1),
        MemoryLimit::Infinite | MemoryLimit::Unknown => wanted,
    }
}

/// A stream as a source of a plan that is executed once.
struct Once {
    schema: SchemaRef,
    input: Mutex<Option<Batches>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let batches = match input {
            Some(input) => {
                input.map(|batch| batch.map_err(|e| DataFusionError::External(Box::new(e)))).boxed()
            }
            None => futures::stream::iter([Err(DataFusionError::Internal("read twice".to_owned()))]).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
