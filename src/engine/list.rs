//! The list of queries as callers see it: their own, or all for an administrator; those that run, and the history.

use super::Engine;
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::record::QueryRecord;
use crate::catalog::store::{Owner, StoreError};
use crate::error::{Error, Result};
use crate::ids::QueryId;

/// Which queries are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct QueryFilter {
    /// Only those that run or wait, or only those that have ended.
    pub live: Option<bool>,
}

impl Engine {
    /// The newest `count` queries that the caller may see, those that were asked last first, and how many there
    /// are in all.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn queries(
        &self,
        principal: &Principal,
        filter: QueryFilter,
        count: usize,
    ) -> Result<(Vec<QueryRecord>, u64)> {
        let (mut found, mut total) = (Vec::new(), 0);
        if filter.live != Some(false) {
            let live = self.0.running.all();
            found.extend(live.into_iter().filter(|record| may_see(principal, record).is_ok()));
            total += found.len() as u64;
        }
        if filter.live != Some(true) {
            let owner = seen_by(principal);
            let ended = self.0.history.newest(&owner, count).await?;
            found.extend(ended.into_iter().map(|record| record.as_ref().clone()));
            total += self.0.history.count(&owner).await?;
        }
        found.sort_by(|a, b| (b.asked_at, &b.id).cmp(&(a.asked_at, &a.id)));
        // One that ended between the two looks is in both.
        found.dedup_by(|a, b| a.id == b.id);
        found.truncate(count);
        Ok((found, total))
    }

    /// One query.
    ///
    /// # Errors
    /// `NotFound` for one that never was, was forgotten, or is not the caller's.
    pub async fn query(&self, principal: &Principal, id: &QueryId) -> Result<QueryRecord> {
        let record = match self.0.running.get(id) {
            Some(live) => Some(live),
            None => self.0.history.get(id).await?,
        };
        let record = record.ok_or_else(|| Error::not_found("query", id))?;
        may_see(principal, &record)?;
        Ok(record)
    }

    /// Ends a query. One that has ended is left as it is.
    ///
    /// # Errors
    /// `NotFound` as [`Engine::query`]; `Forbidden` for a caller that may only read.
    pub async fn cancel(&self, principal: &Principal, id: &QueryId) -> Result<()> {
        let record = self.query(principal, id).await?;
        authorize(principal, Action::CancelQuery, &Object::Query { id, owner: &record.user_id })?;
        self.0.running.cancel(id);
        Ok(())
    }

    /// Waits until a query has ended that is not in the store yet.
    pub async fn history_changed(&self) {
        self.0.history.changed().await;
    }

    /// Stores the queries that have ended.
    ///
    /// # Errors
    /// What the store failed with; they wait for the next time.
    pub async fn store_history(&self) -> Result<(), StoreError> {
        self.0.history.flush().await
    }

    /// Forgets the oldest queries beyond the number that is kept, and returns how many.
    ///
    /// # Errors
    /// What the store failed with.
    pub async fn trim_history(&self) -> Result<u64, StoreError> {
        self.0.history.trim(self.0.config.history_max).await
    }
}

fn may_see(principal: &Principal, record: &QueryRecord) -> Result<()> {
    authorize(principal, Action::ReadQuery, &Object::Query { id: &record.id, owner: &record.user_id })
}

/// Whose queries a caller sees.
pub(super) fn seen_by(principal: &Principal) -> Owner {
    if principal.sees_all() { Owner::Anyone } else { Owner::User(principal.user_id.clone()) }
}
