//! Transforms and executions in memory, for tests that ask a store a million times. It passes the same suite as those
//! that keep what they are told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Begun, Cursor, ExecutionStore, Owner, Page, PageRequest, StoreError, TransformStore};
use crate::catalog::transform::{ExecutionRecord, Reason, TransformRecord};
use crate::clock::Timestamp;
use crate::ids::{DatasetId, ExecutionId, TransformId};
use crate::limits::PAGE_ITEMS_MAX;

/// What it holds is gone with it.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    transforms: BTreeMap<TransformId, TransformRecord>,
    /// By transform and start.
    executions: BTreeMap<(TransformId, Timestamp), ExecutionRecord>,
    starts: BTreeMap<ExecutionId, (TransformId, Timestamp)>,
    running: BTreeMap<TransformId, Timestamp>,
    /// Whether it was the clock's.
    due: BTreeMap<(TransformId, Timestamp), bool>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page of `all`, which are in order, with what their places are called.
fn page<T>(all: impl Iterator<Item = (String, T)>, request: &PageRequest) -> Page<T> {
    let limit = request.limit.clamp(1, PAGE_ITEMS_MAX);
    let after = request.after.as_ref().map(|cursor| cursor.0.as_str());
    let mut rest = all.skip_while(|(place, _)| after.is_some_and(|after| place.as_str() != after)).peekable();
    rest.next_if(|(place, _)| after == Some(place.as_str()));
    let mut items = Vec::new();
    let mut last = None;
    while let Some((place, item)) = rest.next_if(|_| items.len() < limit) {
        last = Some(place);
        items.push(item);
    }
    Page { items, next: last.filter(|_| rest.peek().is_some()).map(Cursor) }
}

fn conflict(id: &impl ToString) -> StoreError {
    StoreError::Conflict(format!("`{}`", id.to_string()))
}

#[async_trait]
impl TransformStore for MemoryStore {
    async fn lookup(&self, ids: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError> {
        let records = self.lock();
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        Ok(ids.iter().filter_map(|id| records.transforms.get(id).cloned()).collect())
    }

    async fn list(
        &self,
        owner: &Owner,
        request: PageRequest,
    ) -> Result<(Page<TransformRecord>, u64), StoreError> {
        let records = self.lock();
        let is_theirs = |record: &&TransformRecord| match owner {
            Owner::Anyone => true,
            Owner::User(id) => record.owner_id == *id,
        };
        let mut all: Vec<_> = records.transforms.values().filter(is_theirs).cloned().collect();
        all.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        let count = all.len() as u64;
        Ok((page(all.into_iter().map(|record| (record.id.to_string(), record)), &request), count))
    }

    async fn put(&self, record: TransformRecord) -> Result<u64, StoreError> {
        let mut records = self.lock();
        let stored = records.transforms.get(&record.id).map_or(0, |stored| stored.revision);
        if stored != record.revision {
            return Err(conflict(&record.id));
        }
        let revision = stored + 1;
        records.transforms.insert(record.id.clone(), TransformRecord { revision, ..record });
        Ok(revision)
    }

    async fn remove(&self, id: &TransformId, revision: u64) -> Result<(), StoreError> {
        let mut records = self.lock();
        match records.transforms.get(id) {
            Some(stored) if stored.revision == revision => {
                records.transforms.remove(id);
                Ok(())
            }
            _ => Err(conflict(id)),
        }
    }

    async fn readers(&self, id: &DatasetId) -> Result<Vec<TransformRecord>, StoreError> {
        let reads = |record: &&TransformRecord| record.input_ids().any(|input| input == id);
        Ok(self.lock().transforms.values().filter(reads).cloned().collect())
    }

    async fn scheduled(&self, request: PageRequest) -> Result<Page<TransformRecord>, StoreError> {
        let records = self.lock();
        let live = records.transforms.values().filter(|record| record.schedule.is_live());
        Ok(page(live.map(|record| (record.id.to_string(), record.clone())), &request))
    }
}

#[async_trait]
impl ExecutionStore for MemoryStore {
    async fn begin(&self, mut record: ExecutionRecord) -> Result<Begun, StoreError> {
        let mut records = self.lock();
        let transform = record.transform_id.clone();
        if record.revision != 0 {
            return Err(conflict(&record.id));
        }
        if record.scheduled_at.is_some_and(|due| records.due.contains_key(&(transform.clone(), due))) {
            return Ok(Begun::AlreadyDone);
        }
        if record.is_running()
            && let Some(start) = records.running.get(&transform)
        {
            let running = records.executions[&(transform.clone(), *start)].clone();
            return Ok(Begun::AlreadyRunning(Box::new(running)));
        }
        let place = (transform.clone(), record.started_at);
        if records.starts.contains_key(&record.id) || records.executions.contains_key(&place) {
            return Err(conflict(&record.id));
        }
        record.revision = 1;
        if let Some(due) = record.scheduled_at {
            records.due.insert((transform.clone(), due), record.reason == Reason::Due);
        }
        if record.is_running() {
            records.running.insert(transform, record.started_at);
        }
        records.starts.insert(record.id.clone(), place.clone());
        records.executions.insert(place, record);
        Ok(Begun::Yes)
    }

