//! How the command line finds the server that runs on a data folder: a file beside the data, which only
//! whoever may read the data can read.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a running server is, and what it takes for an operator.
#[derive(Debug, Clone)]
pub struct RunFile {
    /// Such as `http://127.0.0.1:8000`.
    pub url: String,
    pub pid: u32,
    pub token: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    pid: u32,
    token: String,
}

/// Removes the file when the server ends.
#[derive(Debug)]
pub struct Published(PathBuf);

impl RunFile {
    /// Writes the file, readable by its owner only, in one step.
    ///
    /// # Errors
    /// `StorageFull` or `Unavailable` when it cannot be written.
    pub fn publish(&self, data_folder: &Path) -> Result<Published> {
        let path = path(data_folder);
        self.write(&path).map_err(|cause| failed(&path, cause))?;
        Ok(Published(path))
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = path.with_extension("json.new");
        // One that a former process left would keep its own mode.
        match fs::remove_file(&new) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let stored =
            Stored { url: self.url.clone(), pid: self.pid, token: self.token.expose_secret().to_owned() };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        fs::rename(&new, path)
    }

    /// Reads the file; `None` when no server wrote one. It may be of a server that was killed, so what
    /// it says has to be tried.
    ///
    /// # Errors
    /// `Unavailable` when it is there but cannot be read.
    pub fn read(data_folder: &Path) -> Result<Option<Self>> {
        let path = path(data_folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(&path, cause)),
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|cause| failed(&path, cause.into()))?;
        let Stored { url, pid, token } = stored;
        Ok(Some(Self { url, pid, token: SecretString::from(token) }))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // If it stays, a reader notices that nobody answers there.
        let _ = fs::remove_file(&self.0);
    }
}

fn path(data_folder: &Path) -> PathBuf {
    data_folder.join("run").join("server.json")
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    let name = path.display().to_string();
    if cause.kind() == ErrorKind::StorageFull {
        return Error::StorageFull(name);
    }
    Error::Unavailable { message: format!("`{name}` cannot be used: {cause}"), cause: Some(Box::new(cause)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_private_and_goes_with_the_server() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunFile::read(folder.path()).unwrap().is_none());
        let run = RunFile { url: "http://127.0.0.1:8000".into(), pid: 42, token: "shop_secret".into() };
        let published = run.publish(folder.path()).unwrap();
        let mode = fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = RunFile::read(folder.path()).unwrap().unwrap();
        assert_eq!((read.url.as_str(), read.pid), ("http://127.0.0.1:8000", 42));
        assert_eq!(read.token.expose_secret(), "shop_secret");
        assert!(!format!("{read:?}").contains("shop_secret"));
        run.publish(folder.path()).unwrap();
        drop(published);
        assert!(RunFile::read(folder.path()).unwrap().is_none());
    }

    #[test]
    fn a_torn_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        fs::write(path(folder.path()), b"{\"url\":").unwrap();
        assert!(RunFile::read(folder.path()).unwrap_err().to_string().contains("server.json"));
    }
}
