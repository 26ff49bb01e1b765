//! Queries that have ended, on their way into the store.
//!
//! Why not at once: a write to the store takes longer than a small query does. Ended queries wait here, in bounded
//! memory, and are stored many at a time; a process that dies loses the last moment's. No query waits or fails
//! because its history cannot be kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::catalog::record::QueryRecord;
use crate::catalog::store::{HistoryStore, Owner, PageRequest, StoreError};
use crate::error::Result;
use crate::ids::QueryId;
use crate::telemetry::{HISTORY_DROPPED, HISTORY_WRITE_FAILURES};

/// Queries that wait to be stored.
const WAITING_MAX: usize = 16_384;
/// Bytes of their statements.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Queries that are stored in one go.
const WRITTEN_MAX: usize = 2048;

/// Queries that have ended, stored or not.
#[derive(Debug)]
pub(super) struct History {
    store: Arc<dyn HistoryStore>,
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Arc<QueryRecord>>,
    bytes: usize,
}

impl Waiting {
    fn pop(&mut self) -> Option<Arc<QueryRecord>> {
        let record = self.records.pop_front()?;
        self.bytes -= record.statement.len();
        Some(record)
    }
}

impl History {
    pub(super) fn new(store: Arc<dyn HistoryStore>) -> Self {
        Self { store, waiting: Mutex::default(), more: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a query; when there is no room, the oldest goes.
    pub(super) fn push(&self, record: QueryRecord) {
        let mut waiting = self.waiting();
        waiting.bytes += record.statement.len();
        waiting.records.push_back(Arc::new(record));
        while waiting.records.len() > WAITING_MAX || waiting.bytes > WAITING_BYTES_MAX {
            drop(waiting.pop());
            metrics::counter!(HISTORY_DROPPED).increment(1);
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// The newest `count` queries of `owner` that have ended, those that were asked last first.
    pub(super) async fn newest(&self, owner: &Owner, count: usize) -> Result<Vec<Arc<QueryRecord>>> {
        // Before the store is read: what is stored meanwhile is then in both, and not in neither.
        let waiting: Vec<_> = self.waiting().records.iter().cloned().collect();
        let mut found = waiting;
        found.retain(|record| owns(owner, record));
        let (mut page, mut stored) = (PageRequest::first(count), 0);
        loop {
            let part = self.store.list(owner, page).await?;
            stored += part.items.len();
            found.extend(part.items.into_iter().map(Arc::new));
            match part.next {
                Some(after) if stored < count => {
                    page = PageRequest { after: Some(after), limit: count - stored }
                }
                _ => break,
            }
        }
        found.sort_by(|a, b| (b.asked_at, &b.id).cmp(&(a.asked_at, &a.id)));
        found.dedup_by(|a, b| a.id == b.id);
        found.truncate(count);
        Ok(found)
    }

    /// How many queries of `owner` have ended.
    pub(super) async fn count(&self, owner: &Owner) -> Result<u64> {
        let waiting = self.waiting().records.iter().filter(|record| owns(owner, record)).count();
        Ok(self.store.count(owner).await? + waiting as u64)
    }

    /// The ended query with this id.
    pub(super) async fn get(&self, id: &QueryId) -> Result<Option<QueryRecord>> {
        let waiting = self.waiting().records.iter().find(|record| record.id == *id).cloned();
        match waiting {
            Some(record) => Ok(Some(record.as_ref().clone())),
            None => Ok(self.store.get(id).await?),
        }
    }

    /// Waits until there is one to store.
    pub(super) async fn changed(&self) {
        while self.waiting().records.is_empty() {
            self.more.notified().await;
        }
    }

    /// Stores what there is. What the store does not take stays for the next time.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        loop {
            let some: Vec<_> = self.waiting().records.iter().take(WRITTEN_MAX).cloned().collect();
            let Some(last) = some.last().cloned() else { return Ok(()) };
            if let Err(error) = self.store.append(&some).await {
                metrics::counter!(HISTORY_WRITE_FAILURES).increment(1);
                return Err(error);
            }
            // They stayed visible until they were stored. The oldest may have been dropped meanwhile.
            let mut waiting = self.waiting();
            if waiting.records.iter().any(|record| Arc::ptr_eq(record, &last)) {
                while waiting.pop().is_some_and(|record| !Arc::ptr_eq(&record, &last)) {}
            }
        }
    }

    /// Forgets all but the newest `keep` that are stored.
    pub(super) async fn trim(&self, keep: u64) -> Result<u64, StoreError> {
        self.store.trim(keep).await
    }
}

fn owns(owner: &Owner, record: &QueryRecord) -> bool {
    match owner {
        Owner::Anyone => true,
        Owner::User(user) => record.user_id == *user,
    }
}
