//! One execution, from the rights of its owner to the commit of a version.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::define::output_name;
use super::incremental::{self, HighWater};
use super::live::{Running, Stop};
use super::schedule::Held;
use super::{Transforms, params};
use crate::audit_log::Entry;
use crate::catalog::Manifest;
use crate::catalog::record::{AuditEvent, DatasetRecord, MadeBy};
use crate::catalog::transform::{
    CheckResult, ExecutionFailure, ExecutionRecord, ExecutionStatus, Language, ReadVersion, TransformRecord,
    Usage, WriteMode,
};
use crate::clock::Timestamp;
use crate::dataset::Caller;
use crate::dataset::made::{Made, Staged, has_many_small_files};
use crate::dataset::write::{Batches, Layout};
use crate::engine::{QuerySpec, SpecTable, TableRows};
use crate::error::{Code, Error, Result};
use crate::executor::Output;
use crate::ids::QueryId;
use crate::telemetry::TRANSFORMS;

/// How often the record of an execution gets what it has printed.
const TELLING: Duration = Duration::from_secs(10);

/// Lines that may wait to be shown.
const LINES_WAITING: usize = 1024;

/// What is known of an execution while it runs.
pub(super) struct Run<'a> {
    pub(super) record: &'a TransformRecord,
    caller: Caller,
    full_rebuild: bool,
    running: &'a Running,
    /// As the execution was started with.
    params: Value,
    scheduled_at: Timestamp,
    /// The statement, when it is one.
    query: Option<QueryId>,
    until: Instant,
    /// What the record of the execution tells in the end.
    pub(super) told: Told,
}

/// What came of an attempt.
#[derive(Debug, Default)]
pub(super) struct Told {
    inputs: Vec<ReadVersion>,
    pub(super) checks: Vec<CheckResult>,
    usage: Usage,
    violation: bool,
    /// This process ends.
    leaving: bool,
}

impl Run<'_> {
    pub(super) fn say(&self, line: &str) {
        self.running.print(&format!("[shirabe] {line}"));
    }

    fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }
}

impl Transforms {
    /// Runs an execution to its end, whatever that is. What it comes to stands in its record.
    pub(super) async fn run(
        &self,
        record: TransformRecord,
        execution: ExecutionRecord,
        full_rebuild: bool,
        running: &Running,
    ) {
        let held = self.leases().hold(execution.clone());
        let lost = held.lost();
        let mut telling = tokio::time::interval(TELLING);
        let outcome = {
            let mut attempts =
                std::pin::pin!(self.attempts(&record, &execution, &held, full_rebuild, running));
            loop {
                tokio::select! {
                    outcome = &mut attempts => break outcome,
                    why = running.stopped() => {
                        let told = Told { leaving: why == Stop::Leaving, ..Told::default() };
                        break Err((stopped(why), told));
                    }
                    () = lost.cancelled() => {
                        // Somebody else has it now, or has ended it: there is nothing to be said in its name.
                        running.print("[shirabe] the execution was taken away from this process");
                        return;
                    }
                    // Other processes show what it has printed so far. That the store does not take it ends nothing.
                    _ = telling.tick() => drop(held.update(|record| record.log = running.log()).await),
                }
            }
        };
        let ended = match outcome {
            Ok((caller, staged, told)) => self.publish(&record, &caller, staged, told, (held, running)).await,
            Err((error, told)) => Err((error, told, held)),
        };
        if let Err((error, told, held)) = ended {
            self.end_as_failed(held, error, told, running).await;
        }
        self.trim(&record).await;
    }

