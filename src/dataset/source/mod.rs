//! Where the rows of an import are: a file on this machine, one object in S3, or all objects below a prefix.
//!
//! ```text
//!  InputFile ─▶ open ─▶ Opened: a decode::Source that can be read as often as needed
//!                 │       file: as it is · text in S3: in pieces, as it is read · other formats in S3: spooled
//!                 └─ who may not read, what is not there: said before anything is written
//! ```
//!
//! Why here: `decode` reads bytes and knows nothing asynchronous; what has to be asked of a server is asked before,
//! and its pieces are fetched ahead while rows are made of those before. It must not know what the bytes mean.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempPath;

mod address;
mod find;
mod object;
mod refusal;
mod spool;

pub use address::S3Address;

use super::decode;
use crate::error::Error;
use crate::storage::SourceBuckets;

/// What imports may read beside files of this machine.
#[derive(Debug, Clone)]
pub struct Sources {
    pub buckets: Arc<dyn SourceBuckets>,
    /// Where objects wait that cannot be read as they come.
    pub spool_folder: PathBuf,
    pub spool_bytes_max: u64,
}

/// Where the bytes of an import are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Disk(PathBuf),
    S3(S3Address),
}

/// A file to import.
#[derive(Debug, Clone)]
pub struct InputFile {
    pub location: Location,
    /// What its user calls it; its extension helps to tell the format.
    pub name: String,
    /// Set when the file stays where it is, so that a re-import can read it again.
    pub stays: bool,
}

impl InputFile {
    /// One object or many, which stay where they are.
    #[must_use]
    pub fn in_s3(address: S3Address) -> Self {
        Self { name: address.name().to_owned(), location: Location::S3(address), stays: true }
    }

    /// A file on this machine.
    #[must_use]
    pub fn on_disk(path: PathBuf, name: String, stays: bool) -> Self {
        Self { location: Location::Disk(path), name, stays }
    }

    /// Where a re-import finds it, if it stays.
    pub(super) fn kept_path(&self) -> Option<String> {
        self.stays.then(|| match &self.location {
            Location::Disk(path) => path.to_string_lossy().into_owned(),
            Location::S3(address) => address.to_string(),
        })
    }

    /// What a record [`kept`](Self::kept_path).
    ///
    /// # Errors
    /// `Invalid` when it is a file that is gone.
    pub(super) fn from_kept(path: &str, name: &str) -> Result<Self, Error> {
        if let Some(address) = S3Address::parse(path) {
            return Ok(Self { name: name.to_owned(), ..Self::in_s3(address?) });
        }
        let location = PathBuf::from(path);
        if !location.is_file() {
            return Err(Error::invalid_field("file", format!("the source `{path}` is gone")));
        }
        Ok(Self::on_disk(location, name.to_owned(), true))
    }

    /// Whether it is in S3.
    pub(super) fn is_in_s3(&self) -> bool {
        matches!(self.location, Location::S3(_))
    }
}

/// A file that can be read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: InputFile,
    pub(super) source: decode::Source,
    /// Removed when this is dropped.
    _spooled: Option<TempPath>,
}

impl Sources {
    /// Finds what is to be read. Objects are the same ones however often they are read: a change meanwhile is an
    /// error.
    ///
    /// # Errors
    /// `Invalid` when it is not there, `Forbidden` when it may not be read, `TooLarge`, `Archived`, `Unavailable`.
    pub(super) async fn open(&self, file: &InputFile) -> Result<Opened, Error> {
        let (source, spooled) = match &file.location {
            Location::Disk(path) => {
                (decode::Source::File { path: path.clone(), name: file.name.clone() }, None)
            }
            Location::S3(address) => find::find(self, address, &file.name).await?,
        };
        Ok(Opened { file: file.clone(), source, _spooled: spooled })
    }
}
