//! Who did what, in the table `audit_logs`.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::DynamoStore;
use super::item::{Attributes, Fields, Item, age};
use super::page::{self, Query};
use super::schema::{AGE, AUDIT, AUDIT_BY_AGE, DIRECTORY};
use crate::catalog::record::AuditRecord;
use crate::catalog::store::{AuditStore, Page, PageRequest, StoreError};

const DIRECTORY_OF_ALL: &str = "LOGS";
/// A key of an index has room for 2048 bytes and must not be empty; what does not fit stands beside it.
const TARGET_BYTES_MAX: usize = 2048;

#[async_trait]
impl AuditStore for DynamoStore {
    async fn append(&self, record: AuditRecord) -> Result<(), StoreError> {
        self.put(&AUDIT, write(&record)?, || format!("audit record `{}`", record.id)).await
    }

    async fn list(&self, request: PageRequest) -> Result<Page<AuditRecord>, StoreError> {
        let query = Query::of_index(&AUDIT, &AUDIT_BY_AGE, DIRECTORY_OF_ALL).descending();
        page::read(self.page(query, request).await?, read)
    }
}

pub(super) fn write(record: &AuditRecord) -> Result<Item, StoreError> {
    let (target, long_target) = match record.target_id.as_str() {
        "" => (None, None),
        id if id.len() <= TARGET_BYTES_MAX => (Some(id), None),
        id => (None, Some(id)),
    };
    Item::new()
        .text(AUDIT.key.name, record.id.as_str())
        .time("timestamp", record.timestamp)
        .word("eventType", record.event)?
        .optional_text("userId", record.user_id.as_ref().map(|id| id.as_str()))
        .text("targetType", &record.target_type)
        .optional_text("targetId", target)
        .optional_text("targetText", long_target)
        .optional_text("requestId", record.request_id.as_deref())
        .text(DIRECTORY.name, DIRECTORY_OF_ALL)
        .text(AGE.name, age(record.timestamp, record.id.as_str()))
        .json("details", &record.details)
}

fn read(item: &Attributes) -> Result<AuditRecord, StoreError> {
    let item = Fields::of("audit record", item);
    let target = item.optional_text("targetId").or_else(|| item.optional_text("targetText"));
    Ok(AuditRecord {
        id: item.parsed(AUDIT.key.name)?,
        timestamp: item.time("timestamp")?,
        event: item.word("eventType")?,
        user_id: item.optional_parsed("userId")?,
        target_type: item.text_or_empty("targetType"),
        target_id: target.unwrap_or_default(),
        details: item.json_or::<Value>("details", json!({}))?,
        request_id: item.optional_text("requestId"),
    })
}
