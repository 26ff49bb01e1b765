//! Makes every query give way in time, wherever its rows come from.
//!
//! Why: a task that never waits cannot be stopped. DataFusion lets scans give way after so many batches, 128 of them:
//! with a filter that works for 5 ms on each, that is more than half a second in which a cancel goes unseen. And a cross
//! join reads its inputs once and then makes rows for hours without touching them, so its deadline passes unseen and
//! its thread is lost to everybody else.
//!
//! ```text
//!  CrossJoin                     Yield
//!    Scan              ⇒           CrossJoin        a stream that has run for long enough
//!    Aggregate                       Yield          says "not yet" once, and asks to be polled again
//!      Scan                            Scan
//!                                    Aggregate
//!                                      Yield
//!                                        Scan
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics};
use futures::{Stream, StreamExt as _};

/// The longest that a stream goes on, give or take one batch: a small part of the time in which a cancel is expected to
/// work, and a thousand times what giving way costs.
const TURN: Duration = Duration::from_millis(5);

/// Operators that can make many batches out of one.
const MULTIPLYING: [&str; 7] = [
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "RecursiveQueryExec",
    "SortMergeJoinExec",
    "UnnestExec",
];

/// Puts an operator that gives way above each of them, and above each source of rows.
#[derive(Debug, Default)]
pub(super) struct Yielding;

impl PhysicalOptimizerRule for Yielding {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !node.children().is_empty() && !MULTIPLYING.contains(&node.name()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(YieldExec::new(node)) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "yielding"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Passes its input on, and gives way in between.
#[derive(Debug)]
struct YieldExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl YieldExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::clone(input.properties());
        Self { properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)), input }
    }
}

impl DisplayAs for YieldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for YieldExec {
    fn name(&self) -> &'static str {
        "YieldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Yield { input, since: None }))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }
}

struct Yield {
    input: SendableRecordBatchStream,
    /// When it went on after it had last waited.
    since: Option<Instant>,
}

impl Stream for Yield {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > TURN {
            self.since = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.input.poll_next_unpin(cx);
        if polled.is_pending() {
            self.since = None;
        }
        polled
    }
}

impl RecordBatchStream for Yield {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

    use super::*;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each batch is there at once, and takes its time to make.
    fn busy() -> SendableRecordBatchStream {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::new_empty(Arc::clone(&schema));
        let batches = futures::stream::repeat_with(move || {
            let started = Instant::now();
            while started.elapsed() < TURN / 2 {}
            Ok(batch.clone())
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }

    #[test]
    fn a_stream_that_is_always_ready_gives_way_and_goes_on() {
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let mut cx = Context::from_waker(&waker);
        let mut stream = Yield { input: busy(), since: None };
        let mut turns = Vec::new();
        for _ in 0..3 {
            let mut batches = 0;
            while stream.poll_next_unpin(&mut cx).is_ready() {
                batches += 1;
            }
            turns.push(batches);
        }
        assert!(turns.iter().all(|batches| (1..=3).contains(batches)), "{turns:?}");
        assert_eq!(woken.0.load(Ordering::Relaxed), 3, "whoever gives way asks to be polled again");
    }
}
