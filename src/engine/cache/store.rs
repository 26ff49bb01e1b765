//! Encoded results, kept while there is room. What has been asked for more than once stays longest.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use serde::Serialize;

use super::key::ResultKey;
use crate::error::{Error, Result};
use crate::telemetry::RESULT_CACHE_EVICTIONS;

/// What an entry costs beside its bytes: its key twice, counters, the table's own room.
const ENTRY_OVERHEAD: u64 = 256;

/// No piece of a kept result is larger, so that one that is sent does not fill a socket's queue.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// The share of the cache that one result may take, and the most it may take of a large cache.
const ENTRY_SHARE: usize = 16;
const ENTRY_BYTES_MAX: usize = 16 << 20;

/// How many results a cache of a given size is laid out for.
const TYPICAL_ENTRY_BYTES: usize = 16 << 10;

/// Parts with a lock each. Few, because a part is what an entry has to fit into.
const SHARDS: usize = 4;

/// What rows came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub rows: u64,
    /// Whether a row limit cut more rows off.
    pub truncated: bool,
}

/// A whole result in the form in which it is sent.
#[derive(Debug)]
pub struct Kept {
    pub pieces: Vec<Bytes>,
    pub ended: Ended,
    bytes: u64,
}

impl Kept {
    /// Copies `frames` into few pieces that hold nothing but their own bytes: a frame may be the start of
    /// a far larger buffer.
    pub(super) fn new(frames: &[Bytes], ended: Ended) -> Self {
        let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
        let mut pieces = Vec::new();
        let mut rest = frames;
        while let Some(first) = rest.first() {
            let mut length = first.len();
            let more = rest[1..].iter().take_while(|frame| {
                length += frame.len();
                length <= PIECE_BYTES_MAX
            });
            let (these, after) = rest.split_at(1 + more.count());
            let mut piece = BytesMut::with_capacity(these.iter().map(Bytes::len).sum());
            these.iter().for_each(|frame| piece.extend_from_slice(frame));
            pieces.push(piece.freeze());
            rest = after;
        }
        Self { pieces, ended, bytes }
    }

    /// Length of the encoded result.
    #[must_use]
    pub fn byte_count(&self) -> u64 {
        self.bytes
    }
}

/// What a cache holds, and how often it held what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Fill {
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    /// Absent where they are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misses: Option<u64>,
}

/// Results by key.
#[derive(Debug)]
pub(super) struct Store {
    kept: Cache<ResultKey, Arc<Kept>, ByBytes, DefaultHashBuilder, Evicted>,
    entry_bytes_max: usize,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<ResultKey, Arc<Kept>> for ByBytes {
    fn weight(&self, _: &ResultKey, kept: &Arc<Kept>) -> u64 {
        kept.bytes + ENTRY_OVERHEAD
    }
}

#[derive(Debug, Clone)]
struct Evicted;

impl quick_cache::Lifecycle<ResultKey, Arc<Kept>> for Evicted {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: ResultKey, _: Arc<Kept>) {
        metrics::counter!(RESULT_CACHE_EVICTIONS).increment(1);
    }
}

impl Store {
    /// Keeps `bytes_max` bytes, and no result of more than a sixteenth of that.
    pub(super) fn new(bytes_max: usize) -> Result<Self> {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(bytes_max / TYPICAL_ENTRY_BYTES)
            .weight_capacity(bytes_max as u64)
            .build()
            .map_err(Error::internal)?;
        let kept = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), Evicted);
        Ok(Self { kept, entry_bytes_max: (bytes_max / ENTRY_SHARE).min(ENTRY_BYTES_MAX) })
    }

    /// The most that one result may have.
    pub(super) fn entry_bytes_max(&self) -> usize {
        self.entry_bytes_max
    }

    pub(super) fn get(&self, key: &ResultKey) -> Option<Arc<Kept>> {
        self.kept.get(key)
    }

    pub(super) fn insert(&self, key: ResultKey, kept: Arc<Kept>) {
        self.kept.insert(key, kept);
    }

    pub(super) fn entries(&self) -> u64 {
        self.kept.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize) -> Arc<Kept> {
        Arc::new(Kept::new(&[Bytes::from(vec![7; bytes])], Ended { rows: 1, truncated: false }))
    }

    #[test]
    fn what_is_kept_never_takes_more_than_its_room() {
        const ROOM: usize = 1 << 20;
        let store = Store::new(ROOM).unwrap();
        for number in 0..1000 {
            store.insert(ResultKey::numbered(number), kept(store.entry_bytes_max()));
            assert!(store.bytes() <= ROOM as u64, "{} bytes", store.bytes());
        }
        assert!(store.entries() >= 8, "{} entries", store.entries());
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come_once() {
        let store = Store::new(1 << 20).unwrap();
        store.insert(ResultKey::numbered(0), kept(1000));
        for number in 1..10_000 {
            store.insert(ResultKey::numbered(number), kept(1000));
            assert!(store.get(&ResultKey::numbered(0)).is_some(), "gone after {number} others");
        }
    }

    #[test]
    fn frames_become_few_pieces_of_the_same_bytes() {
        check(&[], &[]);
        check(&[0], &[0]);
        check(&[10, 20, 30], &[60]);
        check(&[PIECE_BYTES_MAX - 1, 1, 1], &[PIECE_BYTES_MAX, 1]);
        check(&[PIECE_BYTES_MAX + 5, 1], &[PIECE_BYTES_MAX + 5, 1]);

        #[track_caller]
        fn check(frames: &[usize], expected: &[usize]) {
            let frames: Vec<Bytes> =
                frames.iter().zip(0_u8..).map(|(length, byte)| Bytes::from(vec![byte; *length])).collect();
            let kept = Kept::new(&frames, Ended { rows: 0, truncated: false });
            assert_eq!(kept.pieces.iter().map(Bytes::len).collect::<Vec<_>>(), expected);
            assert_eq!(kept.pieces.concat(), frames.concat());
            assert_eq!(kept.byte_count(), frames.concat().len() as u64);
        }
    }
}
