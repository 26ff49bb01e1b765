//! Queries that have ended, in the table `queries`.
//!
//! Lists show how many there are, so each is added and removed together with the counters of its user and of all: a
//! record that is offered twice is refused, and counted once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, ITEM_BYTES_MAX, Item, age, key};
use super::page::{self, Query};
use super::schema::{AGE, DIRECTORY, QUERIES, QUERIES_BY_AGE, QUERIES_BY_USER};
use super::transaction::{NotDone, Refused, Transaction, Unless};
use crate::catalog::record::QueryRecord;
use crate::catalog::store::{HistoryStore, Owner, Page, PageRequest, StoreError};
use crate::ids::QueryId;

const DIRECTORY_OF_ALL: &str = "QUERIES";
/// Queries of one transaction: with a counter for the user of each, and one for all, it has room for 49.
const TOGETHER_MAX: usize = 49;
/// Bytes of them: a transaction may have 4 MB.
const TOGETHER_BYTES_MAX: usize = 3 << 20;

#[async_trait]
impl HistoryStore for DynamoStore {
    async fn append(&self, records: &[Arc<QueryRecord>]) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let (mut together, mut bytes) = (Vec::new(), 0);
        for record in records.iter().filter(|record| seen.insert(&record.id)) {
            let more = write(record)?.bytes();
            if more > ITEM_BYTES_MAX {
                // It never will fit, and the others behind it must not wait for it.
                tracing::warn!(query.id = %record.id, bytes = more, "a query is too large for the history");
                continue;
            }
            if together.len() == TOGETHER_MAX || bytes + more > TOGETHER_BYTES_MAX {
                self.append_some(std::mem::take(&mut together)).await?;
                bytes = 0;
            }
            together.push(Arc::clone(record));
            bytes += more;
        }
        self.append_some(together).await
    }

    async fn get(&self, id: &QueryId) -> Result<Option<QueryRecord>, StoreError> {
        let found = DynamoStore::get(self, &QUERIES, key(QUERIES.key.name, id.as_str())).await?;
        found.as_ref().map(read).transpose()
    }

    async fn list(&self, owner: &Owner, request: PageRequest) -> Result<Page<QueryRecord>, StoreError> {
        let query = match owner {
            Owner::Anyone => Query::of_index(&QUERIES, &QUERIES_BY_AGE, DIRECTORY_OF_ALL),
            Owner::User(id) => Query::of_index(&QUERIES, &QUERIES_BY_USER, id.as_str()),
        };
        page::read(self.page(query.descending(), request).await?, read)
    }

    async fn count(&self, owner: &Owner) -> Result<u64, StoreError> {
        self.counter(&counter(owner)).await
    }

    async fn trim(&self, keep: u64) -> Result<u64, StoreError> {
        let mut left = self.counter(&counter(&Owner::Anyone)).await?.saturating_sub(keep);
        let mut forgotten = 0;
        let oldest = Query::of_index(&QUERIES, &QUERIES_BY_AGE, DIRECTORY_OF_ALL);
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(TOGETHER_MAX);
            let found = self.first(&oldest, some).await?;
            let found = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let removed = self.forget_some(found).await?;
            // The index is behind, or another replica forgets too: the next time finds the rest.
            if removed == 0 {
                break;
            }
            forgotten += removed;
            left = left.saturating_sub(removed);
        }
        Ok(forgotten)
    }
}

impl DynamoStore {
    async fn append_some(&self, mut records: Vec<Arc<QueryRecord>>) -> Result<(), StoreError> {
        while !records.is_empty() {
            let mut writes = Transaction::new(self);
            for record in &records {
                let twice = Unless::Conflict(noun(record.id.as_str()));
                writes.put_if(&QUERIES, write(record)?, Condition::absent(&QUERIES), twice)?;
            }
            count(&mut writes, records.iter().map(|record| record.user_id.as_str()), 1);
            match writes.run().await {
                Ok(()) => return Ok(()),
                Err(NotDone::Refused(refused)) => remove_refused(&mut records, &refused)?,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    /// Forgets these, and says how many of them were still there.
    async fn forget_some(&self, mut records: Vec<QueryRecord>) -> Result<u64, StoreError> {
        while !records.is_empty() {
            let mut writes = Transaction::new(self);
            for record in &records {
                let gone = Unless::Conflict(noun(record.id.as_str()));
                let there = Condition::present(&QUERIES);
                writes.delete_if(&QUERIES, key(QUERIES.key.name, record.id.as_str()), there, gone);
            }
            count(&mut writes, records.iter().map(|record| record.user_id.as_str()), -1);
            match writes.run().await {
                Ok(()) => break,
                Err(NotDone::Refused(refused)) => remove_refused(&mut records, &refused)?,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(records.len() as u64)
    }
}

/// Leaves out what stands, or does not stand, there already.
fn remove_refused<T>(records: &mut Vec<T>, refused: &[Refused]) -> Result<(), StoreError> {
    let before = records.len();
    let mut at = 0..;
    records.retain(|_| at.next().is_some_and(|at| refused.iter().all(|refused| refused.at != at)));
    // Each turn must leave fewer.
    if records.len() == before {
        Err(StoreError::Corrupt("a refusal of no record".to_owned()))
    } else {
        Ok(())
    }
}

fn count<'a>(writes: &mut Transaction<'_>, users: impl Iterator<Item = &'a str>, by: i64) {
    let mut of_user: HashMap<&str, i64> = HashMap::new();
    let mut all = 0;
    for user in users {
        *of_user.entry(user).or_default() += by;
        all += by;
    }
    for (user, by) in of_user {
        writes.count(counter_of(user), by);
    }
    writes.count(counter(&Owner::Anyone), all);
}

fn counter(owner: &Owner) -> String {
    match owner {
        Owner::Anyone => "queries".to_owned(),
        Owner::User(id) => counter_of(id.as_str()),
    }
}

fn counter_of(user: &str) -> String {
    format!("queries#{user}")
}

fn noun(id: &str) -> String {
    format!("query `{id}`")
}

fn write(record: &QueryRecord) -> Result<Item, StoreError> {
    Item::new()
        .text(QUERIES.key.name, record.id.as_str())
        .text("userId", record.user_id.as_str())
        .time("askedAt", record.asked_at)
        .text(DIRECTORY.name, DIRECTORY_OF_ALL)
        .text(AGE.name, age(record.asked_at, record.id.as_str()))
        .word("outcome", record.outcome)?
        .json("record", record)
}

fn read(item: &Attributes) -> Result<QueryRecord, StoreError> {
    Fields::of("query", item).json("record")
}
