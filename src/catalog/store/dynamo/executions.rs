//! Executions of transforms, in the table `transform_executions`.
//!
//! The key of the contract is the start, so what else must be there once stands in `unique_names`: the id, that one of
//! the transform runs, and each due time. All are written with the execution, and each says when it started.

use async_trait::async_trait;

use super::condition::Condition;
use super::execution_item::{DUE_AT, RUNNING, execution_key, read, read_due, start, write};
use super::item::{exact, number, text};
use super::page::{self, Query};
use super::schema::{EXECUTIONS, EXECUTIONS_BY_DUE_TIME, EXECUTIONS_RUNNING, UNIQUE_NAMES};
use super::transaction::{NotDone, Transaction, Unless};
use super::unique::{holder_of, unique};
use super::{DynamoStore, pause};
use crate::catalog::store::{Begun, ExecutionStore, Page, PageRequest, StoreError};
use crate::catalog::transform::ExecutionRecord;
use crate::clock::Timestamp;
use crate::ids::{ExecutionId, TransformId};

/// Where an execution and its id stand among the writes that begin it.
const IDENTITY: std::ops::Range<usize> = 0..2;
/// How often one is begun against others that begin and end.
const ATTEMPTS_MAX: u32 = 10;
/// Executions that are forgotten in one transaction: each with its id and its due time, and one counter for all.
const TOGETHER_MAX: usize = 33;

