//! The connections to one SQLite file: one that writes, a few that read.
//!
//! Work runs on threads that may block. Who waits for a connection waits before taking such a thread,
//! so a slow disk fills a queue, not the thread pool.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use super::migrate::{self, Migration};
use super::recall::{Key, RECORDS_MAX, Recall};
use crate::catalog::store::StoreError;
use crate::tasks;

/// Connections that read at the same time; point reads take microseconds.
const READERS: usize = 4;

/// How long SQLite waits for a lock that another connection holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    Write,
    /// A write after which everything that is recalled is as it was.
    Append,
}

/// A SQLite file. Clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    readers: Pool,
    writer: Pool,
    recall: Recall,
}

#[derive(Debug)]
struct Pool {
    /// Connections that nobody uses. One is made when there is none, so a connection that was lost to
    /// a panic comes back.
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    fn new(size: usize) -> Self {
        Self { idle: Mutex::new(Vec::with_capacity(size)), permits: Arc::new(Semaphore::new(size)) }
    }
}

impl Database {
    /// Opens or makes the file and applies the migrations it lacks.
    pub(super) fn open(path: &Path, migrations: &[Migration]) -> Result<Self, StoreError> {
        create(path).map_err(|cause| StoreError::Unavailable(cause.into()))?;
        let inner = Inner {
            path: path.to_owned(),
            readers: Pool::new(READERS),
            writer: Pool::new(1),
            recall: Recall::new(),
        };
        let database = Self(Arc::new(inner));
        let prepared = database.connect(Access::Write).and_then(|mut connection| {
            migrate::apply(&mut connection, migrations)?;
            Ok(connection)
        });
        let connection = prepared.map_err(|error| database.name_file(error))?;
        database.give_back(Access::Write, connection);
        Ok(database)
    }

    /// Runs `job` in a transaction that sees one state of the store.
    pub(super) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(Access::Read, job).await
    }

    /// The same for a `job` that reads a few rows by their keys: at once and on this thread, when a connection is
    /// free. Every request does this to know its caller. It takes microseconds; to hand it to another thread and
    /// back takes longer, and milliseconds while queries keep all processors busy.
    pub(super) async fn read_few<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        match self.0.readers.permits.try_acquire() {
            Ok(_permit) => self.run_blocking(Access::Read, job).map_err(|error| self.name_file(error)),
            Err(_) => self.read(job).await,
        }
    }

    /// As [`Database::read_few`], for one answer of so many records at most, which depends on nothing but `key` and what
    /// is stored: as long as nothing was written since, it is what it was before.
    pub(super) async fn recall<T, F>(&self, key: Key, records: usize, job: F) -> Result<T, StoreError>
    where
        T: Clone + Send + Sync + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let moment = self.0.recall.now().filter(|_| records <= RECORDS_MAX);
        let Some(moment) = moment else { return self.read_few(job).await };
        if let Some(known) = self.0.recall.get(&key, moment) {
            return Ok(known);
        }
        let value = self.read_few(job).await?;
        self.0.recall.keep(key, moment, value.clone());
        Ok(value)
    }

    /// Runs `job` in a transaction that no other writer shares. It is on the disk when this returns
    /// `Ok`, and leaves nothing behind when `job` fails.
    pub(super) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(Access::Write, job).await
    }

    /// As [`Database::write`], for what nobody reads through [`Database::recall`]: logs, which are written all the time.
    pub(super) async fn append<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(Access::Append, job).await
    }

    async fn run<T, F>(&self, access: Access, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let permits = Arc::clone(&self.pool(access).permits);
        let permit = permits.acquire_owned().await.map_err(|e| StoreError::Unavailable(e.into()))?;
        let database = self.clone();
        tasks::blocking(move || {
            // Held by the work, not by the request: a caller that goes away frees no connection early.
            let _permit = permit;
            database.run_blocking(access, job).map_err(|error| database.name_file(error))
        })
        .await
    }

    fn run_blocking<T>(
        &self,
        access: Access,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle(access).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect(access)?,
        };
        let outcome = {
            let _writing = matches!(access, Access::Write).then(|| self.0.recall.writing());
            in_transaction(&mut connection, access, job)
        };
        // A connection that could not even roll back is closed, which does it.
        if connection.is_autocommit() {
            self.give_back(access, connection);
        }
        outcome
    }

    fn connect(&self, access: Access) -> Result<Connection, StoreError> {
        let connection = Connection::open(&self.0.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // A file made elsewhere must not run code of its own choosing through views or triggers.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "query_only", matches!(access, Access::Read))?;
        Ok(connection)
    }

    fn pool(&self, access: Access) -> &Pool {
        match access {
            Access::Read => &self.0.readers,
            Access::Write | Access::Append => &self.0.writer,
        }
    }

    fn idle(&self, access: Access) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.pool(access).idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, access: Access, connection: Connection) {
        self.idle(access).push(connection);
    }

    /// Says which file it is that cannot be read.
    fn name_file(&self, error: StoreError) -> StoreError {
        let path = self.0.path.display();
        match error {
            StoreError::Corrupt(reason) => StoreError::Corrupt(format!("`{path}`: {reason}")),
            StoreError::Unusable(reason) => StoreError::Unusable(format!("`{path}` {reason}")),
            other => other,
        }
    }

    /// Lets the file grow by no more than these pages: a full disk, for tests.
    #[cfg(test)]
    pub(super) async fn limit_growth(&self, pages: i64) -> Result<(), StoreError> {
        let limit = move |tx: &Transaction<'_>| {
            let used: i64 = tx.query_row("pragma page_count", [], |row| row.get(0))?;
            tx.pragma_update(None, "max_page_count", used + pages)?;
            Ok(())
        };
        self.write(limit).await
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    access: Access,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let behavior = match access {
        Access::Read => TransactionBehavior::Deferred,
        // Takes the lock first, so that what the job reads is still true when it writes.
        Access::Write | Access::Append => TransactionBehavior::Immediate,
    };
    let tx = connection.transaction_with_behavior(behavior)?;
    let value = job(&tx)?;
    tx.commit()?;
    Ok(value)
}

/// Makes the file before SQLite does, readable by its owner only: it holds password hashes. SQLite
/// gives the files beside it the same mode.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