    /// Tries until it goes well, the reason is one that stays, or attempts have run out.
    async fn attempts(
        &self,
        record: &TransformRecord,
        execution: &ExecutionRecord,
        held: &Held,
        full_rebuild: bool,
        running: &Running,
    ) -> Result<(Caller, Staged, Told), (Error, Told)> {
        let retries = record.settings.retries;
        let timeout = record.settings.timeout_s.map_or(self.settings().timeout, Duration::from_secs);
        let mut backoff = Duration::from_secs(retries.backoff_s);
        let mut attempt = execution.attempt;
        loop {
            let outcome = self.attempt(record, execution, full_rebuild, running, timeout).await;
            let (error, told) = match outcome {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            if attempt > retries.max || !can_pass(&error) {
                return Err((error, told));
            }
            running.print(&format!(
                "[shirabe] attempt {attempt} failed: {error}; the next one in {} s",
                backoff.as_secs()
            ));
            attempt += 1;
            tokio::time::sleep(backoff).await;
            backoff *= 2;
            if let Err(error) = held.update(|record| record.attempt = attempt).await {
                return Err((error, told));
            }
        }
    }

    async fn attempt(
        &self,
        record: &TransformRecord,
        execution: &ExecutionRecord,
        full_rebuild: bool,
        running: &Running,
        timeout: Duration,
    ) -> Result<(Caller, Staged, Told), (Error, Told)> {
        let caller = match self.owner_of(record).await {
            Ok(principal) => Caller { principal, request_id: None },
            Err(error) => return Err((error, Told::default())),
        };
        let until = Instant::now() + timeout;
        let told = Told::default();
        let params = execution.params.clone();
        let scheduled_at = execution.scheduled_at.unwrap_or(execution.started_at);
        let mut run =
            Run { record, caller, full_rebuild, running, params, scheduled_at, query: None, until, told };
        let made_by = MadeBy {
            transform_id: record.id.clone(),
            execution_id: execution.id.clone(),
            inputs: Vec::new(),
        };
        let outcome = tokio::time::timeout_at(until, self.produce(&mut run, made_by)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Error::TimedOut(String::new())));
        match outcome {
            Ok(staged) => Ok((run.caller, staged, run.told)),
            Err(Error::TimedOut(_) | Error::ExecutionTimedOut(_)) => {
                let message = format!("it ran longer than {} s and was stopped", timeout.as_secs());
                Err((Error::ExecutionTimedOut(message), run.told))
            }
            Err(error) => Err((error, run.told)),
        }
    }

    /// Makes the rows, stores them, and has them pass the gate.
    async fn produce(&self, run: &mut Run<'_>, mut made_by: MadeBy) -> Result<Staged> {
        let record = run.record;
        let so_far = self.datasets().made_so_far(&run.caller, &record.output_dataset_id).await?;
        let (dataset, in_force) = so_far.unzip();
        let base = in_force.filter(|_| record.settings.write != WriteMode::Rebuild && !run.full_rebuild);
        let high_water = match (incremental::high_water_column(&record.settings.write), &base) {
            (Some(column), Some(base)) => {
                let high = incremental::high_water(self.engine(), base, column, self.asking(run)).await?;
                run.say(&format!("goes on from {column} = {}", high.json));
                high
            }
            _ => HighWater::none(),
        };
        let (schema, rows) = match record.language {
            Language::Sql => self.rows_of_sql(run, &high_water).await?,
            Language::Python => self.rows_of_python(run, &high_water).await?,
        };
        made_by.inputs.clone_from(&run.told.inputs);
        let made = made(record, dataset.as_ref(), made_by);
        let staged = self.stage(run, &made, (schema, rows), base.as_ref()).await?;
        run.told.usage.output_bytes = staged.manifest().byte_count();
        self.note_query(run).await;
        match self.pass_gate(run, &staged).await {
            Ok(()) => Ok(staged),
            Err(error) => {
                self.datasets().discard(staged).await;
                Err(error)
            }
        }
    }

    /// What the engine has counted of a statement.
    async fn note_query(&self, run: &mut Run<'_>) {
        let Some(id) = &run.query else { return };
        // Its history is bounded; what is not there any more is not told.
        let Ok(query) = self.engine().query(&run.caller.principal, id).await else { return };
        run.told.usage.cpu_ms = (query.work.scan_us + query.work.compute_us) / 1000;
        run.told.usage.memory_peak_bytes = query.memory_peak_bytes;
    }

