//! API keys, in the table `api_keys`.

use async_trait::async_trait;
use rusqlite::named_params;

use super::error::is_duplicate;
use super::{SqliteStore, doc};
use crate::catalog::record::KeyRecord;
use crate::catalog::store::{KeyStore, StoreError};
use crate::ids::{KeyId, UserId};
use crate::limits::KEYS_PER_USER_MAX;

const OF_USER: &str = include_str!("../../../../sql/store/keys_of_user.sql");

#[async_trait]
impl KeyStore for SqliteStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let id = id.clone();
        self.database
            .recall(("api_key", id.to_string()), 1, move |tx| {
                doc::query_one(tx, "select doc from api_keys where id = ?", [id.as_str()])
            })
            .await
    }

    async fn of_user(&self, user: &UserId) -> Result<Vec<KeyRecord>, StoreError> {
        let (user, limit) = (user.clone(), i64::try_from(KEYS_PER_USER_MAX).unwrap_or(i64::MAX));
        self.database
            .read(move |tx| {
                doc::query(tx, OF_USER, named_params! { ":user_id": user.as_str(), ":limit": limit })
            })
            .await
    }

    async fn add(&self, record: KeyRecord) -> Result<(), StoreError> {
        let doc = doc::write(&record)?;
        let sql = "insert into api_keys (id, user_id, created_at, doc) values (?, ?, ?, ?)";
        self.database
            .write(move |tx| {
                let values = (record.id.as_str(), record.user_id.as_str(), record.created_at.micros(), doc);
                match tx.execute(sql, values) {
                    Ok(_) => Ok(()),
                    Err(cause) if is_duplicate(&cause) => {
                        Err(StoreError::Taken(format!("the key id `{}`", record.id)))
                    }
                    Err(cause) => Err(cause.into()),
                }
            })
            .await
    }

    async fn remove(&self, id: &KeyId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.database
            .write(move |tx| Ok(tx.execute("delete from api_keys where id = ?", [id.as_str()])? == 1))
            .await
    }
}
