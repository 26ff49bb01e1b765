//! One execution, from the rights of its owner to the commit of a version.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Transforms;
use super::live::{Running, Stop};
use super::schedule::Held;
use crate::audit_log::Entry;
use crate::catalog::record::{AuditEvent, MadeBy};
use crate::catalog::transform::{
    CheckResult, ExecutionFailure, ExecutionRecord, ExecutionStatus, ReadVersion, TransformRecord, Usage,
};
use crate::clock::Timestamp;
use crate::dataset::Caller;
use crate::dataset::made::Staged;
use crate::error::{Code, Error, Result};
use crate::ids::QueryId;
use crate::telemetry::TRANSFORMS;

/// How often the record of an execution gets what it has printed.
const TELLING: Duration = Duration::from_secs(10);

/// What is known of an execution while it runs.
pub(super) struct Run<'a> {
    pub(super) record: &'a TransformRecord,
    pub(super) caller: Caller,
    pub(super) full_rebuild: bool,
    pub(super) running: &'a Running,
    /// As the execution was started with.
    pub(super) params: Value,
    pub(super) scheduled_at: Timestamp,
    /// The statement, when it is one.
    pub(super) query: Option<QueryId>,
    pub(super) until: Instant,
    /// What the record of the execution tells in the end.
    pub(super) told: Told,
}

/// What came of an attempt.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) inputs: Vec<ReadVersion>,
    pub(super) checks: Vec<CheckResult>,
    pub(super) usage: Usage,
    pub(super) violation: bool,
    /// This process ends.
    pub(super) leaving: bool,
}

impl Run<'_> {
    pub(super) fn say(&self, line: &str) {
        self.running.print(&format!("[shirabe] {line}"));
    }

    pub(super) fn time_left(&self) -> Duration {
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