    /// Whose statements, how long, when: for statements of our own.
    pub(super) fn asking(&self, run: &Run<'_>) -> incremental::Asking {
        (run.caller.principal.user_id.clone(), run.time_left(), self.now())
    }

    async fn rows_of_sql(&self, run: &mut Run<'_>, high_water: &HighWater) -> Result<(SchemaRef, Batches)> {
        let params = self.params_of(run)?;
        let request = self.request_of(run.record, &params, Some(high_water), run.scheduled_at)?;
        let spec = self.unbounded(self.resolve(&run.caller.principal, request).await?, run.time_left());
        for SpecTable { name, rows } in &spec.tables {
            if let TableRows::Version(manifest) = rows {
                run.told.inputs.push(version_of(manifest));
                run.told.usage.input_bytes += manifest.byte_count();
                run.say(&format!("reads `{name}` version {}: {} rows", manifest.number, manifest.row_count));
            }
        }
        run.query = Some(spec.query_id.clone());
        let rows = self.engine().run(spec).await?;
        Ok((Arc::clone(rows.schema()), rows.boxed()))
    }

    async fn rows_of_python(
        &self,
        run: &mut Run<'_>,
        high_water: &HighWater,
    ) -> Result<(SchemaRef, Batches)> {
        let mut params = self.params_of(run)?;
        params::give_python(&mut params, run.record, &high_water.json, run.scheduled_at);
        let datasets = self.inputs_of(&run.caller.principal, &run.record.inputs).await?;
        let mut inputs = Vec::with_capacity(datasets.len());
        for dataset in datasets {
            let manifest = self.engine().manifest(&dataset.current).await?;
            run.told.inputs.push(version_of(&manifest));
            run.say(&format!(
                "reads `{}` version {}: {} rows",
                dataset.name, manifest.number, manifest.row_count
            ));
            inputs.push((dataset, manifest));
        }
        let (lines, mut printed) = mpsc::channel(LINES_WAITING);
        let by = &run.caller.principal;
        let mut python = self.python_run(by, run.record, &params, &inputs, (None, run.time_left()))?;
        python.lines = Some(lines);
        let running = run.running;
        let shown = async {
            while let Some(line) = printed.recv().await {
                running.print(&line);
            }
        };
        let (ran, ()) = tokio::join!(self.executor().run(python), shown);
        run.told.usage = ran.usage;
        run.told.violation = ran.violation;
        match ran.result? {
            Output::Rows { schema, rows, .. } => Ok((schema, rows)),
            Output::Card { .. } => Err(Error::internal("a transform ended as a card")),
        }
    }

    /// The parameters of the transform and those of this execution.
    fn params_of(&self, run: &Run<'_>) -> Result<Value> {
        params::of_execution(run.record, &run.params)
    }

    /// What a person waits for has bounds that the clock does not need.
    fn unbounded(&self, mut spec: QuerySpec, deadline: Duration) -> QuerySpec {
        spec.limits.rows = None;
        spec.limits.result_bytes = None;
        spec.limits.scan_bytes = None;
        spec.limits.deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        spec
    }

