//! What was read by key before, as long as nothing was written since.
//!
//! Why: each request reads its user, its token and its datasets, and to read them was a fifth of the time of a cached
//! answer. A data folder has one process, so that process knows when something was written.
//!
//! ```text
//!  writes so far   4 ──── 5 ──────── 6 ────────        odd: one is under way
//!  read            keep    do not     keep, and forget
//!                          keep       what 4 kept
//! ```
//!
//! A read that begins when a write has returned sees it: the number has changed by then, so nothing kept before counts.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// Answers that are kept, each of a few records of some hundred bytes.
const KEPT_MAX: usize = 2048;
/// Of more records an answer is not kept: whoever asks for so many does not do it with each request.
pub(super) const RECORDS_MAX: usize = 4;

/// The kind of a record, and its key.
pub(super) type Key = (&'static str, String);

type Value = Arc<dyn Any + Send + Sync>;

/// The records of one file.
#[derive(Debug)]
pub(super) struct Recall {
    /// Twice the writes that have ended, and one more while one is under way.
    writes: AtomicU64,
    kept: Cache<Key, (u64, Value)>,
}

/// A write that is under way; ended when it is dropped.
#[derive(Debug)]
pub(super) struct Writing<'a>(&'a Recall);

/// A moment at which no write was under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl Recall {
    pub(super) fn new() -> Self {
        Self { writes: AtomicU64::new(0), kept: Cache::new(KEPT_MAX) }
    }

    /// To be held from before a write begins until it is on the disk. There is one at a time.
    pub(super) fn writing(&self) -> Writing<'_> {
        self.writes.fetch_add(1, Ordering::AcqRel);
        Writing(self)
    }

    /// Now; none while a write is under way, since whoever reads now may see the state before it or after it.
    pub(super) fn now(&self) -> Option<Moment> {
        let writes = self.writes.load(Ordering::Acquire);
        writes.is_multiple_of(2).then_some(Moment(writes))
    }

    /// What was kept at `moment`.
    pub(super) fn get<T: Clone + 'static>(&self, key: &Key, moment: Moment) -> Option<T> {
        let (at, value) = self.kept.get(key)?;
        value.downcast_ref::<T>().filter(|_| at == moment.0).cloned()
    }

    /// Keeps what was read after `moment`. If something was written meanwhile, nobody will find it.
    pub(super) fn keep<T: Send + Sync + 'static>(&self, key: Key, moment: Moment, value: T) {
        self.kept.insert(key, (moment.0, Arc::new(value)));
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writes.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_before_a_write_is_gone_after_it() {
        let recall = Recall::new();
        let key = || ("user", "a".to_owned());
        let before = recall.now().unwrap();
        recall.keep(key(), before, 1);
        assert_eq!(recall.get(&key(), before), Some(1));
        assert_eq!(recall.get::<i32>(&("user", "b".to_owned()), before), None);
        assert_eq!(recall.get::<i32>(&("key", "a".to_owned()), before), None);

        let writing = recall.writing();
        assert!(recall.now().is_none(), "a write is under way");
        // Whoever began to read before it may come to its end now, with what it saw then.
        recall.keep(key(), before, 2);
        drop(writing);
        let after = recall.now().unwrap();
        assert_eq!(recall.get::<i32>(&key(), after), None);
        recall.keep(key(), after, 3);
        assert_eq!(recall.get(&key(), after), Some(3));
    }
}
