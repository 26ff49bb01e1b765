//! Executions as people meet them: start one, look at them, stop one.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::live::{Running, Stop};
use super::schedule::{self, Runner, new_execution};
use super::service::page_of;
use super::{Transforms, params};
use crate::auth::{Action, Principal};
use crate::catalog::store::StoreError;
use crate::catalog::transform::{
    ExecutionFailure, ExecutionRecord, ExecutionStatus, Reason, TransformRecord,
};
use crate::dataset::Listed;
use crate::error::{Code, Error, Result};
use crate::ids::{ExecutionId, TransformId};
use crate::tasks;

/// What an execution is asked for.
#[derive(Debug, Clone, Default)]
pub struct Execute {
    /// Over those of the transform.
    pub params: Value,
    /// Make all rows anew, also where rows would be added.
    pub full_rebuild: bool,
}

/// An execution that was begun here.
#[derive(Debug, Clone)]
pub struct Started {
    pub execution: ExecutionRecord,
    pub running: Arc<Running>,
}

impl Transforms {
    /// Begins an execution by hand.
    ///
    /// # Errors
    /// `Forbidden` for anybody but the owner; `Invalid` for parameters that do not fit; `Conflict` when one runs
    /// already, with its id.
    pub async fn execute(&self, by: &Principal, id: &TransformId, ask: Execute) -> Result<Started> {
        let record = self.allowed(by, Action::ExecuteTransform, id).await?;
        let params = params::of_execution(&record, &ask.params)?;
        let execution =
            ExecutionRecord { params, ..new_execution(&record, Reason::Request, None, self.now()) };
        match self.leases().begin(execution).await? {
            schedule::Started::Yes(execution) => Ok(self.start(record, *execution, ask.full_rebuild)),
            schedule::Started::AlreadyRunning(other) => {
                let message = format!("`{}` runs already, since {}", record.name, other.started_at);
                Err(Error::Conflict { message, details: json!({ "execution_id": other.id }) })
            }
            schedule::Started::AlreadyDone => {
                Err(Error::internal("an execution without a due time was there already"))
            }
        }
    }

    /// A transform that the caller may run.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for anybody but the owner.
    pub async fn to_run(&self, by: &Principal, id: &TransformId) -> Result<TransformRecord> {
        self.allowed(by, Action::ExecuteTransform, id).await
    }

    /// Runs an execution that was begun for this process, in the background.
    pub(super) fn start(
        &self,
        record: TransformRecord,
        execution: ExecutionRecord,
        full_rebuild: bool,
    ) -> Started {
        let running = self.live().begin(&execution.id, execution.scheduled_at.is_some());
        let started = Started { execution: execution.clone(), running: Arc::clone(&running) };
        let transforms = self.clone();
        let task = {
            let running = Arc::clone(&running);
            async move {
                Box::pin(transforms.run(record, execution, full_rebuild, &running)).await;
                transforms.live().end(&running);
            }
        };
        running.hold(tasks::spawn(task));
        started
    }

    /// Executions of a transform, newest first.
    ///
    /// # Errors
    /// `NotFound` when the transform is not there or the caller may not see it.
    pub async fn executions(
        &self,
        by: &Principal,
        id: &TransformId,
        limit: usize,
        offset: usize,
    ) -> Result<Listed<ExecutionRecord>> {
        self.allowed(by, Action::ReadTransform, id).await?;
        let store = &self.stores().executions;
        Ok(page_of(limit, offset, |page| store.list(id, page)).await?)
    }

    /// One execution as it is now.
    ///
    /// # Errors
    /// `NotFound` when it is not there or the caller may not see its transform.
    pub async fn execution(
        &self,
        by: &Principal,
        id: &TransformId,
        execution: &ExecutionId,
    ) -> Result<ExecutionRecord> {
        self.allowed(by, Action::ReadTransform, id).await?;
        let found = self.stores().executions.get(id, execution).await?;
        let mut found = found.ok_or_else(|| Error::not_found("execution", execution))?;
        if let Some(running) = self.live().get(execution).filter(|_| found.is_running()) {
            found.log = running.log();
        }
        Ok(found)
    }

    /// The execution, if it runs in this process.
    ///
    /// # Errors
    /// As [`Transforms::execution`].
    pub async fn running(
        &self,
        by: &Principal,
        id: &TransformId,
        execution: &ExecutionId,
    ) -> Result<(ExecutionRecord, Option<Arc<Running>>)> {
        let record = self.execution(by, id, execution).await?;
        Ok((record, self.live().get(execution)))
    }

    /// Stops an execution, wherever it runs, and says how it is then.
    ///
    /// # Errors
    /// `Forbidden` for anybody but the owner; `NotFound`; `Conflict` when it has ended.
    pub async fn cancel(
        &self,
        by: &Principal,
        id: &TransformId,
        execution: &ExecutionId,
    ) -> Result<ExecutionRecord> {
        let record = self.allowed(by, Action::ExecuteTransform, id).await?;
        let found = self.stores().executions.get(&record.id, execution).await?;
        let found = found.ok_or_else(|| Error::not_found("execution", execution))?;
        if !found.is_running() {
            let message = "the execution has ended already".to_owned();
            return Err(Error::Conflict { message, details: json!({ "status": found.status }) });
        }
        self.end_as_cancelled(found).await?;
        self.execution(by, id, execution).await
    }

    /// One that runs here is told to stop. One that runs elsewhere is taken away from whoever holds it, who notices
    /// when the lease is renewed; nothing of it can be published from now on.
    pub(super) async fn end_as_cancelled(&self, mut execution: ExecutionRecord) -> Result<()> {
        if let Some(running) = self.live().get(&execution.id) {
            running.stop(Stop::Cancelled);
            running.ended().await;
            return Ok(());
        }
        execution.status = ExecutionStatus::Failed;
        execution.finished_at = Some(self.now());
        execution.lease = None;
        execution.failure = Some(ExecutionFailure {
            code: Code::Cancelled,
            message: "it was cancelled".to_owned(),
            traceback: None,
            line: None,
        });
        match self.stores().executions.put(execution).await {
            // It has ended, or is held anew; the caller sees which.
            Ok(_) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Stops what runs in this process, so that others may take it over at once.
    pub async fn stop(&self) {
        let all = self.live().every();
        for running in &all {
            running.stop(Stop::Leaving);
        }
        for running in &all {
            running.ended().await;
        }
    }
}

#[async_trait]
impl Runner for Transforms {
    async fn run(&self, transform: TransformRecord, execution: ExecutionRecord) {
        self.start(transform, execution, false).running.ended().await;
    }

    async fn interrupted(&self, execution: &ExecutionRecord) {
        self.tell_of_failure(execution, false).await;
    }
}
