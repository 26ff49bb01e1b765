//! One object, written as it comes, hashed on the way.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};

use crate::block_sums::{BlockSums, Summer};
use crate::error::Error;
use crate::storage::classify;

/// Bytes a part; buckets want at least 5 MiB, and all but the last of one size.
const PART_BYTES: usize = 8 << 20;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub byte_count: u64,
    /// Lower-case hexadecimal BLAKE3 of all bytes.
    pub blake3: String,
}

/// An object being written. It appears under its key only with [`Upload::finish`]; dropped before that,
/// it never was.
#[derive(Debug)]
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    key: Path,
    upload: Box<dyn MultipartUpload>,
    pending: BytesMut,
    hasher: blake3::Hasher,
    summer: Summer,
    byte_count: u64,
}

impl Upload {
    /// Starts an object.
    ///
    /// # Errors
    /// `StorageFull` or `Unavailable`.
    pub async fn start(store: &Arc<dyn ObjectStore>, key: Path) -> Result<Self, Error> {
        let upload = store.put_multipart(&key).await.map_err(|cause| classify(cause, key.as_ref()))?;
        let (pending, hasher, summer) = Default::default();
        Ok(Self { store: Arc::clone(store), key, upload, pending, hasher, summer, byte_count: 0 })
    }

    /// Where it will appear.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `StorageFull` or `Unavailable`; the upload is of no use then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.summer.update(bytes);
        self.byte_count += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
        while self.pending.len() >= PART_BYTES {
            let part = self.pending.split_to(PART_BYTES).freeze();
            self.put_part(part).await?;
        }
        Ok(())
    }

    /// Makes the object appear, durably, and returns the sums of its blocks as well.
    ///
    /// # Errors
    /// `StorageFull` or `Unavailable`: the object then does not exist, or its outcome is unknown, in
    /// which case nothing names it and the collector removes it.
    pub async fn finish(mut self) -> Result<(Written, BlockSums), Error> {
        let rest = self.pending.split().freeze();
        if !rest.is_empty() {
            self.put_part(rest).await?;
        }
        if let Err(cause) = self.upload.complete().await {
            self.settle(cause).await?;
        }
        let blake3 = self.hasher.finalize().to_hex().to_string();
        Ok((Written { byte_count: self.byte_count, blake3 }, self.summer.finish()))
    }

    /// The answer to the last request may be lost after the object has appeared. Nobody else writes to its key,
    /// and parts are checked as they arrive: if it is there with its size, it is this one.
    async fn settle(&mut self, cause: object_store::Error) -> Result<(), Error> {
        let there = self.store.head(&self.key).await;
        if there.is_ok_and(|there| there.size == self.byte_count) {
            return Ok(());
        }
        let _ = self.upload.abort().await;
        Err(classify(cause, self.key.as_ref()))
    }

    async fn put_part(&mut self, part: Bytes) -> Result<(), Error> {
        let put = self.upload.put_part(part.into()).await;
        if let Err(cause) = put {
            let error = classify(cause, self.key.as_ref());
            // The first error is the one to tell; what an abort leaves is the collector's.
            let _ = self.upload.abort().await;
            return Err(error);
        }
        Ok(())
    }
}
