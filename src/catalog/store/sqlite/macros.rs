//! Macros, in the table `macros`.

use async_trait::async_trait;
use rusqlite::named_params;

use super::revision::Table;
use super::{SqliteStore, doc};
use crate::catalog::name::NameKey;
use crate::catalog::record::{MacroRecord, MacroScope};
use crate::catalog::store::{MacroStore, StoreError};
use crate::ids::MacroId;
use crate::limits::MACROS_PER_SCOPE_MAX;

const TABLE: Table = Table {
    noun: "macro",
    known: "select exists (select 1 from macros where id = ?)",
    insert: include_str!("../../../../sql/store/macros_insert.sql"),
    update: include_str!("../../../../sql/store/macros_update.sql"),
};
const OF: &str = include_str!("../../../../sql/store/macros_of.sql");

#[async_trait]
impl MacroStore for SqliteStore {
    async fn get(&self, id: &MacroId) -> Result<Option<MacroRecord>, StoreError> {
        let id = id.clone();
        self.database
            .read(move |tx| doc::query_one(tx, "select doc from macros where id = ?", [id.as_str()]))
            .await
    }

    async fn lookup(&self, scopes: &[MacroScope], names: &[NameKey]) -> Result<Vec<MacroRecord>, StoreError> {
        let (scopes, names) = (scopes.to_vec(), names.to_vec());
        self.database
            .read(move |tx| {
                let mut found = Vec::new();
                for scope in &scopes {
                    for name in &names {
                        let sql = "select doc from macros where scope = ? and name_key = ?";
                        found.extend(doc::query_one::<MacroRecord>(tx, sql, [text(scope), name.as_str()])?);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn of(&self, scope: &MacroScope) -> Result<Vec<MacroRecord>, StoreError> {
        let (scope, limit) = (scope.clone(), i64::try_from(MACROS_PER_SCOPE_MAX).unwrap_or(i64::MAX));
        self.database
            .read(move |tx| doc::query(tx, OF, named_params! { ":scope": text(&scope), ":limit": limit }))
            .await
    }

    async fn put(&self, mut record: MacroRecord) -> Result<u64, StoreError> {
        let read = record.revision;
        record.revision += 1;
        let doc = doc::write(&record)?;
        self.database
            .write(move |tx| {
                let scope = record.scope();
                let values = named_params! {
                    ":id": record.id.as_str(), ":scope": text(&scope), ":name_key": record.name_key.as_str(),
                    ":next": record.revision.cast_signed(), ":doc": doc,
                };
                let taken = || format!("the macro name `{}`", record.name);
                TABLE.put(tx, record.id.as_str(), read, values, taken)?;
                Ok(record.revision)
            })
            .await
    }

    async fn remove(&self, id: &MacroId, revision: u64) -> Result<(), StoreError> {
        let id = id.clone();
        let sql = "delete from macros where id = ? and revision = ?";
        self.database
            .write(move |tx| match tx.execute(sql, (id.as_str(), revision.cast_signed()))? {
                0 => Err(TABLE.conflict(id.as_str())),
                _ => Ok(()),
            })
            .await
    }
}

/// A scope as it is stored.
fn text(scope: &MacroScope) -> &str {
    match scope {
        MacroScope::User(id) => id.as_str(),
        MacroScope::Shared => "shared",
    }
}
