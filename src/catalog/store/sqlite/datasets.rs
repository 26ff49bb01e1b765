//! Datasets and their versions, in the tables `datasets` and `versions`: reading them.
//! Changing them is in [`super::commit`].

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Row, Transaction, named_params};

use super::place::Place;
use super::{SqliteStore, commit, doc};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{Commit, DatasetStore, Owner, Page, PageRequest, StoreError};
use crate::ids::{CommitId, DatasetId};
use crate::write_steps::write_step;

const LIST_ALL: &str = include_str!("../../../../sql/store/datasets_list_all.sql");
const LIST_OWNED: &str = include_str!("../../../../sql/store/datasets_list_owned.sql");
const VERSIONS: &str = include_str!("../../../../sql/store/versions_list.sql");

/// `(created_at, id)`, by which datasets are listed.
type DatasetPlace = Place<(i64, String)>;

/// Sorts before the newest dataset there can be.
const NEWEST: (i64, String) = (i64::MAX, String::new());

#[async_trait]
impl DatasetStore for SqliteStore {
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError> {
        let key = ("datasets", doc::write(&(ids, names))?);
        let count = ids.len() + names.len();
        let (ids, names) = (ids.to_vec(), names.to_vec());
        let read = move |tx: &Transaction<'_>| {
            let by_id = ids.iter().map(|id| ("select doc from datasets where id = ?", id.as_str()));
            let by_name =
                names.iter().map(|name| ("select doc from datasets where name_key = ?", name.as_str()));
            let mut seen = HashSet::new();
            let mut found = Vec::new();
            for (sql, key) in by_id.chain(by_name) {
                let dataset: Option<DatasetRecord> = doc::query_one(tx, sql, [key])?;
                found.extend(dataset.filter(|dataset| seen.insert(dataset.id.clone())));
            }
            Ok(found)
        };
        self.database.recall(key, count, read).await
    }

    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<(Page<DatasetRecord>, u64), StoreError> {
        let owner = owner.clone();
        let place = DatasetPlace::of(page, NEWEST)?;
        self.database.read(move |tx| Ok((page_of(tx, &owner, &place)?, count(tx, &owner)?))).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let applied = move |tx: &Transaction<'_>| {
            commit::apply(tx, commit)?;
            write_step!("commit.applied");
            Ok(())
        };
        self.database.write(applied).await?;
        write_step!("commit.done");
        Ok(())
    }

    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError> {
        let id = id.clone();
        let sql = "select exists (select 1 from commits where id = ?)";
        self.database.read(move |tx| Ok(tx.query_row(sql, [id.as_str()], |row| row.get(0))?)).await
    }

    async fn versions(&self, id: &DatasetId, page: PageRequest) -> Result<Page<VersionRecord>, StoreError> {
        let id = id.clone();
        let place = Place::of(page, i64::MAX)?;
        self.database
            .read(move |tx| {
                let mut statement = tx.prepare_cached(VERSIONS)?;
                let mut rows = statement.query(named_params! {
                    ":dataset_id": id.as_str(), ":number": place.after, ":limit": place.row_limit(),
                })?;
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
    owner: &Owner,
    place: &DatasetPlace,
) -> Result<Page<DatasetRecord>, StoreError> {
    let limit = place.row_limit();
    let mut values = named_params! {
        ":created_at": place.after.0, ":id": place.after.1, ":limit": limit,
    }
    .to_vec();
    let owner_id = match owner {
        Owner::Anyone => None,
        Owner::User(id) => Some(id.as_str()),
    };
    let sql = if owner_id.is_some() {
        values.push((":owner_id", &owner_id));
        LIST_OWNED
    } else {
        LIST_ALL
    };
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(values.as_slice())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((dataset_key(row)?, doc::read(&row.get::<_, String>(0)?)?));
    }
    place.page(found)
}

fn dataset_key(row: &Row<'_>) -> rusqlite::Result<(i64, String)> {
    Ok((row.get(1)?, row.get(2)?))
}

fn count(tx: &Transaction<'_>, owner: &Owner) -> Result<u64, StoreError> {
    let n_datasets: i64 = match owner {
        Owner::Anyone => tx.query_row("select count(*) from datasets", [], |row| row.get(0))?,
        Owner::User(id) => {
            let sql = "select count(*) from datasets where owner_id = ?";
            tx.query_row(sql, [id.as_str()], |row| row.get(0))?
        }
    };
    Ok(n_datasets.cast_unsigned())
}
