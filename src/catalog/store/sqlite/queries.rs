//! Queries that have ended, in the table `queries`.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::named_params;

use super::place::Place;
use super::{SqliteStore, doc};
use crate::catalog::record::QueryRecord;
use crate::catalog::store::{HistoryStore, Owner, Page, PageRequest, StoreError};
use crate::ids::QueryId;

const APPEND: &str = include_str!("../../../../sql/store/queries_append.sql");
const LIST_ALL: &str = include_str!("../../../../sql/store/queries_list_all.sql");
const LIST_OWNED: &str = include_str!("../../../../sql/store/queries_list_owned.sql");
const TRIM: &str = include_str!("../../../../sql/store/queries_trim.sql");

#[async_trait]
impl HistoryStore for SqliteStore {
    async fn append(&self, records: &[Arc<QueryRecord>]) -> Result<(), StoreError> {
        let records = records.to_vec();
        self.database
            .append(move |tx| {
                let mut statement = tx.prepare_cached(APPEND)?;
                for record in &records {
                    statement.execute(named_params! {
                        ":id": record.id.as_str(), ":user_id": record.user_id.as_str(),
                        ":asked_at": record.asked_at.micros(), ":doc": doc::write(record.as_ref())?,
                    })?;
                }
                Ok(())
            })
            .await
    }

    async fn get(&self, id: &QueryId) -> Result<Option<QueryRecord>, StoreError> {
        let id = id.clone();
        self.database
            .read(move |tx| doc::query_one(tx, "select doc from queries where id = ?", [id.as_str()]))
            .await
    }

    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<Page<QueryRecord>, StoreError> {
        let place = Place::of(page, (i64::MAX, String::new()))?;
        let user = match owner {
            Owner::Anyone => None,
            Owner::User(id) => Some(id.clone()),
        };
        self.database
            .read(move |tx| {
                let (asked_at, id) = &place.after;
                let limit = place.row_limit();
                let mut statement = tx.prepare_cached(if user.is_some() { LIST_OWNED } else { LIST_ALL })?;
                let mut rows = match &user {
                    Some(user) => statement.query(named_params! {
                        ":user_id": user.as_str(), ":asked_at": asked_at, ":id": id, ":limit": limit,
                    })?,
                    None => statement
                        .query(named_params! { ":asked_at": asked_at, ":id": id, ":limit": limit })?,
                };
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let key: (i64, String) = (row.get(1)?, row.get(2)?);
                    found.push((key, doc::read(&row.get::<_, String>(0)?)?));
                }
                place.page(found)
            })
            .await
    }

    async fn count(&self, owner: &Owner) -> Result<u64, StoreError> {
        let user = match owner {
            Owner::Anyone => None,
            Owner::User(id) => Some(id.clone()),
        };
        let count: i64 = self
            .database
            .read(move |tx| {
                Ok(match &user {
                    Some(user) => {
                        let sql = "select count(*) from queries where user_id = ?";
                        tx.prepare_cached(sql)?.query_row([user.as_str()], |row| row.get(0))?
                    }
                    None => {
                        tx.prepare_cached("select count(*) from queries")?.query_row([], |row| row.get(0))?
                    }
                })
            })
            .await?;
        Ok(count.cast_unsigned())
    }

    async fn trim(&self, keep: u64) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        self.database
            .append(move |tx| Ok(tx.prepare_cached(TRIM)?.execute(named_params! { ":keep": keep })? as u64))
            .await
    }
}
