//! Objects: immutable files under keys that only identifiers can make.
//!
//! Why: the same keys and the same interface ([`ObjectStore`]) serve a folder and a bucket, so every
//! reader and writer speaks to one thing, and a test can put a failing store between. What this stage
//! adds is durability (a folder that syncs), hashes while writing, and errors in our words. It must not
//! know what the bytes mean, nor who may see them.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use crate::error::Error;

pub mod durable_local;
mod folders;
pub mod keys;
mod upload;

pub use durable_local::DurableLocal;
pub use upload::{Upload, Written};

/// Writes a small object whole, durably. Never replaces one: keys are unique.
///
/// # Errors
/// `StorageFull`, `Unavailable`, or `Internal` when the key is taken, which a unique key never is.
pub async fn put_new(store: &Arc<dyn ObjectStore>, key: &Path, bytes: Bytes) -> Result<Written, Error> {
    let written = Written { byte_count: bytes.len() as u64, blake3: hash(&bytes) };
    let options = PutOptions::from(PutMode::Create);
    store.put_opts(key, bytes.into(), options).await.map_err(|cause| classify(cause, key.as_ref()))?;
    Ok(written)
}

/// Reads a small object whole and checks it against its hash.
///
/// # Errors
/// `Damaged` when it is missing or its bytes are not those that were written; `Unavailable` otherwise.
pub async fn get_checked(store: &Arc<dyn ObjectStore>, key: &Path, blake3: &str) -> Result<Bytes, Error> {
    let read = async { store.get(key).await?.bytes().await };
    let bytes = read.await.map_err(|cause| classify(cause, key.as_ref()))?;
    let found = hash(&bytes);
    if found != blake3 {
        let reason = format!("its checksum is {found}, expected {blake3}");
        return Err(Error::Damaged { object: key.to_string(), reason });
    }
    Ok(bytes)
}

/// Lower-case hexadecimal BLAKE3.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// An object store's error in our words; `object` is what was being read or written.
#[must_use]
pub fn classify(error: object_store::Error, object: &str) -> Error {
    use std::io::ErrorKind as Io;
    if let object_store::Error::NotFound { .. } = error {
        return Error::Damaged { object: object.to_owned(), reason: "it is missing".to_owned() };
    }
    match io_kind(&error) {
        Some(Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge) => Error::StorageFull(object.to_owned()),
        _ => Error::Unavailable {
            message: "the object store cannot be read or written".to_owned(),
            cause: Some(Box::new(error)),
        },
    }
}

/// The kind of the first I/O error in the chain of causes.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_is_read_back_checked() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::open(folder.path()).unwrap());
        let key = Path::from("datasets/ds_0123456789ab/versions/000001-00000000.json");
        let written = put_new(&store, &key, Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(get_checked(&store, &key, &written.blake3).await.unwrap().as_ref(), b"{}");

        let again = put_new(&store, &key, Bytes::from_static(b"[]")).await;
        assert!(again.is_err(), "a key is written once");
        let wrong = get_checked(&store, &key, &hash(b"other")).await.unwrap_err();
        assert!(matches!(wrong, Error::Damaged { .. }), "{wrong}");
        let missing = get_checked(&store, &Path::from("datasets/none"), &written.blake3).await.unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
    }

    #[test]
    fn a_full_disk_is_found_in_the_chain() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = object_store::Error::Generic { store: "folder", source: Box::new(io) };
        assert!(matches!(classify(error, "x"), Error::StorageFull(_)));
    }
}
