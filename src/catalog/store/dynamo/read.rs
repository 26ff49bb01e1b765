//! Items by their keys, and writes that need no condition.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};

use super::error::failed;
use super::item::{Attributes, Item, key};
use super::schema::{COUNTERS, Table};
use super::{DynamoStore, pause};
use crate::catalog::store::StoreError;

/// Keys that one call may ask for.
const KEYS_MAX: usize = 100;
/// Items that one call may write.
const WRITES_MAX: usize = 25;
/// How often what a call left over is asked for again.
const ATTEMPTS_MAX: u32 = 8;

impl DynamoStore {
    /// The item under a key, as it is at this moment.
    pub(super) async fn get(&self, table: &Table, key: Attributes) -> Result<Option<Attributes>, StoreError> {
        let call = self.client.get_item().table_name(self.name(table)).set_key(Some(key));
        Ok(call.consistent_read(true).send().await.map_err(failed)?.item)
    }

    /// The number that a counter has.
    pub(super) async fn counter(&self, counter: &str) -> Result<u64, StoreError> {
        let found = self.get(&COUNTERS, key(COUNTERS.key.name, counter)).await?;
        let Some(found) = found else { return Ok(0) };
        super::item::Fields::of("counter", &found).number("itemCount")
    }

    /// The items under these keys of one or several tables, each once, as they are at this moment, and in no order.
    pub(super) async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = (&'static Table, String)>,
    ) -> Result<Vec<(&'static Table, Attributes)>, StoreError> {
        // DynamoDB refuses to be asked for one twice.
        let mut seen = HashSet::new();
        let keys: Vec<_> =
            keys.into_iter().filter(|(table, key)| seen.insert((table.name, key.clone()))).collect();
        let chunks = keys.chunks(KEYS_MAX).map(|chunk| self.batch_get_some(chunk));
        Ok(futures::future::try_join_all(chunks).await?.concat())
    }

    async fn batch_get_some(
        &self,
        keys: &[(&'static Table, String)],
    ) -> Result<Vec<(&'static Table, Attributes)>, StoreError> {
        let mut left: HashMap<String, KeysAndAttributes> = HashMap::new();
        let mut tables: HashMap<String, &'static Table> = HashMap::new();
        for (table, _) in keys {
            tables.insert(self.name(table), table);
        }
        for (name, table) in &tables {
            let of_table = keys.iter().filter(|(other, _)| other == table);
            let of_table = of_table.map(|(_, value)| whole_key(table, value)).collect();
            let wanted =
                KeysAndAttributes::builder().set_keys(Some(of_table)).consistent_read(true).build()?;
            left.insert(name.clone(), wanted);
        }
        let mut found = Vec::new();
        for attempt in 0..ATTEMPTS_MAX {
            if left.is_empty() {
                return Ok(found);
            }
            if attempt > 0 {
                pause(attempt).await;
            }
            let answer = self.client.batch_get_item().set_request_items(Some(left)).send().await;
            let answer = answer.map_err(failed)?;
            for (name, items) in answer.responses.unwrap_or_default() {
                if let Some(table) = tables.get(&name) {
                    found.extend(items.into_iter().map(|item| (*table, item)));
                }
            }
            left = answer.unprocessed_keys.unwrap_or_default();
        }
        if left.is_empty() { Ok(found) } else { Err(left_over()) }
    }

    /// Puts an item over whatever there is: for records that are written once and never change.
    pub(super) async fn put(
        &self,
        table: &Table,
        item: Item,
        what: impl FnOnce() -> String,
    ) -> Result<(), StoreError> {
        let item = item.finish(what)?;
        let call = self.client.put_item().table_name(self.name(table)).set_item(Some(item));
        call.send().await.map(drop).map_err(failed)
    }

    /// Removes an item, if it is there.
    pub(super) async fn delete(&self, table: &Table, key: Attributes) -> Result<(), StoreError> {
        let call = self.client.delete_item().table_name(self.name(table)).set_key(Some(key));
        call.send().await.map(drop).map_err(failed)
    }

    pub(super) async fn put_all(&self, table: &Table, items: Vec<Attributes>) -> Result<(), StoreError> {
        let puts = items.into_iter().map(|item| {
            let put = PutRequest::builder().set_item(Some(item)).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        self.write_all(table, puts.collect::<Result<_, StoreError>>()?).await
    }

    pub(super) async fn delete_all(&self, table: &Table, keys: Vec<Attributes>) -> Result<(), StoreError> {
        let deletes = keys.into_iter().map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        self.write_all(table, deletes.collect::<Result<_, StoreError>>()?).await
    }

    async fn write_all(&self, table: &Table, writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        for chunk in writes.chunks(WRITES_MAX) {
            let mut left = HashMap::from([(self.name(table), chunk.to_vec())]);
            let mut attempt = 0;
            while !left.is_empty() {
                if attempt == ATTEMPTS_MAX {
                    return Err(left_over());
                }
                if attempt > 0 {
                    pause(attempt).await;
                }
                let answer = self.client.batch_write_item().set_request_items(Some(left)).send().await;
                left = answer.map_err(failed)?.unprocessed_items.unwrap_or_default();
                attempt += 1;
            }
        }
        Ok(())
    }
}

/// A primary key by its first attribute. Datasets are the one table with a second that is always the same.
fn whole_key(table: &Table, value: &str) -> Attributes {
    let mut whole = key(table.key.name, value);
    if let Some(sort) = table.sort {
        whole.insert(sort.name.to_owned(), AttributeValue::S(super::dataset_item::METADATA.to_owned()));
    }
    whole
}

/// DynamoDB answered again and again that it has no room for the rest.
fn left_over() -> StoreError {
    StoreError::Unavailable("a part of a batch was left over each time".into())
}
