//! A worker remembers no queries: the service does.

use std::sync::Arc;

use async_trait::async_trait;

use crate::catalog::record::QueryRecord;
use crate::catalog::store::{HistoryStore, Owner, Page, PageRequest, StoreError};
use crate::ids::QueryId;

#[derive(Debug)]
pub(super) struct NoHistory;

#[async_trait]
impl HistoryStore for NoHistory {
    async fn append(&self, _: &[Arc<QueryRecord>]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn get(&self, _: &QueryId) -> Result<Option<QueryRecord>, StoreError> {
        Ok(None)
    }

    async fn list(&self, _: &Owner, _: PageRequest) -> Result<Page<QueryRecord>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn count(&self, _: &Owner) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn trim(&self, _: u64) -> Result<u64, StoreError> {
        Ok(0)
    }
}
