//! Finds what an address names, before anything is read of it.

use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use tempfile::TempPath;

use super::object::RemoteObject;
use super::refusal::refusal;
use super::{S3Address, Sources, spool};
use crate::dataset::decode;
use crate::error::Error;
use crate::limits::OBJECTS_PER_IMPORT_MAX;

/// Bytes by which formats are told apart.
const HEAD_BYTES: u64 = 8;

/// The source at `address`, and the file it was spooled to, if it had to be.
pub(super) async fn find(
    sources: &Sources,
    address: &S3Address,
    name: &str,
) -> Result<(decode::Source, Option<TempPath>), Error> {
    let store = sources.buckets.open(address.bucket())?;
    if address.is_prefix() {
        return Ok((all_below(&store, address, name).await?, None));
    }
    let (object, head) = one(&store, address, address.path().clone(), name.to_owned()).await?;
    if !decode::needs_file(&head) {
        return Ok((decode::Source::Remote(Arc::new(object)), None));
    }
    let spooled = spool::spool(sources, &object).await?;
    Ok((decode::Source::File { path: spooled.to_path_buf(), name: name.to_owned() }, Some(spooled)))
}

/// One object and its first bytes.
async fn one(
    store: &Arc<dyn ObjectStore>,
    address: &S3Address,
    key: Path,
    name: String,
) -> Result<(RemoteObject, bytes::Bytes), Error> {
    // Not a HEAD: its answer has no body, and so no word on what is wrong.
    let head = GetOptions { range: Some(GetRange::Bounded(0..HEAD_BYTES)), ..GetOptions::default() };
    let (meta, head) = match store.get_opts(&key, head).await {
        Ok(found) => {
            let meta = found.meta.clone();
            (meta, found.bytes().await.map_err(|cause| refusal(address, cause))?)
        }
        // An empty object has no such range.
        Err(cause) if crate::storage::may_be_about_size(&cause) => {
            let meta = store.head(&key).await.map_err(|cause| refusal(address, cause))?;
            if meta.size >= HEAD_BYTES {
                return Err(refusal(address, cause));
            }
            let read = async { store.get(&key).await?.bytes().await };
            (meta, read.await.map_err(|cause| refusal(address, cause))?)
        }
        Err(cause) => return Err(refusal(address, cause)),
    };
    Ok((RemoteObject::new(Arc::clone(store), address.clone(), key, name, &meta), head))
}

/// All objects below a prefix, in the order of their keys, as one text.
async fn all_below(
    store: &Arc<dyn ObjectStore>,
    address: &S3Address,
    name: &str,
) -> Result<decode::Source, Error> {
    let mut listing = store.list(Some(address.path()));
    let mut found = Vec::new();
    while let Some(object) = listing.try_next().await.map_err(|cause| refusal(address, cause))? {
        // Marks of folders and of programs that were here before, such as `_SUCCESS`.
        let hidden = object.location.filename().is_none_or(|name| name.starts_with(['_', '.']));
        if hidden || object.size == 0 {
            continue;
        }
        if found.len() == OBJECTS_PER_IMPORT_MAX {
            let message = format!("`{address}` has more than {OBJECTS_PER_IMPORT_MAX} objects");
            return Err(Error::OverLimit(message));
        }
        found.push(object);
    }
    if found.is_empty() {
        let message =
            format!("there is nothing below `{}` in the bucket `{}`", address.key(), address.bucket());
        return Err(Error::invalid_field("s3_key", message));
    }
    found.sort_by(|one, other| one.location.cmp(&other.location));
    let mut parts = Vec::with_capacity(found.len());
    for meta in found {
        let part_name = meta.location.filename().unwrap_or_default().to_owned();
        let key = meta.location.clone();
        if parts.is_empty() {
            let (object, head) = one(store, address, key, part_name).await?;
            if decode::needs_file(&head) {
                let message = format!(
                    "`{address}` holds files such as `{}`: only CSV and NDJSON can be read from many objects",
                    meta.location
                );
                return Err(Error::invalid_field("s3_key", message));
            }
            parts.push(decode::Source::Remote(Arc::new(object)));
            continue;
        }
        let object = RemoteObject::new(Arc::clone(store), address.clone(), key, part_name, &meta);
        parts.push(decode::Source::Remote(Arc::new(object)));
    }
    Ok(decode::Source::Series { name: name.to_owned(), parts: parts.into() })
}
