//! Who did what, in the table `audit_records`.

use async_trait::async_trait;
use rusqlite::{Transaction, named_params};

use super::place::Place;
use super::{SqliteStore, doc};
use crate::catalog::record::AuditRecord;
use crate::catalog::store::{AuditStore, Page, PageRequest, StoreError};

const APPEND: &str = include_str!("../../../../sql/store/audit_append.sql");
const LIST: &str = include_str!("../../../../sql/store/audit_list.sql");

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append(&self, record: AuditRecord) -> Result<(), StoreError> {
        self.database.append(move |tx| append(tx, &record)).await
    }

    async fn list(&self, page: PageRequest) -> Result<Page<AuditRecord>, StoreError> {
        let place = Place::of(page, (i64::MAX, String::new()))?;
        self.database
            .read(move |tx| {
                let (timestamp, id) = &place.after;
                let mut statement = tx.prepare_cached(LIST)?;
                let mut rows = statement.query(named_params! {
                    ":timestamp": timestamp, ":id": id, ":limit": place.row_limit(),
                })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let key: (i64, String) = (row.get(1)?, row.get(2)?);
                    found.push((key, doc::read(&row.get::<_, String>(0)?)?));
                }
                place.page(found)
            })
            .await
    }
}

/// Appends inside a transaction, so that a commit and its record are one.
pub(super) fn append(tx: &Transaction<'_>, record: &AuditRecord) -> Result<(), StoreError> {
    tx.prepare_cached(APPEND)?.execute(named_params! {
        ":id": record.id.as_str(), ":timestamp": record.timestamp.micros(), ":doc": doc::write(record)?,
    })?;
    Ok(())
}
