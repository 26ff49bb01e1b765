//! Parts of objects on this disk, so that what is read often is fetched once.
//!
//! Objects never change, so a part that is kept is never stale; it can only be spoilt, and so each carries a checksum
//! and is fetched again when it does not fit. What is kept is known to this process alone: the folder is emptied at
//! the start, like all that waits on the disk.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use metrics::{counter, gauge};
use object_store::path::Path;

use crate::error::Error;
use crate::tasks;
use crate::telemetry::{OBJECT_CACHE, OBJECT_CACHE_BYTES};

/// Bytes of a part. A request for less fetches as much: the wait for the first byte costs more.
pub(super) const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes of the checksum at the end of a file.
const SUM_BYTES: usize = 4;

/// A part: an object and the number of its megabyte.
type Key = (Path, u64);

/// The parts that are kept. Cheap to clone: clones share all.
#[derive(Debug, Clone)]
pub(super) struct Chunks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    /// Counts uses; the smallest stamp is the one unused for longest. Also counts files, for their names.
    clock: u64,
    by_key: HashMap<Key, Entry>,
    by_stamp: BTreeMap<u64, Key>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    file: u64,
    bytes: u64,
    stamp: u64,
}

impl Chunks {
    /// At most `bytes_max` bytes of parts in `folder`, which is there and empty.
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self(Arc::new(Inner { folder, bytes_max, kept: Mutex::default() }))
    }

    /// A part, if it is here and whole.
    pub(super) async fn get(&self, object: &Path, number: u64) -> Option<Bytes> {
        let key = (object.clone(), number);
        let entry = self.0.kept().used(&key);
        let found = match entry {
            None => None,
            Some(entry) => {
                let inner = Arc::clone(&self.0);
                let read = tasks::blocking(move || Ok::<_, Error>(inner.read(&key, entry)));
                read.await.ok().flatten()
            }
        };
        counter!(OBJECT_CACHE, "use" => if found.is_some() { "hit" } else { "miss" }).increment(1);
        found
    }

    /// Keeps a part. Nobody waits for it.
    pub(super) fn keep(&self, object: &Path, number: u64, bytes: Bytes) {
        let (inner, key) = (Arc::clone(&self.0), (object.clone(), number));
        tasks::detach(async move {
            let kept = tasks::blocking(move || inner.write(key, &bytes).map_err(Error::internal)).await;
            if let Err(error) = kept {
                tracing::warn!(%error, "a part of an object could not be kept on the disk");
            }
        });
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Files are read and written while it is not held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, file: u64) -> PathBuf {
        self.folder.join(format!("{file:016x}"))
    }

    fn read(&self, key: &Key, entry: Entry) -> Option<Bytes> {
        let whole = |mut bytes: Vec<u8>| {
            let sum = bytes.split_off(bytes.len().checked_sub(SUM_BYTES)?);
            (crc32fast::hash(&bytes).to_le_bytes() == *sum).then(|| Bytes::from(bytes))
        };
        let found = fs::read(self.place(entry.file)).ok().and_then(whole);
        if found.is_none() {
            // Spoilt, or dropped to make room since it was looked up.
            let mut kept = self.kept();
            if kept.by_key.get(key).is_some_and(|there| there.file == entry.file) {
                kept.forget(key);
            }
        }
        found
    }

    fn write(&self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let size = (bytes.len() + SUM_BYTES) as u64;
        let file = {
            let mut kept = self.kept();
            if size > self.bytes_max || kept.by_key.contains_key(&key) {
                return Ok(());
            }
            kept.tick()
        };
        let place = self.place(file);
        let written = fs::write(&place, [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat());
        if let Err(cause) = written {
            // A disk that is full must not fill up with halves.
            let _ = fs::remove_file(&place);
            return Err(cause);
        }
        let dropped = self.kept().insert(key, file, size, self.bytes_max);
        for file in dropped {
            let _ = fs::remove_file(self.place(file));
        }
        Ok(())
    }
}

impl Kept {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A part that is wanted now.
    fn used(&mut self, key: &Key) -> Option<Entry> {
        let stamp = self.tick();
        let entry = self.by_key.get_mut(key)?;
        self.by_stamp.remove(&entry.stamp);
        entry.stamp = stamp;
        self.by_stamp.insert(stamp, key.clone());
        Some(*entry)
    }

    fn forget(&mut self, key: &Key) -> Option<u64> {
        let entry = self.by_key.remove(key)?;
        self.by_stamp.remove(&entry.stamp);
        self.bytes -= entry.bytes;
        gauge!(OBJECT_CACHE_BYTES).set(self.bytes as f64);
        Some(entry.file)
    }

    /// Adds a part, and returns the files that have to go for it.
    fn insert(&mut self, key: Key, file: u64, bytes: u64, bytes_max: u64) -> Vec<u64> {
        let mut dropped: Vec<u64> = self.forget(&key).into_iter().collect();
        while self.bytes + bytes > bytes_max {
            let Some(oldest) = self.by_stamp.first_key_value().map(|(_, key)| key.clone()) else { break };
            dropped.extend(self.forget(&oldest));
        }
        let stamp = self.tick();
        self.bytes += bytes;
        gauge!(OBJECT_CACHE_BYTES).set(self.bytes as f64);
        self.by_stamp.insert(stamp, key.clone());
        self.by_key.insert(key, Entry { file, bytes, stamp });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(chunks: &Chunks) -> usize {
        fs::read_dir(&chunks.0.folder).unwrap().count()
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_the_least_used_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let chunks = Chunks::new(folder.path().to_owned(), 250);
        let object = Path::from("datasets/x");
        let part = |number: u64| Bytes::from(vec![number as u8; 96]);
        for number in [0, 1] {
            chunks.0.write((object.clone(), number), &part(number)).unwrap();
        }
        assert_eq!(chunks.get(&object, 0).await, Some(part(0)));
        chunks.0.write((object.clone(), 2), &part(2)).unwrap();
        assert_eq!(chunks.get(&object, 1).await, None, "used least recently");
        assert_eq!(chunks.get(&object, 0).await, Some(part(0)));
        assert_eq!(chunks.get(&object, 2).await, Some(part(2)));
        assert_eq!((files(&chunks), chunks.0.kept().bytes), (2, 200));
        chunks.0.write((object.clone(), 3), &[0; 300]).unwrap();
        assert_eq!(chunks.get(&object, 3).await, None, "larger than all there may be");
    }

    #[tokio::test]
    async fn a_part_that_is_spoilt_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let chunks = Chunks::new(folder.path().to_owned(), 1 << 20);
        let object = Path::from("datasets/x");
        for (number, spoil) in [
            (0, &(|bytes: &mut Vec<u8>| bytes[3] ^= 1) as &dyn Fn(&mut Vec<u8>)),
            (1, &|bytes| bytes.truncate(50)),
            (2, &|bytes| bytes.clear()),
        ] {
            chunks.0.write((object.clone(), number), &[7; 96]).unwrap();
            let place = chunks.0.place(chunks.0.kept().by_key[&(object.clone(), number)].file);
            let mut bytes = fs::read(&place).unwrap();
            spoil(&mut bytes);
            fs::write(&place, bytes).unwrap();
            assert_eq!(chunks.get(&object, number).await, None);
            assert!(!chunks.0.kept().by_key.contains_key(&(object.clone(), number)), "and is fetched again");
        }
    }
}
