//! API keys, in the table `api_keys`.

use async_trait::async_trait;

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, Item, age, key};
use super::page::Query;
use super::schema::{AGE, API_KEYS, KEYS_BY_USER};
use super::transaction::{NotDone, Transaction, Unless};
use crate::catalog::record::KeyRecord;
use crate::catalog::store::{KeyStore, StoreError};
use crate::ids::{KeyId, UserId};
use crate::limits::KEYS_PER_USER_MAX;

#[async_trait]
impl KeyStore for DynamoStore {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let found = DynamoStore::get(self, &API_KEYS, key(API_KEYS.key.name, id.as_str())).await?;
        found.as_ref().map(read).transpose()
    }

    async fn of_user(&self, user: &UserId) -> Result<Vec<KeyRecord>, StoreError> {
        let query = Query::of_index(&API_KEYS, &KEYS_BY_USER, user.as_str()).descending();
        self.first(&query, KEYS_PER_USER_MAX).await?.iter().map(read).collect()
    }

    async fn add(&self, record: KeyRecord) -> Result<(), StoreError> {
        let unless = Unless::Taken(format!("the key id `{}`", record.id));
        let mut writes = Transaction::new(self);
        writes.put_if(&API_KEYS, write(&record)?, Condition::absent(&API_KEYS), unless)?;
        Ok(writes.run().await?)
    }

    async fn remove(&self, id: &KeyId) -> Result<bool, StoreError> {
        let unless = Unless::Conflict(format!("key `{id}`"));
        let mut writes = Transaction::new(self);
        let there = Condition::present(&API_KEYS);
        writes.delete_if(&API_KEYS, key(API_KEYS.key.name, id.as_str()), there, unless);
        match writes.run().await {
            Ok(()) => Ok(true),
            Err(NotDone::Refused(_)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

fn write(record: &KeyRecord) -> Result<Item, StoreError> {
    let item = Item::new()
        .text(API_KEYS.key.name, record.id.as_str())
        .text("userId", record.user_id.as_str())
        .text("name", &record.name)
        .word("scope", record.scope)?
        .text("secretSha256", &record.secret_sha256)
        .time("createdAt", record.created_at)
        .text(AGE.name, age(record.created_at, record.id.as_str()));
    Ok(match record.expires_at {
        Some(at) => item.time("expiresAt", at),
        None => item,
    })
}

fn read(item: &Attributes) -> Result<KeyRecord, StoreError> {
    let item = Fields::of("key", item);
    Ok(KeyRecord {
        id: item.parsed(API_KEYS.key.name)?,
        user_id: item.parsed("userId")?,
        name: item.text_or_empty("name"),
        scope: item.word("scope")?,
        secret_sha256: item.text("secretSha256")?,
        created_at: item.time("createdAt")?,
        expires_at: item.optional_time("expiresAt")?,
    })
}
