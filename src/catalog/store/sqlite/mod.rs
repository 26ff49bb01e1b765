//! The embedded store: one SQLite file in the data folder.
//!
//! Why: a service that starts with one command needs no database server. One connection writes, a few
//! read beside it (WAL), and a commit is on the disk before it is acknowledged (`synchronous=FULL`).
//! Each port is one file here and each of its methods one transaction; longer SQL is in `sql/store/`.
//! This folder must not know permissions, HTTP or objects.

use std::path::Path;
use std::sync::Arc;

mod audit;
mod commit;
mod database;
mod datasets;
mod doc;
mod error;
mod executions;
mod expired;
mod keys;
mod macros;
mod migrate;
mod place;
mod queries;
mod recall;
mod revision;
#[cfg(test)]
mod tests;
mod tokens;
mod transforms;
mod users;

use self::database::Database;
use crate::catalog::store::{StoreCalls, StoreError, Stores};

/// All ports, over one SQLite file. Clones share the file's connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens the file, or makes it, and brings its schema up to date. Blocks; meant for the start.
    ///
    /// # Errors
    /// `Unusable` when a newer version wrote the file, `Corrupt` (naming the file) when it is damaged
    /// or no SQLite database, `Full` or `Unavailable` when it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(path.as_ref(), migrate::MIGRATIONS)? })
    }

    /// The ports.
    #[must_use]
    pub fn stores(self) -> Stores {
        Stores::over(&Arc::new(self), StoreCalls::default())
    }

    /// Reads the whole file and returns what is wrong with it, one sentence each; nothing when it is sound.
    ///
    /// # Errors
    /// `Corrupt` when it cannot even be read, `Unavailable` when it cannot be opened.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let findings = self.database.read(|tx| {
            let mut statement = tx.prepare("pragma integrity_check")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        });
        Ok(findings.await?.into_iter().filter(|finding| finding != "ok").collect())
    }
}