    /// Stores the rows as the version to be, together with those that are there where rows are added.
    async fn stage(
        &self,
        run: &Run<'_>,
        made: &Made,
        rows: (SchemaRef, Batches),
        base: Option<&Arc<Manifest>>,
    ) -> Result<Staged> {
        let datasets = self.datasets();
        let (staged, keys) = match (&run.record.settings.write, base) {
            (WriteMode::Append { .. }, Some(base)) if has_many_small_files(base) => {
                let old = self.engine().run(incremental::all(self.engine(), base, self.asking(run))).await?;
                let (schema, new) = rows;
                return datasets
                    .stage(&run.caller, made, (schema, old.boxed().chain(new).boxed()), false)
                    .await;
            }
            (WriteMode::Append { .. }, Some(_)) => {
                return datasets.stage(&run.caller, made, rows, true).await;
            }
            (WriteMode::Merge { keys, .. }, _) => {
                (datasets.stage(&run.caller, made, rows, false).await?, keys)
            }
            _ => return datasets.stage(&run.caller, made, rows, false).await,
        };
        let outcome = self.merge(run, made, &staged, keys, base).await;
        match outcome {
            Ok(None) => Ok(staged),
            Ok(Some(merged)) => {
                datasets.discard(staged).await;
                Ok(merged)
            }
            Err(error) => {
                datasets.discard(staged).await;
                Err(error)
            }
        }
    }

    /// The version in force with the new rows in the place of those with the same keys; none when all rows are new.
    async fn merge(
        &self,
        run: &Run<'_>,
        made: &Made,
        new: &Staged,
        keys: &[String],
        base: Option<&Arc<Manifest>>,
    ) -> Result<Option<Staged>> {
        let rows = new.manifest();
        let repeated = incremental::repeated_keys(self.engine(), rows, keys, self.asking(run)).await?;
        if repeated > 0 {
            let message = format!(
                "{repeated} keys ({}) are in more than one row of the result: which one counts?",
                keys.join(", ")
            );
            return Err(Error::BadData(message));
        }
        let Some(base) = base else { return Ok(None) };
        if base.schema().fields() != rows.schema().fields() {
            let message = "rows can be merged only when they have the columns of the version in force: run a full rebuild";
            return Err(Error::Conflict { message: message.to_owned(), details: json!({}) });
        }
        let spec = incremental::merged(self.engine(), base, rows, keys, self.asking(run));
        let merged = self.engine().run(spec).await?;
        let merged = (Arc::clone(merged.schema()), merged.boxed());
        self.datasets().stage(&run.caller, made, merged, false).await.map(Some)
    }

    /// Puts the version in force and ends the execution, in one commit.
    async fn publish(
        &self,
        record: &TransformRecord,
        caller: &Caller,
        staged: Staged,
        told: Told,
        (held, running): (Held, &Running),
    ) -> Result<(), (Error, Told, Held)> {
        let manifest = Arc::clone(staged.manifest());
        let execution = match held.take().await {
            Ok(execution) => execution,
            Err(error) => {
                // It is another's, or soon will be.
                tracing::warn!(%error, "an execution came to its end after it was lost");
                self.datasets().discard(staged).await;
                return Ok(());
            }
        };
        let ended = ExecutionRecord {
            status: ExecutionStatus::Success,
            finished_at: Some(self.now()),
            inputs: told.inputs.clone(),
            checks: told.checks.clone(),
            usage: told.usage,
            log: running.log(),
            output_dataset_id: Some(manifest.dataset_id.clone()),
            output_version: Some(manifest.number),
            output_row_count: Some(manifest.row_count),
            lease: None,
            ..execution.clone()
        };
        let entry = Entry {
            event: AuditEvent::TransformExecuted,
            by: Some(&caller.principal.user_id),
            target: ("transform", record.id.as_str()),
            details: json!({
                "name": record.name, "execution_id": execution.id, "dataset_id": manifest.dataset_id,
                "version": manifest.number, "row_count": manifest.row_count, "triggered_by": execution.triggered_by,
            }),
            request_id: None,
        };
        let audit = entry.record(self.now());
        match self.datasets().put_staged_in_force(caller, staged, audit, Some(ended)).await {
            Ok(_) => {
                metrics::counter!(TRANSFORMS, "status" => "success").increment(1);
                Ok(())
            }
            Err(error) => Err((error, told, self.leases().hold(execution))),
        }
    }