#[async_trait]
impl ExecutionStore for DynamoStore {
    async fn begin(&self, record: ExecutionRecord) -> Result<Begun, StoreError> {
        if record.revision != 0 {
            return Err(StoreError::Conflict(noun(&record.id)));
        }
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                pause(attempt).await;
            }
            let refused = match self.begin_now(&record).await {
                Ok(()) => return Ok(Begun::Yes),
                Err(NotDone::Refused(refused)) => refused,
                Err(NotDone::Failed(error)) => return Err(error),
            };
            if let Some(other) = self.other(&record).await? {
                return Ok(other);
            }
            if refused.iter().any(|refused| IDENTITY.contains(&refused.at)) {
                return Err(StoreError::Conflict(noun(&record.id)));
            }
            // What was in the way has ended since.
        }
        Err(StoreError::Unavailable("executions of the transform come and go".into()))
    }

    async fn put(&self, record: ExecutionRecord) -> Result<u64, StoreError> {
        let outcome = self.put_over(&record, true).await;
        let Err(NotDone::Refused(refused)) = outcome else {
            return Ok(outcome.map(|()| record.revision + 1)?);
        };
        // Mostly it ran until now. When it had ended before, the refusal tells so, and nothing is to be released.
        let stored = refused.first().filter(|first| first.at == 0 && !record.is_running());
        let stored = stored.and_then(|first| first.stored.as_ref()).map(read).transpose()?;
        if !stored.is_some_and(|stored| stored.revision == record.revision && !stored.is_running()) {
            return Err(NotDone::Refused(refused).into());
        }
        self.put_over(&record, false).await?;
        Ok(record.revision + 1)
    }

    async fn get(
        &self,
        transform: &TransformId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRecord>, StoreError> {
        let Some(start) = self.holder(&id_name(id)).await? else { return Ok(None) };
        let found = DynamoStore::get(self, &EXECUTIONS, execution_key(transform, &start)).await?;
        let found = found.as_ref().map(read).transpose()?;
        // One of another transform can have started at the same time.
        Ok(found.filter(|found| found.id == *id))
    }

    async fn list(
        &self,
        transform: &TransformId,
        request: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError> {
        let query = Query::of_table(&EXECUTIONS, transform.as_str()).descending();
        let counter = counter(transform);
        let (found, count) = futures::try_join!(self.page(query, request), self.counter(&counter))?;
        Ok((page::read(found, read)?, count))
    }

    async fn running(&self, request: PageRequest) -> Result<Page<ExecutionRecord>, StoreError> {
        let query = Query::of_index(&EXECUTIONS, &EXECUTIONS_RUNNING, RUNNING);
        page::read(self.page(query, request).await?, read)
    }

    async fn last_due(&self, transform: &TransformId) -> Result<Option<Timestamp>, StoreError> {
        let query = Query::of_index(&EXECUTIONS, &EXECUTIONS_BY_DUE_TIME, transform.as_str()).descending();
        self.first(&query, 1).await?.first().map(read_due).transpose()
    }

    async fn trim(&self, transform: &TransformId, keep: u64, since: Timestamp) -> Result<u64, StoreError> {
        let total = self.counter(&counter(transform)).await?;
        if total <= keep {
            return Ok(0);
        }
        let runs = self.holder(&running_name(transform)).await?.is_some();
        let mut left = total.saturating_sub(keep).saturating_sub(u64::from(runs));
        if left == 0 {
            return Ok(0);
        }
        // The index may be behind: then this is an earlier one, and those after it stay until the next time.
        let last_due = self.last_due(transform).await?;
        let stays = |record: &ExecutionRecord| {
            let is_last = record.due_at().is_some_and(|due| last_due.is_none_or(|last| due >= last));
            is_last || record.scheduled_at.is_some_and(|due| due > since)
        };
        let (mut forgotten, mut after) = (0, None);
        loop {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(TOGETHER_MAX);
            let oldest = Query::of_table(&EXECUTIONS, transform.as_str());
            let found = page::read(self.page(oldest, PageRequest { after, limit }).await?, read)?;
            let ended: Vec<_> = found.items.into_iter().filter(|record| !record.is_running()).collect();
            left = left.saturating_sub(ended.len() as u64);
            let gone: Vec<_> = ended.into_iter().filter(|record| !stays(record)).collect();
            forgotten += self.forget_executions(transform, &gone).await?;
            after = found.next;
            if left == 0 || after.is_none() {
                return Ok(forgotten);
            }
        }
    }
}

impl DynamoStore {
    async fn begin_now(&self, record: &ExecutionRecord) -> Result<(), NotDone> {
        let (start, noun) = (start(record), || noun(&record.id));
        let item = write(&ExecutionRecord { revision: 1, ..record.clone() })?;
        let mut writes = Transaction::new(self);
        writes.put_if(&EXECUTIONS, item, Condition::absent(&EXECUTIONS), Unless::Conflict(noun()))?;
        writes.take(&id_name(&record.id), &start, noun())?;
        if record.is_running() {
            writes.take(&running_name(&record.transform_id), &start, noun())?;
        }
        if let Some(due) = record.scheduled_at {
            writes.take(&due_name(&record.transform_id, due), &start, noun())?;
        }
        writes.count(counter(&record.transform_id), 1);
        writes.run().await
    }

    /// What keeps an execution from beginning, if it is there still.
    async fn other(&self, record: &ExecutionRecord) -> Result<Option<Begun>, StoreError> {
        let transform = &record.transform_id;
        let running = running_name(transform);
        let names = record.is_running().then(|| running.clone()).into_iter();
        let names = names.chain(record.scheduled_at.map(|due| due_name(transform, due)));
        let held = self.batch_get(names.map(|name| (&UNIQUE_NAMES, name))).await?;
        let (runs, done): (Vec<_>, Vec<_>) =
            held.iter().partition(|(_, item)| item.get(UNIQUE_NAMES.key.name) == Some(&text(&running)));
        if !done.is_empty() {
            return Ok(Some(Begun::AlreadyDone));
        }
        let Some((_, running)) = runs.first() else { return Ok(None) };
        let found =
            DynamoStore::get(self, &EXECUTIONS, execution_key(transform, &holder_of(running)?)).await?;
        let found = found.as_ref().map(read).transpose()?.filter(ExecutionRecord::is_running);
        Ok(found.map(|found| Begun::AlreadyRunning(Box::new(found))))
    }

    async fn put_over(&self, record: &ExecutionRecord, ran: bool) -> Result<(), NotDone> {
        let mut writes = Transaction::new(self);
        replace(&mut writes, record, ran)?;
        writes.run().await
    }

    /// Forgets these, and says how many of them were still there.
    async fn forget_executions(
        &self,
        transform: &TransformId,
        records: &[ExecutionRecord],
    ) -> Result<u64, StoreError> {
        if records.is_empty() {
            return Ok(0);
        }
        let mut writes = Transaction::new(self);
        for record in records {
            let (start, id) = (start(record), record.id.as_str());
            let there = Condition::is("executionId", text(id));
            let gone = Unless::Conflict(noun(&record.id));
            writes.delete_if(&EXECUTIONS, execution_key(transform, &start), there, gone);
            writes.release(&id_name(&record.id), &start, noun(&record.id));
            if let Some(due) = record.scheduled_at {
                writes.release(&due_name(transform, due), &start, noun(&record.id));
            }
        }
        let count = records.len() as u64;
        writes.count(counter(transform), -count.cast_signed());
        match writes.run().await {
            Ok(()) => Ok(count),
            // Another replica forgets them too.
            Err(NotDone::Refused(_)) => Ok(0),
            Err(NotDone::Failed(error)) => Err(error),
        }
    }
}

/// Writes an execution over the one that it was read from, which `ran` then or had ended.
pub(super) fn replace(
    writes: &mut Transaction<'_>,
    record: &ExecutionRecord,
    ran: bool,
) -> Result<(), StoreError> {
    // What it is one of stays, and what has ended does not run again.
    let same = Condition::is("revision", number(record.revision))
        .and("executionId", "=", text(record.id.as_str()))
        .and_same("scheduledAtMicros", record.scheduled_at.map(|due| number(due.micros())))
        .and_same(DUE_AT, record.due_at().map(|due| number(exact(due))))
        .and_same(EXECUTIONS_RUNNING.key.name, ran.then(|| text(RUNNING)));
    let item = write(&ExecutionRecord { revision: record.revision + 1, ..record.clone() })?;
    writes.put_if(&EXECUTIONS, item, same, Unless::Conflict(noun(&record.id)))?;
    if ran && !record.is_running() {
        writes.release(&running_name(&record.transform_id), &start(record), noun(&record.id));
    }
    Ok(())
}

fn noun(id: &ExecutionId) -> String {
    format!("execution `{id}`")
}

fn counter(transform: &TransformId) -> String {
    format!("executions#{transform}")
}

fn id_name(id: &ExecutionId) -> String {
    unique("EXECUTION", id.as_str())
}

fn running_name(transform: &TransformId) -> String {
    unique("RUNNING", transform.as_str())
}

fn due_name(transform: &TransformId, due: Timestamp) -> String {
    unique("DUE", &format!("{transform}#{}", due.micros()))
}
