//! Writing a record whose revision is the one that was read.

use rusqlite::{ToSql, Transaction};

use super::error::is_duplicate;
use crate::catalog::store::StoreError;

/// How the records of one table are written.
pub(super) struct Table {
    /// As messages call one: `user`.
    pub(super) noun: &'static str,
    /// Whether there is one with an id.
    pub(super) known: &'static str,
    pub(super) insert: &'static str,
    /// Writes where the revision is `:read`.
    pub(super) update: &'static str,
}

impl Table {
    /// Writes `values` if the stored revision still is `read`; 0 is "not stored".
    ///
    /// # Errors
    /// `Conflict` for another revision; `Taken` with `unique`, when a value is that must be there once.
    pub(super) fn put(
        &self,
        tx: &Transaction<'_>,
        id: &str,
        read: u64,
        values: &[(&str, &dyn ToSql)],
        unique: impl FnOnce() -> String,
    ) -> Result<(), StoreError> {
        let written = if read == 0 {
            if tx.query_row(self.known, [id], |row| row.get(0))? {
                return Err(self.conflict(id));
            }
            tx.prepare_cached(self.insert)?.execute(values)
        } else {
            let read = read.cast_signed();
            let read: (&str, &dyn ToSql) = (":read", &read);
            tx.prepare_cached(self.update)?.execute([values, &[read]].concat().as_slice())
        };
        match written {
            Ok(0) => Err(self.conflict(id)),
            Ok(_) => Ok(()),
            Err(cause) if is_duplicate(&cause) => Err(StoreError::Taken(unique())),
            Err(cause) => Err(cause.into()),
        }
    }

    pub(super) fn conflict(&self, id: &str) -> StoreError {
        StoreError::Conflict(format!("{} `{id}`", self.noun))
    }
}