    async fn end_as_failed(&self, held: Held, error: Error, told: Told, running: &Running) {
        let outcome = if told.leaving && running.goes_on_elsewhere() {
            // One that was due is made up for by whoever finds that nobody holds it.
            held.release().await.map(|()| None)
        } else {
            if error.code() == Code::InternalError {
                tracing::error!(execution.id = %running.id, ?error, "a transform failed");
            }
            metrics::counter!(TRANSFORMS, "status" => "failed").increment(1);
            let (failure, now, violation) = (failure(&error), self.now(), told.violation);
            let ended = held.end(|record| {
                record.status = ExecutionStatus::Failed;
                record.finished_at = Some(now);
                record.inputs = told.inputs;
                record.checks = told.checks;
                record.usage = told.usage;
                record.log = running.log();
                record.lease = None;
                record.failure = Some(failure);
            });
            ended.await.map(|execution| Some((execution, violation)))
        };
        match outcome {
            Ok(Some((execution, violation))) => self.tell_of_failure(&execution, violation).await,
            // A conflict: somebody else has ended it or taken it over, or the commit happened after all.
            Ok(None) | Err(Error::Conflict { .. }) => {}
            Err(error) => {
                let id = &running.id;
                tracing::error!(execution.id = %id, %error, "the end of an execution could not be stored; it ends with its lease");
            }
        }
    }

    /// Records that an execution has failed.
    pub(super) async fn tell_of_failure(&self, execution: &ExecutionRecord, violation: bool) {
        let events = [Some(AuditEvent::TransformFailed), violation.then_some(AuditEvent::SandboxViolation)];
        for event in events.into_iter().flatten() {
            let failure = execution.failure.as_ref();
            let entry = Entry {
                event,
                by: Some(&execution.user_id),
                target: ("transform", execution.transform_id.as_str()),
                details: json!({
                    "execution_id": execution.id, "triggered_by": execution.triggered_by,
                    "code": failure.map(|failure| failure.code), "message": failure.map(|failure| &failure.message),
                }),
                request_id: None,
            };
            self.audit().note(entry, self.now()).await;
        }
    }

    async fn trim(&self, record: &TransformRecord) {
        let keep = self.settings().executions_kept;
        let since = record.schedule.since;
        if let Err(error) = self.stores().executions.trim(&record.id, keep, since).await {
            tracing::warn!(%error, "old executions could not be forgotten");
        }
    }
}

/// The dataset that a transform makes.
fn made(record: &TransformRecord, dataset: Option<&DatasetRecord>, made_by: MadeBy) -> Made {
    let settings = &record.settings;
    // What was changed at the dataset itself holds for the next version, as it does for imports.
    let layout = Layout {
        partition_column: settings.partition_column.clone().or_else(|| dataset?.partition_column.clone()),
        sort_column: settings.sort_column.clone().or_else(|| dataset?.sort_column.clone()),
    };
    Made {
        id: record.output_dataset_id.clone(),
        name: output_name(record).to_owned(),
        description: record.description.clone(),
        layout,
        made_by,
        title: record.name.clone(),
    }
}

fn version_of(manifest: &Manifest) -> ReadVersion {
    ReadVersion { dataset_id: manifest.dataset_id.clone(), version: manifest.number }
}

/// Why it was stopped, as its record says.
fn stopped(why: Stop) -> Error {
    match why {
        Stop::Cancelled => Error::Cancelled,
        Stop::Leaving => {
            Error::Unavailable { message: "the service was stopped while it ran".to_owned(), cause: None }
        }
    }
}

/// Whether a failure may be gone at the next attempt.
fn can_pass(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::Conflict { .. } | Error::RateLimited { .. })
}

/// What a failure is in the record of an execution.
pub(super) fn failure(error: &Error) -> ExecutionFailure {
    let details = error.details();
    ExecutionFailure {
        code: error.code(),
        message: error.to_string(),
        traceback: details.get("traceback").and_then(|text| text.as_str()).map(str::to_owned),
        line: details.get("line").and_then(Value::as_u64),
    }
}
