//! Executions of transforms, in the table `executions`.
//!
//! Whoever runs one says so again and again, so writing one leaves what is recalled by key as it is: nothing of these
//! records is ever recalled.

use async_trait::async_trait;
use rusqlite::{ToSql, Transaction, named_params};

use super::error::is_duplicate;
use super::place::Place;
use super::{SqliteStore, doc};
use crate::catalog::store::{Begun, ExecutionStore, Page, PageRequest, StoreError};
use crate::catalog::transform::ExecutionRecord;
use crate::clock::Timestamp;
use crate::ids::{ExecutionId, TransformId};

const INSERT: &str = include_str!("../../../../sql/store/executions_insert.sql");
const UPDATE: &str = include_str!("../../../../sql/store/executions_update.sql");
const LIST: &str = include_str!("../../../../sql/store/executions_list.sql");
const RUNNING: &str = include_str!("../../../../sql/store/executions_running.sql");
const TRIM: &str = include_str!("../../../../sql/store/executions_trim.sql");

#[async_trait]
impl ExecutionStore for SqliteStore {
    async fn begin(&self, record: ExecutionRecord) -> Result<Begun, StoreError> {
        self.database.append(move |tx| begin(tx, record)).await
    }

    async fn put(&self, record: ExecutionRecord) -> Result<u64, StoreError> {
        self.database.append(move |tx| put(tx, record)).await
    }

    async fn get(
        &self,
        transform: &TransformId,
        id: &ExecutionId,
    ) -> Result<Option<ExecutionRecord>, StoreError> {
        let key = [transform.as_str().to_owned(), id.as_str().to_owned()];
        let sql = "select doc from executions where transform_id = ? and id = ?";
        self.database.read(move |tx| doc::query_one(tx, sql, key)).await
    }

    async fn list(
        &self,
        transform: &TransformId,
        page: PageRequest,
    ) -> Result<(Page<ExecutionRecord>, u64), StoreError> {
        let transform = transform.clone();
        let place = Place::of(page, i64::MAX)?;
        self.database
            .read(move |tx| {
                let mut statement = tx.prepare_cached(LIST)?;
                let mut rows = statement.query(named_params! {
                    ":transform_id": transform.as_str(), ":started_at": place.after,
                    ":limit": place.row_limit(),
                })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((row.get(1)?, doc::read(&row.get::<_, String>(0)?)?));
                }
                let sql = "select count(*) from executions where transform_id = ?";
                let count: i64 = tx.query_row(sql, [transform.as_str()], |row| row.get(0))?;
                Ok((place.page(found)?, count.cast_unsigned()))
            })
            .await
    }

    async fn running(&self, page: PageRequest) -> Result<Page<ExecutionRecord>, StoreError> {
        let place = Place::of(page, String::new())?;
        self.database
            .read(move |tx| {
                let mut statement = tx.prepare_cached(RUNNING)?;
                let mut rows = statement.query(named_params! {
                    ":transform_id": place.after, ":limit": place.row_limit(),
                })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((row.get(1)?, doc::read(&row.get::<_, String>(0)?)?));
                }
                place.page(found)
            })
            .await
    }

    async fn last_due(&self, transform: &TransformId) -> Result<Option<Timestamp>, StoreError> {
        let transform = transform.clone();
        let sql = "select max(scheduled_at) from executions where transform_id = ? and due = 1";
        let last: Option<i64> = self
            .database
            .read(move |tx| Ok(tx.query_row(sql, [transform.as_str()], |row| row.get(0))?))
            .await?;
        Ok(last.map(Timestamp::from_micros))
    }

    async fn trim(&self, transform: &TransformId, keep: u64, since: Timestamp) -> Result<u64, StoreError> {
        let transform = transform.clone();
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        self.database
            .append(move |tx| {
                let values = named_params! {
                    ":transform_id": transform.as_str(), ":keep": keep, ":since": since.micros(),
                };
                Ok(tx.prepare_cached(TRIM)?.execute(values)? as u64)
            })
            .await
    }
}

fn begin(tx: &Transaction<'_>, mut record: ExecutionRecord) -> Result<Begun, StoreError> {
    if record.revision != 0 {
        return Err(conflict(&record.id));
    }
    if let Some(due) = record.scheduled_at {
        let sql = "select exists (select 1 from executions where transform_id = ? and scheduled_at = ?)";
        if tx.query_row(sql, (record.transform_id.as_str(), due.micros()), |row| row.get(0))? {
            return Ok(Begun::AlreadyDone);
        }
    }
    if record.is_running() {
        let sql = "select doc from executions where transform_id = ? and running = 1";
        if let Some(running) = doc::query_one(tx, sql, [record.transform_id.as_str()])? {
            return Ok(Begun::AlreadyRunning(Box::new(running)));
        }
    }
    record.revision = 1;
    write(tx, INSERT, &record, &[])?;
    Ok(Begun::Yes)
}

fn put(tx: &Transaction<'_>, record: ExecutionRecord) -> Result<u64, StoreError> {
    let ran = record.is_running();
    replace(tx, record, ran)
}

/// Stores one that ran until now. Inside a transaction, so that a commit and the end of its execution are one.
pub(super) fn end(tx: &Transaction<'_>, record: ExecutionRecord) -> Result<(), StoreError> {
    replace(tx, record, true).map(drop)
}

/// Stores a record over the one that it was read from; with `ran`, only over one that runs.
fn replace(tx: &Transaction<'_>, mut record: ExecutionRecord, ran: bool) -> Result<u64, StoreError> {
    let read = record.revision.cast_signed();
    record.revision += 1;
    match write(tx, UPDATE, &record, &[(":read", &read), (":ran", &ran)])? {
        0 => Err(conflict(&record.id)),
        _ => Ok(record.revision),
    }
}

/// Writes the row of a record, and says how many there were to write.
fn write(
    tx: &Transaction<'_>,
    sql: &str,
    record: &ExecutionRecord,
    more: &[(&str, &dyn ToSql)],
) -> Result<usize, StoreError> {
    let doc = doc::write(record)?;
    let scheduled_at = record.scheduled_at.map(Timestamp::micros);
    let values = named_params! {
        ":id": record.id.as_str(), ":transform_id": record.transform_id.as_str(),
        ":started_at": record.started_at.micros(), ":scheduled_at": scheduled_at,
        ":due": record.due_at().is_some(), ":running": record.is_running(),
        ":next": record.revision.cast_signed(), ":doc": doc,
    };
    match tx.prepare_cached(sql)?.execute([values, more].concat().as_slice()) {
        // What else must be there once was looked for: its id or its start is.
        Err(cause) if is_duplicate(&cause) => Err(conflict(&record.id)),
        other => Ok(other?),
    }
}

fn conflict(id: &ExecutionId) -> StoreError {
    StoreError::Conflict(format!("execution `{id}`"))
}
