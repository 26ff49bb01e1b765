//! What a worker may read while it runs a query: the files of the versions in its spec, and nothing else.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use object_store::{GetOptions, GetResultPayload, ObjectStore};
use rustix::fs::MemfdFlags;

use super::area;
use super::message::{ToWorker, Unread};
use crate::engine::{QuerySpec, TableRows};
use crate::storage::keys;

/// Bytes of one request.
const READ_BYTES_MAX: u64 = 1 << 30;

/// The files of one query.
#[derive(Debug)]
pub(super) struct Granted {
    objects: Arc<dyn ObjectStore>,
    /// Whether objects are files, of which a worker can have a descriptor.
    are_files: bool,
    byte_counts: HashMap<String, u64>,
}

/// An answer to a worker.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) message: ToWorker,
    pub(super) descriptor: Option<OwnedFd>,
}

impl Granted {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, are_files: bool, spec: &QuerySpec) -> Self {
        let manifests = spec.tables.iter().filter_map(|table| match &table.rows {
            TableRows::Version(manifest) => Some(manifest),
            TableRows::Queries(_) => None,
        });
        let files = manifests.flat_map(|manifest| &manifest.files);
        Self {
            objects,
            are_files,
            byte_counts: files.map(|file| (file.key.clone(), file.byte_count)).collect(),
        }
    }

    /// A file that is there, as a descriptor; of anything else its size.
    pub(super) async fn open(self: Arc<Self>, request: u64, key: String) -> Reply {
        match self.try_open(&key).await {
            Ok((byte_count, file)) => Reply {
                message: ToWorker::Opened { request, byte_count, is_file: file.is_some() },
                descriptor: file,
            },
            Err(reason) => Reply { message: ToWorker::Unread { request, reason }, descriptor: None },
        }
    }

    async fn try_open(&self, key: &str) -> Result<(u64, Option<OwnedFd>), Unread> {
        let byte_count = self.byte_count(key)?;
        // A bucket is not asked for what the manifest tells.
        if !self.are_files {
            return Ok((byte_count, None));
        }
        let found = self.objects.get_opts(&keys::stored(key), GetOptions::default()).await.map_err(unread)?;
        let file = match found.payload {
            GetResultPayload::File(file, _) => Some(file.into()),
            GetResultPayload::Stream(_) => None,
        };
        Ok((found.meta.size, file))
    }

    /// Bytes of an object that is no file.
    pub(super) async fn read(self: Arc<Self>, request: u64, key: String, ranges: Vec<Range<u64>>) -> Reply {
        match self.try_read(&key, &ranges).await {
            Ok((lengths, bytes)) => {
                Reply { message: ToWorker::Bytes { request, lengths }, descriptor: Some(bytes) }
            }
            Err(reason) => Reply { message: ToWorker::Unread { request, reason }, descriptor: None },
        }
    }

    async fn try_read(&self, key: &str, ranges: &[Range<u64>]) -> Result<(Vec<u64>, OwnedFd), Unread> {
        let byte_count = self.byte_count(key)?;
        let total = ranges.iter().try_fold(0_u64, |total, range| {
            (range.end <= byte_count).then_some(())?;
            total.checked_add(range.end.checked_sub(range.start)?).filter(|total| *total <= READ_BYTES_MAX)
        });
        if total.is_none() {
            return Err(Unread::Failed("the ranges are no part of the file, or too much of it".to_owned()));
        }
        let bytes = self.objects.get_ranges(&keys::stored(key), ranges).await.map_err(unread)?;
        let area = rustix::fs::memfd_create("bytes", MemfdFlags::CLOEXEC);
        let area = area.map_err(|error| Unread::Failed(error.to_string()))?;
        let parts: Vec<&[u8]> = bytes.iter().map(AsRef::as_ref).collect();
        area::write_all(&area, &parts).map_err(|error| Unread::Failed(error.to_string()))?;
        Ok((bytes.iter().map(|bytes| bytes.len() as u64).collect(), area))
    }

    fn byte_count(&self, key: &str) -> Result<u64, Unread> {
        self.byte_counts.get(key).copied().ok_or_else(|| {
            tracing::error!(key, "a worker asked for what its query does not have");
            Unread::NotGranted
        })
    }
}

fn unread(error: object_store::Error) -> Unread {
    match error {
        object_store::Error::NotFound { .. } => Unread::Missing,
        other => Unread::Failed(other.to_string()),
    }
}
