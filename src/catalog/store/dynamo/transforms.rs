//! Transforms: not kept in DynamoDB yet.

use async_trait::async_trait;

use super::DynamoStore;
use crate::catalog::store::{Owner, Page, PageRequest, StoreError, TransformStore};
use crate::catalog::transform::TransformRecord;
use crate::ids::{DatasetId, TransformId};

pub(super) fn not_yet() -> StoreError {
    StoreError::Unusable("keeps no transforms when it is DynamoDB".to_owned())
}

#[async_trait]
impl TransformStore for DynamoStore {
    async fn lookup(&self, _: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError> {
        Err(not_yet())
    }

    async fn list(&self, _: &Owner, _: PageRequest) -> Result<(Page<TransformRecord>, u64), StoreError> {
        Err(not_yet())
    }

    async fn put(&self, _: TransformRecord) -> Result<u64, StoreError> {
        Err(not_yet())
    }

    async fn remove(&self, _: &TransformId, _: u64) -> Result<(), StoreError> {
        Err(not_yet())
    }

    async fn readers(&self, _: &DatasetId) -> Result<Vec<TransformRecord>, StoreError> {
        Err(not_yet())
    }

    async fn scheduled(&self, _: PageRequest) -> Result<Page<TransformRecord>, StoreError> {
        Err(not_yet())
    }
}
