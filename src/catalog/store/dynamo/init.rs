//! Making the tables. Running it again makes only what is missing, and changes nothing that is there.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    Projection, ProjectionType, ScalarAttributeType, SseSpecification, SseType, TableStatus,
    TimeToLiveSpecification,
};

use futures::{StreamExt as _, TryStreamExt as _};

use super::DynamoStore;
use super::check::{check_keys, missing_indexes};
use super::schema::{Index, Key, Kind, TABLES, Table};
use crate::catalog::store::StoreError;

/// Tables that are made at the same time.
const AT_ONCE: usize = 8;
/// How often it looks whether a table is ready, and for how long: an index of a large table takes time to fill.
const LOOKS_MAX: u32 = 1_800;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const RECOVERY_TRIES_MAX: u32 = 120;
/// A local server is ready at once.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// What became of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// With the prefix.
    pub name: String,
    pub made: bool,
    /// Indexes that were added to a table that was there.
    pub indexes_added: Vec<String>,
    /// Whether it can be restored to any moment of the last weeks; not every local server can do that.
    pub has_recovery: bool,
}

impl TableState {
    /// What became of it, in words.
    #[must_use]
    pub fn told(&self) -> String {
        let done = match self.indexes_added.as_slice() {
            _ if self.made => "made".to_owned(),
            [] => "there".to_owned(),
            added => format!("there, added {}", added.join(", ")),
        };
        if self.has_recovery { done } else { format!("{done}; this server has no recovery to a moment") }
    }
}

impl DynamoStore {
    /// Makes the tables and indexes that are missing.
    ///
    /// # Errors
    /// `Unusable`, which names the server or the table and says what to do.
    pub async fn init(&self) -> Result<Vec<TableState>, StoreError> {
        let tables: Vec<_> = TABLES.iter().map(|table| self.init_table(table)).collect();
        futures::stream::iter(tables).buffered(AT_ONCE).try_collect().await
    }

    async fn init_table(&self, table: &Table) -> Result<TableState, StoreError> {
        let name = self.name(table);
        let mut indexes_added = Vec::new();
        let found = self.describe(table).await?;
        let made = found.is_none();
        if let Some(found) = found {
            check_keys(table, &found)?;
            self.ready(table).await?;
            // DynamoDB adds one at a time.
            for index in missing_indexes(table, &found) {
                self.add_index(table, index).await?;
                self.ready(table).await?;
                indexes_added.push(index.name.to_owned());
            }
        } else {
            self.make(table).await?;
            self.ready(table).await?;
        }
        self.expire(table).await?;
        let has_recovery = self.allow_recovery(table).await?;
        Ok(TableState { name, made, indexes_added, has_recovery })
    }

    pub(super) async fn make(&self, table: &Table) -> Result<(), StoreError> {
        let indexes = table.indexes.iter().map(|index| {
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(key_schema(index.key_attributes())?))
                .projection(everything())
                .build()
                .map_err(StoreError::from)
        });
        let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
        let keys = table.key_attributes().chain(table.indexes.iter().flat_map(Index::key_attributes));
        let call = self
            .client
            .create_table()
            .table_name(self.name(table))
            .set_key_schema(Some(key_schema(table.key_attributes())?))
            .set_attribute_definitions(Some(definitions(keys)?))
            .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
            .billing_mode(BillingMode::PayPerRequest)
            .sse_specification(SseSpecification::builder().enabled(true).sse_type(SseType::Kms).build());
        match call.send().await {
            Ok(_) => Ok(()),
            // Somebody else makes it at the same time.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    async fn add_index(&self, table: &Table, index: &Index) -> Result<(), StoreError> {
        let create = CreateGlobalSecondaryIndexAction::builder()
            .index_name(index.name)
            .set_key_schema(Some(key_schema(index.key_attributes())?))
            .projection(everything())
            .build()?;
        let call = self
            .client
            .update_table()
            .table_name(self.name(table))
            .set_attribute_definitions(Some(definitions(index.key_attributes())?))
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(create).build());
        call.send().await.map(drop).map_err(|error| self.unreachable(&error))
    }

    /// Waits until the table and its indexes can be used.
    async fn ready(&self, table: &Table) -> Result<(), StoreError> {
        for look in 0..LOOKS_MAX {
            let found = self.describe(table).await?;
            let ready = found.is_some_and(|found| {
                let mut indexes = found.global_secondary_indexes().iter();
                found.table_status == Some(TableStatus::Active)
                    && indexes.all(|index| index.index_status == Some(IndexStatus::Active))
            });
            if ready {
                return Ok(());
            }
            tokio::time::sleep(if look == 0 { FIRST_LOOK } else { LOOK_INTERVAL }).await;
        }
        Err(self.not_yet(table))
    }

    /// Lets DynamoDB remove items whose time is over.
    async fn expire(&self, table: &Table) -> Result<(), StoreError> {
        let Some(attribute) = table.expiry else { return Ok(()) };
        let now = self.client.describe_time_to_live().table_name(self.name(table)).send().await;
        let now = now.map_err(|error| self.unreachable(&error))?.time_to_live_description;
        if now.is_some_and(|now| now.attribute_name() == Some(attribute)) {
            return Ok(());
        }
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build()?;
        let call = self.client.update_time_to_live().table_name(self.name(table));
        let call = call.time_to_live_specification(wanted).send().await;
        call.map(drop).map_err(|error| self.unreachable(&error))
    }

    /// Turns on recovery to a moment, where the server has it.
    async fn allow_recovery(&self, table: &Table) -> Result<bool, StoreError> {
        let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build()?;
        for _ in 0..RECOVERY_TRIES_MAX {
            let call = self.client.update_continuous_backups().table_name(self.name(table));
            match call.point_in_time_recovery_specification(on.clone()).send().await {
                Ok(_) => return Ok(true),
                Err(error) if is_unknown(error.code()) => return Ok(false),
                // A new table gets its backups a moment after it is active.
                Err(error) if error.code() == Some("ContinuousBackupsUnavailableException") => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        Err(self.not_yet(table))
    }

    fn not_yet(&self, table: &Table) -> StoreError {
        let (place, name) = (self.place(), self.name(table));
        let why = format!("{place} still makes the table `{name}`: run `shirabe init-tables` again later");
        StoreError::Unusable(why)
    }
}

/// Local servers do not know all operations.
fn is_unknown(code: Option<&str>) -> bool {
    matches!(code, Some("UnknownOperationException" | "UnknownOperation"))
}

fn everything() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}

fn key_schema(keys: impl Iterator<Item = Key>) -> Result<Vec<KeySchemaElement>, StoreError> {
    let elements = keys.enumerate().map(|(at, key)| {
        let kind = if at == 0 { KeyType::Hash } else { KeyType::Range };
        Ok(KeySchemaElement::builder().attribute_name(key.name).key_type(kind).build()?)
    });
    elements.collect()
}

/// The types of key attributes, each once.
fn definitions(keys: impl Iterator<Item = Key>) -> Result<Vec<AttributeDefinition>, StoreError> {
    let kinds: BTreeMap<&str, Kind> = keys.map(|key| (key.name, key.kind)).collect();
    let definitions = kinds.into_iter().map(|(name, kind)| {
        let kind = match kind {
            Kind::Text => ScalarAttributeType::S,
            Kind::Number => ScalarAttributeType::N,
        };
        Ok(AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?)
    });
    definitions.collect()
}
