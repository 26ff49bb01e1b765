//! Objects: immutable files under keys that only identifiers can make.
//!
//! Why: the same keys and the same interface ([`ObjectStore`]) serve a folder and a bucket, so every
//! reader and writer speaks to one thing, and a test can put a failing store between. What this stage
//! adds is durability (a folder that syncs), buckets with credentials, hashes while writing, and errors in our words. It must not
//! know what the bytes mean, nor who may see them.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};

use crate::error::Error;

mod classify;
pub mod durable_local;
mod folders;
pub mod keys;
mod place;
mod reading;
mod s3;
mod upload;

pub use classify::{Reason, classify, may_be_about_size, reason};
pub use durable_local::DurableLocal;
pub use place::{Objects, ObjectsPlace};
pub use reading::Reading;
pub use s3::{Bucket, ImportBuckets, S3, S3Settings, SourceBuckets};
pub use upload::{Upload, Written};

/// Writes a small object whole, durably. Never replaces one: keys are unique.
///
/// # Errors
/// `StorageFull`, `Unavailable`, or `Internal` when the key is taken, which a unique key never is.
pub async fn put_new(store: &Arc<dyn ObjectStore>, key: &Path, bytes: Bytes) -> Result<Written, Error> {
    let written = Written { byte_count: bytes.len() as u64, blake3: hash(&bytes) };
    let options = PutOptions::from(PutMode::Create);
    let Err(cause) = store.put_opts(key, bytes.into(), options).await else { return Ok(written) };
    // An answer may be lost after the object was stored, and a request that is tried again then finds its own
    // object there. What is there tells.
    match get_checked(store, key, &written.blake3).await {
        Ok(_) => Ok(written),
        Err(_) if reason(&cause) == Reason::Precondition => Err(Error::internal(cause)),
        Err(_) => Err(classify(cause, key.as_ref())),
    }
}

/// Asks the store for anything, so that one that cannot be used is told of before it is needed.
///
/// # Errors
/// `Unavailable`, with what is wrong.
pub async fn probe(store: &Arc<dyn ObjectStore>) -> Result<(), Error> {
    let root = Path::from(keys::ROOT);
    let first = store.list(Some(&root)).next().await;
    first.transpose().map(drop).map_err(|cause| classify(cause, keys::ROOT))
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
}
