//! The objects of a version, each compared with its hash while it is copied.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::{Copied, Options, Side};
use crate::catalog::manifest::Manifest;
use crate::catalog::record::VersionRecord;
use crate::error::{Error, Result};
use crate::storage::{self, Reading, Upload, keys};

/// Objects that are on their way at the same time.
const OBJECTS_AT_A_TIME: usize = 4;

/// What one object came to.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    bytes: Option<u64>,
    verified: bool,
}

/// Copies what `version` needs, its manifest last.
pub(super) async fn of_version(
    from: &Side,
    to: &Side,
    version: &VersionRecord,
    options: &Options,
    copied: &mut Copied,
) -> Result<()> {
    let key = keys::manifest(&version.dataset_id, &version.label);
    let text = storage::get_checked(&from.objects, &key, &version.manifest_blake3).await?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|cause| Error::Damaged { object: key.to_string(), reason: cause.to_string() })?;
    let files = manifest.files.iter().map(|file| (&file.key, file.byte_count, &file.blake3));
    let set_aside = manifest.quarantine.iter().map(|file| (&file.key, file.byte_count, &file.blake3));
    let all: Vec<_> = files.chain(set_aside).collect();
    let (verify, mut moving) = (options.verify, Vec::new());
    for (key, bytes, blake3) in all {
        moving.push(object(from, to, key, bytes, blake3, verify).boxed());
    }
    let moving = futures::stream::iter(moving).buffer_unordered(OBJECTS_AT_A_TIME);
    let moved: Vec<Moved> = moving.try_collect().await?;
    let mut last = Moved { bytes: None, verified: options.verify };
    if size(&to.objects, &key).await?.is_none() {
        last.bytes = Some(storage::put_new(&to.objects, &key, text).await?.byte_count);
    }
    if options.verify || last.bytes.is_none() {
        storage::get_checked(&to.objects, &key, &version.manifest_blake3).await?;
    }
    for moved in moved.into_iter().chain([last]) {
        copied.objects += u64::from(moved.bytes.is_some());
        copied.object_bytes += moved.bytes.unwrap_or_default();
        copied.objects_verified += u64::from(moved.verified);
    }
    Ok(())
}

async fn object(from: &Side, to: &Side, key: &str, bytes: u64, blake3: &str, verify: bool) -> Result<Moved> {
    let mut moved = Moved::default();
    let path = keys::stored(key);
    // Objects appear whole or not at all, so one of this size is this one.
    if size(&to.objects, &path).await? != Some(bytes) {
        let mut upload = Upload::start(&to.objects, path).await?;
        let mut source = Reading::new(&from.objects, key, bytes, blake3);
        while let Some(piece) = source.next().await? {
            upload.write(&piece).await?;
        }
        upload.finish().await?;
        moved.bytes = Some(bytes);
    }
    if verify {
        Reading::new(&to.objects, key, bytes, blake3).check().await?;
        moved.verified = true;
    }
    Ok(moved)
}

async fn size(store: &Arc<dyn ObjectStore>, key: &Path) -> Result<Option<u64>> {
    match store.head(key).await {
        Ok(found) => Ok(Some(found.size)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(cause) => Err(storage::classify(cause, key.as_ref())),
    }
}
