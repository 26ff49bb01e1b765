//! Versions that wait for the collector, in the table `expired_versions`.

use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};

use super::SqliteStore;
use super::place::Place;
use crate::catalog::record::ExpiredVersion;
use crate::catalog::store::{ExpiredStore, Page, PageRequest, StoreError};
use crate::clock::Timestamp;
use crate::ids::DatasetId;

const LIST: &str = include_str!("../../../../sql/store/expired_list.sql");

#[async_trait]
impl ExpiredStore for SqliteStore {
    async fn add(&self, expired: &ExpiredVersion) -> Result<(), StoreError> {
        let ExpiredVersion { dataset_id: id, label, expired_at } = expired.clone();
        let sql = "insert or replace into expired_versions (dataset_id, label, expired_at) values (?, ?, ?)";
        let added = move |tx: &Transaction<'_>| {
            Ok(tx.execute(sql, (id.as_str(), label, expired_at.micros())).map(drop)?)
        };
        self.database.write(added).await
    }

    async fn expired(
        &self,
        before: Timestamp,
        page: PageRequest,
    ) -> Result<Page<ExpiredVersion>, StoreError> {
        let place = Place::of(page, (i64::MIN, String::new(), String::new()))?;
        self.database
            .read(move |tx| {
                let (expired_at, dataset_id, label) = &place.after;
                let mut statement = tx.prepare_cached(LIST)?;
                let mut rows = statement.query(named_params! {
                    ":before": before.micros(), ":expired_at": expired_at, ":dataset_id": dataset_id,
                    ":label": label, ":limit": place.row_limit(),
                })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let expired = read(row)?;
                    let key = (
                        expired.expired_at.micros(),
                        expired.dataset_id.as_str().to_owned(),
                        expired.label.clone(),
                    );
                    found.push((key, expired));
                }
                place.page(found)
            })
            .await
    }

    async fn forget(&self, expired: &ExpiredVersion) -> Result<(), StoreError> {
        let (id, label) = (expired.dataset_id.clone(), expired.label.clone());
        let sql = "delete from expired_versions where dataset_id = ? and label = ?";
        self.database.write(move |tx| Ok(tx.execute(sql, (id.as_str(), label)).map(drop)?)).await
    }
}

fn read(row: &Row<'_>) -> Result<ExpiredVersion, StoreError> {
    let id: String = row.get(0)?;
    Ok(ExpiredVersion {
        dataset_id: DatasetId::parse(&id).map_err(|cause| StoreError::Corrupt(cause.to_string()))?,
        label: row.get(1)?,
        expired_at: Timestamp::from_micros(row.get(2)?),
    })
}
