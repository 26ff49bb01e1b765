//! The work of a query: planned, started and read to its end by a task on threads of its own, which hands batches
//! over as they are asked for.
//!
//! Why apart: operators keep a processor busy for milliseconds at a time, and a thread that does so answers nobody
//! meanwhile. With threads of their own, a cached answer takes a millisecond while heavy queries run.

use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::context::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::admission::Slot;
use super::classify::classify;
use super::planners::Planners;
use super::resources::Resources;
use super::running::Live;
use super::scan_budget::ScanBudget;
use super::sort::{self, Batches};
use super::stream::Deadline;
use super::wanted::Waits;
use crate::error::{Error, Result};
use crate::tasks::Workers;

/// Batches that are made before anybody asks for them. With them one thread makes rows while another one writes
/// the last ones.
const BATCHES_AHEAD: usize = 2;

/// A query whose work has begun.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) schema: SchemaRef,
    batches: mpsc::Receiver<Event>,
    deadline: Deadline,
    /// Ends the work when it is dropped: where it gives way, or where it asks for more.
    _work: AbortOnDropHandle<()>,
    _waits: Option<Waits>,
}

#[derive(Debug)]
enum Event {
    Batch(RecordBatch),
    Failed(Error),
    /// Said aloud, so that work which ended in a panic is not taken for a complete result.
    End,
}

impl Started {
    /// The next batch.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        self.batches.poll_recv(cx).map(|event| match event {
            Some(Event::Batch(batch)) => Some(Ok(batch)),
            Some(Event::Failed(error)) => Some(Err(error)),
            Some(Event::End) => None,
            // The timer of the reader is coarser than the one of the work, and may not have rung yet.
            None if self.deadline.is_over() => Some(Err(self.deadline.passed())),
            None => Some(Err(Error::internal("the work of a query ended without saying how"))),
        })
    }
}

/// A plan, and what its session was set to.
pub(super) struct Plan {
    pub(super) state: Arc<SessionState>,
    pub(super) plan: LogicalPlan,
    /// It is optimised already, with its limit of rows in it.
    pub(super) optimised: bool,
    pub(super) budget: Option<ScanBudget>,
}

impl Plan {
    /// One that was just made.
    pub(super) fn new((state, plan): (SessionState, LogicalPlan), budget: Option<ScanBudget>) -> Self {
        Self { state: Arc::new(state), plan, optimised: false, budget }
    }
}

/// What is to be done.
pub(super) struct Work {
    pub(super) plan: BoxFuture<'static, Result<Plan>>,
    /// Rows that are wanted; one more is asked for, so that the stream knows whether there were more.
    pub(super) rows: Option<u64>,
    pub(super) resources: Resources,
    pub(super) live: Arc<Live>,
    pub(super) deadline: Deadline,
    /// Given back when the work has really ended.
    pub(super) slot: Slot,
}

/// Has it planned by `planners`, starts it on `workers`, and waits until it is planned.
pub(super) async fn start(workers: &Workers, planners: Arc<Planners>, work: Work) -> Result<Started> {
    let (started, planned) = oneshot::channel();
    let (send, batches) = mpsc::channel(BATCHES_AHEAD);
    // A reader that stands still does not look at its deadline, and must not keep the slot for ever.
    let deadline = work.deadline;
    let waits = work.resources.wanted().by();
    let task = workers.spawn(async move { deadline.cut(run(&planners, work, started, send)).await });
    let unsaid = |_| match deadline.is_over() {
        true => deadline.passed(),
        false => Error::internal("the planning of a query ended without saying how"),
    };
    let schema = planned.await.map_err(unsaid)??;
    Ok(Started { schema, batches, deadline, _work: task, _waits: Some(waits) })
}

/// Passes on what a query makes elsewhere.
pub(super) fn pass_on(
    workers: &Workers,
    schema: SchemaRef,
    mut rows: Batches,
    deadline: Deadline,
    slot: Slot,
) -> Started {
    let (send, batches) = mpsc::channel(BATCHES_AHEAD);
    let passing = async move {
        let _slot = slot;
        loop {
            let (event, ended) = match rows.next().await {
                Some(Ok(batch)) => (Event::Batch(batch), false),
                Some(Err(error)) => (Event::Failed(error), true),
                None => (Event::End, true),
            };
            if send.send(event).await.is_err() || ended {
                return;
            }
        }
    };
    let task = workers.spawn(async move { deadline.cut(passing).await });
    Started { schema, batches, deadline, _work: task, _waits: None }
}

/// What operators are told of the session. They hold the functions they call; the lists of all functions, which cost
/// more to copy than a small query to run, are for plans that come as text.
pub(super) fn context(state: &SessionState, resources: &Resources) -> TaskContext {
    let session = state.session_id().to_owned();
    let config = state.config().clone();
    let (scalar, higher, aggregate, window) = Default::default();
    TaskContext::new(None, session, config, scalar, higher, aggregate, window, resources.runtime())
}

async fn run(
    planners: &Planners,
    work: Work,
    started: oneshot::Sender<Result<SchemaRef>>,
    batches: mpsc::Sender<Event>,
) {
    let Work { plan, rows, resources, live, deadline: _, slot: _slot } = work;
    let begun = planners.run(async move {
        let mut plan = plan.await?;
        if !plan.optimised {
            plan.plan = with_limit(plan.plan, rows).map_err(classify)?;
        }
        let Plan { state, plan, optimised, budget } = plan;
        let task = Task { plan, optimised, state, resources, live, budget };
        let begun = task.begin(&task.state).await.map_err(classify)?;
        Ok((task, begun))
    });
    let (task, Begun { plan, source }) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            // Nobody listens when the query was cancelled; then nobody misses the error.
            drop(started.send(Err(error)));
            return;
        }
    };
    if started.send(Ok(source.schema())).is_err() {
        return;
    }
    let outcome = match hand_over(source, &batches).await {
        Err(failed) if failed.may_go_otherwise(plan.as_ref()) => {
            drop(plan);
            task.again(planners, &batches).await
        }
        other => other,
    };
    let event = outcome.map_or_else(|failed| Event::Failed(classify(failed.error)), |()| Event::End);
    drop(batches.send(event).await);
}

