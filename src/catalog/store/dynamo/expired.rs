//! Versions that wait for the collector, in the table `expired_versions`.
//!
//! A deleted dataset can have more versions than a transaction has room for. So its deletion leaves one item, a
//! tombstone, in the same transaction; the versions follow it one by one, at once, or, after a crash, before somebody
//! asks what has expired. Each step may be repeated.

use async_trait::async_trait;

use super::DynamoStore;
use super::item::{Attributes, Fields, Item, age, key, moment, number, text};
use super::page::{self, Query};
use super::schema::{AGE, DIRECTORY, EXPIRED, EXPIRED_BY_AGE, VERSIONS};
use crate::catalog::record::ExpiredVersion;
use crate::catalog::store::{ExpiredStore, Page, PageRequest, StoreError};
use crate::clock::Timestamp;
use crate::ids::DatasetId;
use crate::limits::PAGE_ITEMS_MAX;

const DIRECTORY_OF_VERSIONS: &str = "EXPIRED";
const DIRECTORY_OF_TOMBSTONES: &str = "DELETED";
/// Where a version has its label. No label looks so.
const TOMBSTONE: &str = "*";

#[async_trait]
impl ExpiredStore for DynamoStore {
    async fn add(&self, expired: &ExpiredVersion) -> Result<(), StoreError> {
        let ExpiredVersion { dataset_id, label, expired_at } = expired;
        self.put_all(&EXPIRED, vec![write(dataset_id, label, *expired_at).finish(String::new)?]).await
    }

    async fn expired(
        &self,
        before: Timestamp,
        request: PageRequest,
    ) -> Result<Page<ExpiredVersion>, StoreError> {
        let tombstones = Query::of_index(&EXPIRED, &EXPIRED_BY_AGE, DIRECTORY_OF_TOMBSTONES);
        for tombstone in self.first(&tombstones, PAGE_ITEMS_MAX).await? {
            let tombstone = read(&tombstone)?;
            self.bury(&tombstone.dataset_id, tombstone.expired_at).await?;
        }
        let query = Query::of_index(&EXPIRED, &EXPIRED_BY_AGE, DIRECTORY_OF_VERSIONS).before(moment(before));
        page::read(self.page(query, request).await?, read)
    }

    async fn forget(&self, expired: &ExpiredVersion) -> Result<(), StoreError> {
        self.delete(&EXPIRED, key_of(&expired.dataset_id, &expired.label)).await
    }
}

impl DynamoStore {
    /// Moves what is left of a deleted dataset to the expired versions, and then removes its tombstone.
    pub(super) async fn bury(&self, id: &DatasetId, at: Timestamp) -> Result<(), StoreError> {
        let query = Query::of_table(&VERSIONS, id.as_str());
        loop {
            let versions = self.first(&query, PAGE_ITEMS_MAX).await?;
            if versions.is_empty() {
                return self.delete(&EXPIRED, key_of(id, TOMBSTONE)).await;
            }
            let (mut expired, mut gone) = (Vec::new(), Vec::new());
            for version in &versions {
                let version = Fields::of("version", version);
                expired.push(write(id, &version.text("label")?, at).finish(String::new)?);
                let number = version.number::<u64>("number")?;
                gone.push(version_key(id, number));
            }
            self.put_all(&EXPIRED, expired).await?;
            self.delete_all(&VERSIONS, gone).await?;
        }
    }
}

pub(super) fn version_key(id: &DatasetId, at: u64) -> Attributes {
    let mut whole = key(VERSIONS.key.name, id.as_str());
    whole.insert("number".to_owned(), number(at));
    whole
}

/// One version that expired.
pub(super) fn write(id: &DatasetId, label: &str, at: Timestamp) -> Item {
    item(id, label, at, DIRECTORY_OF_VERSIONS)
}

/// A whole dataset whose versions are still to follow.
pub(super) fn tombstone(id: &DatasetId, at: Timestamp) -> Item {
    item(id, TOMBSTONE, at, DIRECTORY_OF_TOMBSTONES)
}

fn item(id: &DatasetId, label: &str, at: Timestamp, directory: &str) -> Item {
    Item::new()
        .text(EXPIRED.key.name, id.as_str())
        .text("label", label)
        .time("expiredAt", at)
        .text(DIRECTORY.name, directory)
        .text(AGE.name, age(at, &format!("{id}#{label}")))
}

fn key_of(id: &DatasetId, label: &str) -> Attributes {
    let mut whole = key(EXPIRED.key.name, id.as_str());
    whole.insert("label".to_owned(), text(label));
    whole
}

fn read(item: &Attributes) -> Result<ExpiredVersion, StoreError> {
    let item = Fields::of("expired version", item);
    Ok(ExpiredVersion {
        dataset_id: item.parsed(EXPIRED.key.name)?,
        label: item.text("label")?,
        expired_at: item.time("expiredAt")?,
    })
}