    async fn put(&self, record: ExecutionRecord) -> Result<u64, StoreError> {
        let mut records = self.lock();
        let place = (record.transform_id.clone(), record.started_at);
        let Some(stored) = records.executions.get_mut(&place) else { return Err(conflict(&record.id)) };
        let stays = |record: &ExecutionRecord| {
            (record.id.clone(), record.scheduled_at, record.reason == Reason::Due, record.revision)
        };
        let runs_again = record.is_running() && !stored.is_running();
        if stays(stored) != stays(&record) || runs_again {
            return Err(conflict(&record.id));
        }
        let ends = stored.is_running() && !record.is_running();
        let revision = record.revision + 1;
        *stored = ExecutionRecord { revision, ..record };
        if ends {
            records.running.remove(&place.0);
        }
        Ok(revision)
    }

    async fn get(
        &self,
        transform: &TransformId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRecord>, StoreError> {
        let records = self.lock();
        let place = records.starts.get(id).filter(|(of, _)| of == transform);
        Ok(place.map(|place| records.executions[place].clone()))
    }

    async fn list(
        &self,
        transform: &TransformId,
        request: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError> {
        let records = self.lock();
        let count = records.of(transform).count() as u64;
        let all = records.of(transform).rev();
        let named = all.map(|((_, start), record)| (start.micros().to_string(), record.clone()));
        Ok((page(named, &request), count))
    }

    async fn running(&self, request: PageRequest) -> Result<Page<ExecutionRecord>, StoreError> {
        let records = self.lock();
        let all = records.running.iter().map(|(transform, start)| {
            (transform.to_string(), records.executions[&(transform.clone(), *start)].clone())
        });
        Ok(page(all, &request))
    }

    async fn last_due(&self, transform: &TransformId) -> Result<Option<Timestamp>, StoreError> {
        let records = self.lock();
        let mut due = records.due.range(ends(transform)).rev();
        Ok(due.find(|(_, is_due)| **is_due).map(|((_, time), _)| *time))
    }

    async fn trim(&self, transform: &TransformId, keep: u64, since: Timestamp) -> Result<u64, StoreError> {
        let last = self.last_due(transform).await?;
        let mut records = self.lock();
        let ended = records.of(transform).rev().filter(|(_, record)| !record.is_running());
        let old = ended.skip(usize::try_from(keep).unwrap_or(usize::MAX));
        let is_kept = |record: &ExecutionRecord| {
            record.scheduled_at.is_some_and(|due| due > since)
                || record.reason == Reason::Due && record.scheduled_at == last
        };
        let gone: Vec<_> =
            old.filter(|(_, record)| !is_kept(record)).map(|(place, _)| place.clone()).collect();
        for place in &gone {
            if let Some(record) = records.executions.remove(place) {
                records.starts.remove(&record.id);
                if let Some(due) = record.scheduled_at {
                    records.due.remove(&(place.0.clone(), due));
                }
            }
        }
        Ok(gone.len() as u64)
    }
}

impl Records {
    /// The executions of a transform, the oldest first.
    fn of(
        &self,
        transform: &TransformId,
    ) -> impl DoubleEndedIterator<Item = (&(TransformId, Timestamp), &ExecutionRecord)> {
        self.executions.range(ends(transform))
    }
}

/// Everything of a transform, whenever it was.
fn ends(transform: &TransformId) -> std::ops::RangeInclusive<(TransformId, Timestamp)> {
    let at = |micros| (transform.clone(), Timestamp::from_micros(micros));
    at(i64::MIN)..=at(i64::MAX)
}

/// Beside a store that has the other ports, which the checks of a commit need.
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::store::sqlite::SqliteStore;
    use crate::catalog::store::{Stores, contract};

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let others = SqliteStore::open(folder.path().join("shirabe.db")).unwrap().stores();
        let memory = Arc::new(MemoryStore::default());
        let stores =
            Stores { transforms: Arc::clone(&memory) as _, executions: Arc::clone(&memory) as _, ..others };
        contract::run_transforms_alone(&stores).await;
    }
}
