//! Manifests by version, read once and kept while there is room. A manifest never changes, and its
//! checksum is in the version's record, so what is kept cannot be stale.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::path::Path;

use super::cache::Fill;
use crate::catalog::manifest::{self, Manifest};
use crate::catalog::record::VersionRecord;
use crate::error::{Error, Result};
use crate::storage::{self, keys};

/// Reads manifests.
#[derive(Debug)]
pub(super) struct Manifests {
    objects: Arc<dyn ObjectStore>,
    kept: Mutex<Kept>,
}

/// The most recently used manifests, by checksum.
#[derive(Debug, Default)]
struct Kept {
    bytes_max: usize,
    bytes: usize,
    hits: u64,
    misses: u64,
    /// Counts uses; the smallest stamp is the one unused for longest.
    clock: u64,
    by_checksum: HashMap<String, Entry>,
    by_stamp: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Entry {
    manifest: Arc<Manifest>,
    bytes: usize,
    stamp: u64,
}

impl Manifests {
    /// Keeps manifests of at most `bytes_max` bytes, counted as their JSON.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, bytes_max: usize) -> Self {
        Self { objects, kept: Mutex::new(Kept { bytes_max, ..Kept::default() }) }
    }

    /// The manifest of a version.
    ///
    /// # Errors
    /// `Damaged` when the object is gone, is not what was written, or is of a later format;
    /// `Unavailable` when the store does not answer.
    pub(super) async fn get(&self, version: &VersionRecord) -> Result<Arc<Manifest>> {
        if let Some(manifest) = self.kept().get(&version.manifest_blake3) {
            return Ok(manifest);
        }
        let key = keys::manifest(&version.dataset_id, &version.label);
        let bytes = storage::get_checked(&self.objects, &key, &version.manifest_blake3).await?;
        let manifest = Arc::new(read(&key, &bytes)?);
        self.kept().insert(version.manifest_blake3.clone(), Arc::clone(&manifest), bytes.len());
        Ok(manifest)
    }

    pub(super) fn fill(&self) -> Fill {
        let kept = self.kept();
        Fill {
            entries: kept.by_checksum.len() as u64,
            bytes: kept.bytes as u64,
            hits: kept.hits,
            misses: Some(kept.misses),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing is awaited while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(key: &Path, bytes: &[u8]) -> Result<Manifest> {
    let damaged = |reason: String| Error::Damaged { object: key.to_string(), reason };
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|cause| damaged(format!("it cannot be read: {cause}")))?;
    if manifest.format > manifest::FORMAT {
        return Err(damaged(format!(
            "it has format {}; this program reads up to {}",
            manifest.format,
            manifest::FORMAT
        )));
    }
    Ok(manifest)
}

impl Kept {
    fn get(&mut self, checksum: &str) -> Option<Arc<Manifest>> {
        let Some(entry) = self.by_checksum.get_mut(checksum) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.by_stamp.remove(&entry.stamp);
        self.clock += 1;
        entry.stamp = self.clock;
        self.by_stamp.insert(self.clock, checksum.to_owned());
        Some(Arc::clone(&entry.manifest))
    }

    fn insert(&mut self, checksum: String, manifest: Arc<Manifest>, bytes: usize) {
        if bytes > self.bytes_max || self.by_checksum.contains_key(&checksum) {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_stamp.pop_first() else { break };
            if let Some(entry) = self.by_checksum.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_stamp.insert(self.clock, checksum.clone());
        self.by_checksum.insert(checksum, Entry { manifest, bytes, stamp: self.clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing;

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_the_least_used_goes_first() {
        let manifest = Arc::new(testing::empty_manifest());
        let mut kept = Kept { bytes_max: 10, ..Kept::default() };
        for (name, bytes) in [("a", 4), ("b", 4)] {
            kept.insert(name.to_owned(), Arc::clone(&manifest), bytes);
        }
        assert!(kept.get("a").is_some());
        kept.insert("c".to_owned(), Arc::clone(&manifest), 4);
        assert!(kept.get("b").is_none(), "used least recently");
        assert!(kept.get("a").is_some() && kept.get("c").is_some());
        kept.insert("too big".to_owned(), manifest, 11);
        assert!(kept.get("too big").is_none());
        assert_eq!(kept.bytes, 8);
    }

    #[tokio::test]
    async fn a_changed_manifest_is_damage() {
        let fixture = testing::Fixture::new().await;
        let version = fixture.version.clone();
        let manifests = Manifests::new(Arc::clone(&fixture.objects), 1 << 20);
        assert_eq!(*manifests.get(&version).await.unwrap(), fixture.manifest);

        let bad = VersionRecord { manifest_blake3: "0".repeat(64), ..version.clone() };
        check(manifests.get(&bad).await, "expected 0000");
        let gone = VersionRecord { label: "000009-deadbeef".to_owned(), ..bad };
        check(manifests.get(&gone).await, "missing");

        #[track_caller]
        fn check(result: Result<Arc<Manifest>>, expected: &str) {
            let error = result.expect_err(expected);
            assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