/// Asks for one row more than is handed out, so that the stream knows whether there were more, and operators can
/// stop early.
pub(super) fn with_limit(plan: LogicalPlan, rows: Option<u64>) -> PlanResult<LogicalPlan> {
    match rows.and_then(|rows| usize::try_from(rows).ok()?.checked_add(1)) {
        Some(fetch) if !matches!(plan, LogicalPlan::Explain(_)) => {
            LogicalPlanBuilder::from(plan).limit(0, Some(fetch))?.build()
        }
        _ => Ok(plan),
    }
}

/// A query with its plan.
struct Task {
    state: Arc<SessionState>,
    plan: LogicalPlan,
    optimised: bool,
    resources: Resources,
    live: Arc<Live>,
    budget: Option<ScanBudget>,
}

/// A plan whose operators run.
struct Begun {
    plan: Arc<dyn ExecutionPlan>,
    source: SendableRecordBatchStream,
}

impl Task {
    /// Optimises the plan as the settings of `state` say, and starts it.
    async fn begin(&self, state: &SessionState) -> PlanResult<Begun> {
        let plan = if self.optimised {
            state.query_planner().create_physical_plan(&self.plan, state).await?
        } else {
            state.create_physical_plan(&self.plan).await?
        };
        if let Some(budget) = &self.budget {
            let checked = budget.check(&plan, state.runtime_env()).await;
            checked.map_err(|error| DataFusionError::External(Box::new(error)))?;
        }
        self.live.planned(Arc::clone(&plan));
        let source = execute_stream(Arc::clone(&plan), Arc::new(context(state, &self.resources)))?;
        Ok(Begun { plan, source })
    }

    /// A hash join holds one of its sides in memory. One that sorts both can spill them: slower, but it comes to an
    /// end.
    async fn again(self, planners: &Planners, batches: &mpsc::Sender<Event>) -> Result<(), Failed> {
        self.live.retried();
        let mut state = self.state.as_ref().clone();
        let rows = state.config().batch_size().min(sort::BATCH_ROWS);
        // Merging holds two batches of each run.
        *state.config_mut() = state.config().clone().with_batch_size(rows);
        let options = state.config_mut().options_mut();
        options.optimizer.prefer_hash_join = false;
        // Each sort keeps memory for its merge; many side by side would have too little to spill in good pieces.
        // With one part the planner knows no other join than by hash.
        options.execution.target_partitions = 2;
        let begun = planners.run(async move {
            let begun = self.begin(&state).await.map_err(classify)?;
            Ok((self, begun))
        });
        let unplanned = |error| Failed { error: DataFusionError::External(Box::new(error)), sent: false };
        let (_task, Begun { source, .. }) = begun.await.map_err(unplanned)?;
        hand_over(source, batches).await
    }
}

/// Why rows ended too early.
struct Failed {
    error: DataFusionError,
    /// Whether rows had been handed over before.
    sent: bool,
}

async fn hand_over(
    mut source: SendableRecordBatchStream,
    batches: &mpsc::Sender<Event>,
) -> Result<(), Failed> {
    let mut sent = false;
    while let Some(batch) = source.next().await {
        let batch = batch.map_err(|error| Failed { error, sent })?;
        sent |= batch.num_rows() > 0;
        if batches.send(Event::Batch(batch)).await.is_err() {
            // The reader has gone; what is left is of no use to anybody.
            break;
        }
    }
    Ok(())
}

impl Failed {
    /// Whether another plan may come to an end, and nobody has seen a row of this one.
    fn may_go_otherwise(&self, plan: &dyn ExecutionPlan) -> bool {
        let short_of_memory = matches!(self.error.find_root(), DataFusionError::ResourcesExhausted(_));
        short_of_memory && !self.sent && joins_by_hash(plan)
    }
}

fn joins_by_hash(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(|child| joins_by_hash(child.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::super::planners::Busy;
    use super::super::testing::{Fixture, spec};
    use super::*;

    /// Planning does not give way, so it must not happen on the threads of queries, the second time either.
    #[tokio::test]
    async fn the_second_run_is_planned_by_planners() {
        let fixture = Fixture::new().await;
        let engine = &fixture.engine.0;
        let asked = spec(&fixture, "select t.id from trips t join trips u on t.id = u.id");
        let (state, plan) = fixture.engine.plan(&asked).await.unwrap();
        let run = engine.running.begin(asked.about()).unwrap();
        let live = Arc::clone(run.live());
        let resources = engine.pools.share(live.peak()).unwrap();
        let task = Task { state: Arc::new(state), plan, optimised: false, resources, live, budget: None };

        let busy = Busy::all(&engine.planners).await;
        let (send, mut batches) = mpsc::channel(64);
        let mut again = Box::pin(task.again(&engine.planners, &send));
        tokio::select! {
            biased;
            _ = &mut again => panic!("it was planned by somebody else"),
            () = busy.one_waits() => {}
        }
        drop(busy);
        again.await.map_err(|failed| failed.error).unwrap();
        drop(send);
        let mut rows = 0;
        while let Some(Event::Batch(batch)) = batches.recv().await {
            rows += batch.num_rows();
        }
        assert_eq!(rows, 10);
    }
}
