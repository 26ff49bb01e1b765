//! Commits: a change, the execution that ends with it, its record in the audit log and its commit id, in one
//! transaction.

use rusqlite::{Transaction, named_params};

use super::error::is_duplicate;
use super::{audit, doc, executions};
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{Change, Commit, StoreError};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::ids::DatasetId;
use crate::limits;

const INSERT_COMMIT: &str = include_str!("../../../../sql/store/commits_insert.sql");
const INSERT: &str = include_str!("../../../../sql/store/datasets_insert.sql");
const PUBLISH: &str = include_str!("../../../../sql/store/datasets_publish.sql");
const UPDATE: &str = include_str!("../../../../sql/store/datasets_update.sql");
const VERSION: &str = include_str!("../../../../sql/store/versions_insert.sql");
const EXPIRE_ALL: &str = include_str!("../../../../sql/store/versions_expire_all.sql");
const EXPIRE_ONE: &str = include_str!("../../../../sql/store/versions_expire_one.sql");

/// Makes the change inside `tx`; on an error the caller rolls all of it back.
pub(super) fn apply(tx: &Transaction<'_>, commit: Commit) -> Result<(), StoreError> {
    let now = SystemClock.now().seconds();
    let forget = now - limits::COMMITS_KEPT.as_secs().cast_signed();
    tx.prepare_cached("delete from commits where at < ?")?.execute([forget])?;
    match tx.prepare_cached(INSERT_COMMIT)?.execute(named_params! { ":id": commit.id.as_str(), ":now": now })
    {
        Err(cause) if is_duplicate(&cause) => {
            return Err(StoreError::Conflict(format!("commit `{}`", commit.id)));
        }
        other => other?,
    };
    match commit.change {
        Change::Create(record) => create(tx, record)?,
        Change::Publish(record) => {
            let version = record.current.clone();
            replace(tx, PUBLISH, record)?;
            add_version(tx, &version)?;
        }
        Change::Update(record) => replace(tx, UPDATE, record)?,
        Change::Delete { id, revision, at } => delete(tx, &id, revision, at)?,
        Change::Expire { id, number, at } => expire(tx, &id, number, at)?,
    }
    if let Some(record) = commit.execution {
        executions::end(tx, record)?;
    }
    match commit.audit {
        Some(record) => audit::append(tx, &record),
        None => Ok(()),
    }
}

fn create(tx: &Transaction<'_>, mut record: DatasetRecord) -> Result<(), StoreError> {
    if record.revision != 0 {
        return Err(conflict(&record.id));
    }
    record.revision = 1;
    let known = "select exists (select 1 from datasets where id = ?)";
    if tx.query_row(known, [record.id.as_str()], |row| row.get(0))? {
        return Err(StoreError::Taken(format!("the dataset id `{}`", record.id)));
    }
    let doc = doc::write(&record)?;
    let written = tx.prepare_cached(INSERT)?.execute(named_params! {
        ":id": record.id.as_str(), ":name_key": record.name_key.as_str(),
        ":owner_id": record.owner_id.as_str(), ":created_at": record.created_at.micros(),
        ":current_number": record.current.number.cast_signed(), ":next": 1, ":doc": doc,
    });
    check_name_free(written, &record)?;
    add_version(tx, &record.current)
}

/// Stores a record over the one it was read from.
fn replace(tx: &Transaction<'_>, sql: &str, mut record: DatasetRecord) -> Result<(), StoreError> {
    let read = record.revision;
    record.revision += 1;
    let doc = doc::write(&record)?;
    let written = tx.prepare_cached(sql)?.execute(named_params! {
        ":id": record.id.as_str(), ":name_key": record.name_key.as_str(),
        ":owner_id": record.owner_id.as_str(),
        ":current_number": record.current.number.cast_signed(),
        ":read": read.cast_signed(), ":next": record.revision.cast_signed(), ":doc": doc,
    });
    match check_name_free(written, &record)? {
        0 => Err(conflict(&record.id)),
        _ => Ok(()),
    }
}

fn add_version(tx: &Transaction<'_>, version: &VersionRecord) -> Result<(), StoreError> {
    let doc = doc::write(version)?;
    let written = tx.prepare_cached(VERSION)?.execute(named_params! {
        ":dataset_id": version.dataset_id.as_str(), ":number": version.number.cast_signed(),
        ":label": version.label, ":doc": doc,
    });
    match written {
        Err(cause) if is_duplicate(&cause) => Err(conflict(&version.dataset_id)),
        other => other.map(drop).map_err(StoreError::from),
    }
}

fn delete(tx: &Transaction<'_>, id: &DatasetId, revision: u64, at: Timestamp) -> Result<(), StoreError> {
    let read: Result<i64, _> =
        tx.query_row("select revision from datasets where id = ?", [id.as_str()], |row| row.get(0));
    match read {
        Ok(stored) if stored == revision.cast_signed() => {}
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => return Err(conflict(id)),
        Err(cause) => return Err(cause.into()),
    }
    tx.execute(EXPIRE_ALL, named_params! { ":id": id.as_str(), ":at": at.micros() })?;
    tx.execute("delete from versions where dataset_id = ?", [id.as_str()])?;
    tx.execute("delete from datasets where id = ?", [id.as_str()])?;
    Ok(())
}

fn expire(tx: &Transaction<'_>, id: &DatasetId, number: u64, at: Timestamp) -> Result<(), StoreError> {
    let number = number.cast_signed();
    let values = named_params! { ":id": id.as_str(), ":number": number, ":at": at.micros() };
    if tx.execute(EXPIRE_ONE, values)? == 0 {
        return Err(StoreError::Conflict(format!("version {number} of dataset `{id}`")));
    }
    tx.execute("delete from versions where dataset_id = ? and number = ?", (id.as_str(), number))?;
    Ok(())
}

fn check_name_free(written: rusqlite::Result<usize>, record: &DatasetRecord) -> Result<usize, StoreError> {
    written.map_err(|cause| {
        if is_duplicate(&cause) {
            StoreError::Taken(format!("the dataset name `{}`", record.name))
        } else {
            cause.into()
        }
    })
}

fn conflict(id: &DatasetId) -> StoreError {
    StoreError::Conflict(format!("dataset `{id}`"))
}
