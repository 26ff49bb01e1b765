//! The data folder: everything the embedded default keeps, owned by one process at a time.
//!
//! ```text
//! data/shirabe.db       metadata (SQLite)         data/secret.key       signs tokens, when none is configured
//! data/objects/         Parquet and manifests     data/shirabe.lock     held by the process that owns the folder
//! data/tmp/ spill/ cache/ emptied at start         data/run/server.json  how the command line finds that process
//! data/audit-retry.ndjson                         audit records that wait for the metadata store
//! ```
//!
//! Why a lock: caches, running imports and the collector assume that nobody else writes here. A second
//! process is refused, and goes through the first one instead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ids::random_digits;

/// A data folder that this process owns until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

/// How to reach the process that owns a data folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunningServer {
    pub url: String,
    pub pid: u32,
    /// Whoever can read it owns the folder, and so may act as the operator.
    pub token: String,
}

/// What opening a folder came to.
#[derive(Debug)]
pub enum Opened {
    Mine(DataFolder),
    /// Another process owns it; with its address, once it serves.
    Taken(Option<RunningServer>),
}

impl DataFolder {
    /// Takes the folder, and makes it when it is not there.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made or written.
    pub fn open(root: &Path) -> Result<Opened, Error> {
        let failed = |cause: io::Error| Error::Unavailable {
            message: format!("the data folder `{}` cannot be used: {cause}", root.display()),
            cause: Some(Box::new(cause)),
        };
        fs::create_dir_all(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let lock = root.join("shirabe.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Opened::Taken(running_server(&root))),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let folder = Self { root, _lock: lock };
        folder.clear().map_err(failed)?;
        Ok(Opened::Mine(folder))
    }

    /// Where objects are.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The metadata file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("shirabe.db")
    }

    /// Audit records that the metadata store did not take yet.
    #[must_use]
    pub fn audit_retry(&self) -> PathBuf {
        self.root.join("audit-retry.ndjson")
    }

    /// Where uploads wait to be read.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where queries and sorts put what memory does not hold.
    #[must_use]
    pub fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    /// Where parts of objects that are elsewhere are kept.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The secret that signs tokens: made once, readable by the owner only.
    ///
    /// # Errors
    /// `Unavailable` when it can be neither read nor written.
    pub fn secret(&self) -> Result<SecretString, Error> {
        let path = self.root.join("secret.key");
        let failed = |cause: io::Error| Error::unusable(&path, cause);
        match fs::read_to_string(&path) {
            Ok(secret) => return Ok(secret.trim().to_owned().into()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
        let secret = SecretString::from(random_digits() + &random_digits());
        write_private(&path, secret.expose_secret().as_bytes()).map_err(failed)?;
        Ok(secret)
    }

    /// Tells the command line where this process serves, until the returned value is dropped.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written.
    pub fn announce(&self, server: &RunningServer) -> Result<Announcement, Error> {
        let path = announcement(&self.root);
        let text = serde_json::to_vec(server).map_err(Error::internal)?;
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            write_private(&path, &text)
        };
        write().map_err(|cause| Error::Unavailable {
            message: format!("`{}` cannot be written: {cause}", path.display()),
            cause: Some(Box::new(cause)),
        })?;
        Ok(Announcement(path))
    }

    /// Removes what an earlier process left behind: half uploads, spill files, its announcement.
    fn clear(&self) -> io::Result<()> {
        for folder in [self.spool(), self.spill(), self.cache()] {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
        }
        match fs::remove_file(announcement(&self.root)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }
}

/// Where a server is announced; the announcement ends with it.
#[derive(Debug)]
pub struct Announcement(PathBuf);

impl Drop for Announcement {
    fn drop(&mut self) {
        // A stale announcement is harmless: it is believed only while the lock is held.
        let _ = fs::remove_file(&self.0);
    }
}

fn announcement(root: &Path) -> PathBuf {
    root.join("run").join("server.json")
}

fn running_server(root: &Path) -> Option<RunningServer> {
    serde_json::from_slice(&fs::read(announcement(root)).ok()?).ok()
}

/// Writes a file that only its owner can read: whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mine(root: &Path) -> DataFolder {
        match DataFolder::open(root).unwrap() {
            Opened::Mine(folder) => folder,
            Opened::Taken(server) => panic!("taken by {server:?}"),
        }
    }

    #[test]
    fn a_second_owner_is_sent_to_the_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = mine(root.path());
        assert!(matches!(DataFolder::open(root.path()).unwrap(), Opened::Taken(None)));
        let server = RunningServer { url: "http://127.0.0.1:8000".into(), pid: 1, token: "t".into() };
        let announced = folder.announce(&server).unwrap();
        let Opened::Taken(Some(found)) = DataFolder::open(root.path()).unwrap() else { panic!("not found") };
        assert_eq!(found.url, server.url);
        drop(announced);
        drop(folder);
        mine(root.path());
    }

    #[test]
    fn the_secret_is_kept_and_private() {
        let root = tempfile::tempdir().unwrap();
        let secret = mine(root.path()).secret().unwrap();
        assert_eq!(secret.expose_secret().len(), 64);
        assert_eq!(mine(root.path()).secret().unwrap().expose_secret(), secret.expose_secret());
        let mode = fs::metadata(root.path().join("secret.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn leftovers_are_cleared_at_start() {
        let root = tempfile::tempdir().unwrap();
        let spool = mine(root.path()).spool();
        fs::write(spool.join("half.csv"), "a,b").unwrap();
        assert_eq!(fs::read_dir(mine(root.path()).spool()).unwrap().count(), 0);
    }
}
