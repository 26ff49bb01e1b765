//! An object that is read through, and compared with what its manifest says of it.

use std::sync::Arc;

use blake3::Hasher;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _};

use super::{classify, keys};
use crate::error::Error;

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 8 << 20;

/// Hands an object over piece by piece. One answer of half a gigabyte would take longer than a bucket is waited for.
#[derive(Debug)]
pub struct Reading<'a> {
    store: &'a Arc<dyn ObjectStore>,
    /// As the manifest has it.
    key: &'a str,
    path: Path,
    byte_count: u64,
    blake3: &'a str,
    at: u64,
    hasher: Hasher,
}

impl<'a> Reading<'a> {
    /// The object that a manifest calls `key`, of this size and hash.
    #[must_use]
    pub fn new(store: &'a Arc<dyn ObjectStore>, key: &'a str, byte_count: u64, blake3: &'a str) -> Self {
        Self { store, key, path: keys::stored(key), byte_count, blake3, at: 0, hasher: Hasher::new() }
    }

    /// The next bytes. None at the end, when all of them were those that were written.
    ///
    /// # Errors
    /// `Damaged` when the object is missing or another one, `Unavailable`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.at >= self.byte_count {
            let hash = self.hasher.finalize().to_hex();
            return match hash.as_str() == self.blake3 {
                true => Ok(None),
                false => Err(self.damaged(format!("its checksum is {hash}, expected {}", self.blake3))),
            };
        }
        let range = self.at..self.byte_count.min(self.at + PIECE_BYTES);
        let options = GetOptions { range: Some(range.clone().into()), ..GetOptions::default() };
        let found = match self.store.get_opts(&self.path, options).await {
            Ok(found) => found,
            Err(cause) => {
                let size = self.store.head(&self.path).await.map_or(self.byte_count, |meta| meta.size);
                self.check_size(size)?;
                return Err(classify(cause, self.key));
            }
        };
        self.check_size(found.meta.size)?;
        let piece = found.bytes().await.map_err(|cause| classify(cause, self.key))?;
        if piece.len() as u64 != range.end - range.start {
            return Err(self.damaged("it ends too early".to_owned()));
        }
        self.hasher.update(&piece);
        self.at = range.end;
        Ok(Some(piece))
    }

    /// Reads all that is left, for who only wants to know whether it is as it was written.
    ///
    /// # Errors
    /// As [`Reading::next`].
    pub async fn check(mut self) -> Result<(), Error> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    fn check_size(&self, size: u64) -> Result<(), Error> {
        match size == self.byte_count {
            true => Ok(()),
            false => Err(self.damaged(format!("it has {size} bytes, expected {}", self.byte_count))),
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged { object: self.key.to_owned(), reason }
    }
}
