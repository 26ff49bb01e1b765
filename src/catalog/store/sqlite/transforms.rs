//! Transforms, in the tables `transforms` and `transform_inputs`.

use async_trait::async_trait;
use rusqlite::{Transaction, named_params};

use super::place::Place;
use super::revision::Table;
use super::{SqliteStore, doc};
use crate::catalog::store::{Owner, Page, PageRequest, StoreError, TransformStore};
use crate::catalog::transform::TransformRecord;
use crate::ids::{DatasetId, TransformId};

const TABLE: Table = Table {
    noun: "transform",
    known: "select exists (select 1 from transforms where id = ?)",
    insert: include_str!("../../../../sql/store/transforms_insert.sql"),
    update: include_str!("../../../../sql/store/transforms_update.sql"),
};
const LIST_ALL: &str = include_str!("../../../../sql/store/transforms_list_all.sql");
const LIST_OWNED: &str = include_str!("../../../../sql/store/transforms_list_owned.sql");
const READERS: &str = include_str!("../../../../sql/store/transforms_readers.sql");
const LIVE: &str = include_str!("../../../../sql/store/transforms_live.sql");

/// `(created_at, id)`, by which transforms are listed.
type TransformPlace = Place<(i64, String)>;

#[async_trait]
impl TransformStore for SqliteStore {
    async fn lookup(&self, ids: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError> {
        let ids = doc::write(&ids)?;
        let sql = "select doc from transforms where id in (select value from json_each(?))";
        self.database.read(move |tx| doc::query(tx, sql, [ids])).await
    }

    async fn list(
        &self,
        owner: &Owner,
        page: PageRequest,
    ) -> Result<(Page<TransformRecord>, u64), StoreError> {
        let owner = match owner {
            Owner::Anyone => None,
            Owner::User(id) => Some(id.as_str().to_owned()),
        };
        let place = TransformPlace::of(page, (i64::MAX, String::new()))?;
        self.database
            .read(move |tx| Ok((page_of(tx, owner.as_deref(), &place)?, count(tx, owner.as_deref())?)))
            .await
    }

    async fn put(&self, mut record: TransformRecord) -> Result<u64, StoreError> {
        let read = record.revision;
        record.revision += 1;
        let doc = doc::write(&record)?;
        self.database
            .write(move |tx| {
                let id = record.id.as_str();
                let values = named_params! {
                    ":id": id, ":owner_id": record.owner_id.as_str(), ":created_at": record.created_at.micros(),
                    ":live": record.schedule.is_live(), ":next": record.revision.cast_signed(), ":doc": doc,
                };
                TABLE.put(tx, id, read, values, || format!("the transform id `{id}`"))?;
                tx.execute("delete from transform_inputs where transform_id = ?", [id])?;
                // One that is read twice, under two aliases, is an input once.
                let sql = "insert or ignore into transform_inputs (dataset_id, transform_id) values (?, ?)";
                let mut input = tx.prepare_cached(sql)?;
                for dataset in record.input_ids() {
                    input.execute([dataset.as_str(), id])?;
                }
                Ok(record.revision)
            })
            .await
    }

    async fn remove(&self, id: &TransformId, revision: u64) -> Result<(), StoreError> {
        let id = id.clone();
        let sql = "delete from transforms where id = ? and revision = ?";
        self.database
            .write(move |tx| match tx.execute(sql, (id.as_str(), revision.cast_signed()))? {
                0 => Err(TABLE.conflict(id.as_str())),
                _ => Ok(()),
            })
            .await
    }

    async fn readers(&self, id: &DatasetId) -> Result<Vec<TransformRecord>, StoreError> {
        let id = id.clone();
        self.database.read(move |tx| doc::query(tx, READERS, [id.as_str()])).await
    }

    async fn scheduled(&self, page: PageRequest) -> Result<Page<TransformRecord>, StoreError> {
        let place = Place::of(page, String::new())?;
        self.database
            .read(move |tx| {
                let mut statement = tx.prepare_cached(LIVE)?;
                let mut rows =
                    statement.query(named_params! { ":id": place.after, ":limit": place.row_limit() })?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push((row.get(1)?, doc::read(&row.get::<_, String>(0)?)?));
                }
                place.page(found)
            })
            .await
    }
}

fn page_of(
    tx: &Transaction<'_>,
    owner: Option<&str>,
    place: &TransformPlace,
) -> Result<Page<TransformRecord>, StoreError> {
    let (created_at, id) = &place.after;
    let limit = place.row_limit();
    let mut statement = tx.prepare_cached(if owner.is_some() { LIST_OWNED } else { LIST_ALL })?;
    let mut rows = match owner {
        Some(owner) => statement.query(named_params! {
            ":owner_id": owner, ":created_at": created_at, ":id": id, ":limit": limit,
        })?,
        None => statement.query(named_params! { ":created_at": created_at, ":id": id, ":limit": limit })?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: (i64, String) = (row.get(1)?, row.get(2)?);
        found.push((key, doc::read(&row.get::<_, String>(0)?)?));
    }
    place.page(found)
}

fn count(tx: &Transaction<'_>, owner: Option<&str>) -> Result<u64, StoreError> {
    let count: i64 = match owner {
        None => tx.query_row("select count(*) from transforms", [], |row| row.get(0))?,
        Some(owner) => {
            let sql = "select count(*) from transforms where owner_id = ?";
            tx.query_row(sql, [owner], |row| row.get(0))?
        }
    };
    Ok(count.cast_unsigned())
}
