//! Executions of transforms: not kept in DynamoDB yet.

use async_trait::async_trait;

use super::DynamoStore;
use super::transforms::not_yet;
use crate::catalog::store::{Begun, ExecutionStore, Page, PageRequest, StoreError};
use crate::catalog::transform::ExecutionRecord;
use crate::clock::Timestamp;
use crate::ids::{ExecutionId, TransformId};

#[async_trait]
impl ExecutionStore for DynamoStore {
    async fn begin(&self, _: ExecutionRecord) -> Result<Begun, StoreError> {
        Err(not_yet())
    }

    async fn put(&self, _: ExecutionRecord) -> Result<u64, StoreError> {
        Err(not_yet())
    }

    async fn get(&self, _: &TransformId, _: &ExecutionId) -> Result<Option<ExecutionRecord>, StoreError> {
        Err(not_yet())
    }

    async fn list(
        &self,
        _: &TransformId,
        _: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError> {
        Err(not_yet())
    }

    async fn running(&self, _: PageRequest) -> Result<Page<ExecutionRecord>, StoreError> {
        Err(not_yet())
    }

    async fn last_due(&self, _: &TransformId) -> Result<Option<Timestamp>, StoreError> {
        Err(not_yet())
    }

    async fn trim(&self, _: &TransformId, _: u64, _: Timestamp) -> Result<u64, StoreError> {
        Err(not_yet())
    }
}
