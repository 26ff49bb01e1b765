//! People, in the table `users`.

use async_trait::async_trait;
use rusqlite::{Transaction, named_params};

use super::revision::Table;
use super::{SqliteStore, doc};
use crate::auth::Role;
use crate::catalog::record::UserRecord;
use crate::catalog::store::{StoreError, UserStore};
use crate::ids::UserId;

const TABLE: Table = Table {
    noun: "user",
    known: "select exists (select 1 from users where id = ?)",
    insert: include_str!("../../../../sql/store/users_insert.sql"),
    update: include_str!("../../../../sql/store/users_update.sql"),
};
const SEARCH: &str = include_str!("../../../../sql/store/users_search.sql");

#[async_trait]
impl UserStore for SqliteStore {
    async fn lookup(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        let (count, ids) = (ids.len(), doc::write(&ids)?);
        let sql = "select doc from users where id in (select value from json_each(?))";
        let key = ("users", ids.clone());
        self.database.recall(key, count, move |tx| doc::query(tx, sql, [ids])).await
    }

    async fn by_email(&self, email: &str) -> Result<Option<UserRecord>, StoreError> {
        let email = email.to_owned();
        self.database
            .read(move |tx| doc::query_one(tx, "select doc from users where email = ?", [email]))
            .await
    }

    async fn search(&self, part: &str, after: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError> {
        let (part, after) = (part.to_owned(), after.to_owned());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read(move |tx| {
                doc::query(tx, SEARCH, named_params! { ":part": part, ":after": after, ":limit": limit })
            })
            .await
    }

    async fn put(&self, record: UserRecord) -> Result<u64, StoreError> {
        self.database.write(move |tx| put(tx, record)).await
    }

    async fn put_beside_admin(&self, record: UserRecord, admin: &UserId) -> Result<u64, StoreError> {
        let admin = admin.clone();
        let sql = "select exists (select 1 from users where id = ? and enabled_admin = 1)";
        self.database
            .write(move |tx| {
                if !tx.query_row(sql, [admin.as_str()], |row| row.get(0))? {
                    return Err(TABLE.conflict(admin.as_str()));
                }
                put(tx, record)
            })
            .await
    }

    async fn enabled_admins(&self, limit: usize) -> Result<Vec<UserRecord>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "select doc from users where enabled_admin = 1 order by email limit ?";
        self.database.read(move |tx| doc::query(tx, sql, [limit])).await
    }

    async fn any(&self) -> Result<bool, StoreError> {
        let sql = "select exists (select 1 from users)";
        self.database.read(move |tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).await
    }
}

fn put(tx: &Transaction<'_>, mut record: UserRecord) -> Result<u64, StoreError> {
    let read = record.revision;
    record.revision += 1;
    let doc = doc::write(&record)?;
    let enabled_admin = record.role == Role::Admin && !record.disabled;
    let values = named_params! {
        ":id": record.id.as_str(), ":email": record.email, ":enabled_admin": enabled_admin,
        ":next": record.revision.cast_signed(), ":doc": doc,
    };
    let taken = || format!("the e-mail address `{}`", record.email);
    TABLE.put(tx, record.id.as_str(), read, values, taken)?;
    Ok(record.revision)
}
