//! Counts what windows hold in the memory that queries share.
//!
//! Why: a window whose frame has no end keeps its whole input, and DataFusion counts none of it: `sum(x) OVER ()`
//! over a table that is larger than memory ends the process. Counted, it is an error of that one query.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt as _;

const WINDOWS: [&str; 2] = ["BoundedWindowAggExec", "WindowAggExec"];

/// Results are made value by value before they are a column.
const VALUE_BYTES: usize = 64;

/// Puts a counter around each window.
#[derive(Debug, Default)]
pub(super) struct WindowMemory;

impl PhysicalOptimizerRule for WindowMemory {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !WINDOWS.contains(&node.name()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(Counted { window: node }) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "window_memory"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A window, between two counters: what goes in, and what comes out.
#[derive(Debug)]
struct Counted {
    window: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WindowMemoryExec")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &'static str {
        "WindowMemoryExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.window.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.window]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
        match children.pop() {
            Some(window) => Ok(Arc::new(Self { window })),
            None => Ok(self),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("Window[{partition}]"));
        let held = Arc::new(Held {
            reservation: consumer.register(context.memory_pool()),
            results: self
                .schema()
                .fields()
                .len()
                .saturating_sub(self.window.children()[0].schema().fields().len()),
            now: Mutex::default(),
        });
        let children = self.window.children().into_iter();
        let counted =
            children.map(|input| Arc::new(Input { input: Arc::clone(input), held: Arc::clone(&held) }) as _);
        let same = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        let window = Arc::clone(&self.window).replace_children(counted.collect(), same)?;
        let output = window.execute(partition, context)?;
        counted_stream(self.schema(), output, move |batch| {
            held.give_back(batch.num_rows());
            Ok(())
        })
    }
}

/// The input of a window, counted as it goes in.
#[derive(Debug)]
struct Input {
    input: Arc<dyn ExecutionPlan>,
    held: Arc<Held>,
}

impl DisplayAs for Input {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WindowInputExec")
    }
}

impl ExecutionPlan for Input {
    fn name(&self) -> &'static str {
        "WindowInputExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        match children.pop() {
            Some(input) => Ok(Arc::new(Self { input, held: Arc::clone(&self.held) })),
            None => Ok(self),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = Arc::clone(&self.held);
        counted_stream(self.schema(), self.input.execute(partition, context)?, move |batch| held.take(batch))
    }
}

fn counted_stream(
    schema: SchemaRef,
    batches: SendableRecordBatchStream,
    count: impl Fn(&RecordBatch) -> Result<()> + Send + 'static,
) -> Result<SendableRecordBatchStream> {
    let counted = batches.and_then(move |batch| std::future::ready(count(&batch).map(|()| batch)));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
}

/// What one window holds.
#[derive(Debug)]
struct Held {
    reservation: MemoryReservation,
    /// Columns that the window adds.
    results: usize,
    /// A std mutex: nothing is awaited while it is held.
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    rows: usize,
    bytes: usize,
}

impl Held {
    fn take(&self, batch: &RecordBatch) -> Result<()> {
        // A window copies what it holds into one batch before it computes.
        let bytes = 2 * get_record_batch_memory_size(batch) + batch.num_rows() * self.results * VALUE_BYTES;
        self.reservation.try_grow(bytes)?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.rows += batch.num_rows();
        now.bytes += bytes;
        Ok(())
    }

    fn give_back(&self, rows: usize) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let share = if rows >= now.rows { now.bytes } else { now.bytes / now.rows * rows };
        now.rows = now.rows.saturating_sub(rows);
        now.bytes -= share;
        self.reservation.shrink(share);
    }
}
