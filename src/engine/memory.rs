//! Memory of queries: each has a share of its own, and all together have a whole.
//!
//! Why two levels: with one pool for all, the query that came first takes what there is, and the others fail for
//! it. With shares alone, many modest queries together exceed what the machine has.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};

use super::wanted::Wanted;

/// How many consumers an out-of-memory message names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// What is a little of a share: one of so many parts.
const LITTLE_PARTS: usize = 128;

/// What DataFusion calls the memory in which a sort merges what it spilled.
const MERGE: &str = "ExternalSorterMerge";
/// How many eighths of a share one merge may take. With less it merges fewer runs at once; with all it would leave
/// nothing for the sort beside it, which then can neither go on nor spill.
const MERGE_EIGHTHS: usize = 3;

/// What all queries together may hold.
#[derive(Debug)]
pub(super) struct Whole {
    bytes_max: usize,
    used: AtomicUsize,
}

impl Whole {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0) })
    }

    /// Bytes that are held now.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// The most that one query has held at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Peak(Arc<AtomicUsize>);

impl Peak {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) as u64
    }
}

/// A share of `whole` of at most `bytes_max`, for one query. Operators that can spill get equal parts of it.
pub(super) fn share(whole: &Arc<Whole>, bytes_max: usize, peak: Peak, wanted: Wanted) -> Arc<dyn MemoryPool> {
    let bytes_max = bytes_max.min(whole.bytes_max);
    // Some operators take all that they are given: those that can spill, and merges of what was spilled, which read
    // as many runs side by side as there is memory for. An eighth is kept from them, so that those who hold little,
    // such as an aggregate without groups, find something when they come later.
    let own = FairSpillPool::new(bytes_max - bytes_max / 8);
    let share = Share { whole: Arc::clone(whole), own, bytes_max, peak: peak.0, wanted };
    Arc::new(TrackConsumersPool::new(share, CONSUMERS_NAMED))
}

#[derive(Debug)]
struct Share {
    whole: Arc<Whole>,
    own: FairSpillPool,
    bytes_max: usize,
    peak: Arc<AtomicUsize>,
    wanted: Wanted,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.own)
    }
}

impl Share {
    fn note(&self) {
        self.peak.fetch_max(self.own.reserved(), Ordering::Relaxed);
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &'static str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, bytes: usize) {
        self.own.grow(reservation, bytes);
        self.whole.used.fetch_add(bytes, Ordering::Relaxed);
        self.note();
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        self.own.shrink(reservation, bytes);
        self.whole.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, bytes: usize) -> Result<()> {
        self.wanted.check().map_err(|error| DataFusionError::External(Box::new(error)))?;
        let held = reservation.size().saturating_add(bytes);
        if reservation.consumer().name().starts_with(MERGE) && held > self.bytes_max / 8 * MERGE_EIGHTHS {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "a merge of sorted rows holds {} bytes, and {bytes} more were asked for",
                reservation.size()
            )));
        }
        if let Err(error) = self.own.try_grow(reservation, bytes) {
            let holds_much = held > self.bytes_max / LITTLE_PARTS;
            if reservation.consumer().can_spill()
                || holds_much
                || self.own.reserved().saturating_add(bytes) > self.bytes_max
            {
                return Err(error);
            }
            self.own.grow(reservation, bytes);
        }
        if !self.whole.try_take(bytes) {
            self.own.shrink(reservation, bytes);
            return Err(DataFusionError::ResourcesExhausted(format!(
                "all queries together hold {} of {} bytes, and {} more were asked for",
                self.whole.used(),
                self.whole.bytes_max,
                bytes
            )));
        }
        self.note();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_little_finds_memory_when_the_others_have_taken_theirs() {
        let pool = share(&Whole::new(128_000), 128_000, Peak::default(), Wanted::default());
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        let merge = MemoryConsumer::new("merge").register(&pool);
        sort.try_grow(60_000).unwrap();
        while merge.try_grow(500).is_ok() {}
        assert!(merge.size() >= 52_000 - 500 && pool.reserved() <= 112_000, "{}", merge.size());
        sort.try_grow(1).unwrap_err();
        let aggregate = MemoryConsumer::new("aggregate").register(&pool);
        aggregate.try_grow(1_000).unwrap();
        aggregate.try_grow(1).unwrap_err();
    }

    #[test]
    fn a_merge_leaves_memory_for_the_sort_beside_it() {
        let pool = share(&Whole::new(8_000), 8_000, Peak::default(), Wanted::default());
        let merge = MemoryConsumer::new("ExternalSorterMerge[0]").register(&pool);
        merge.try_grow(3_000).unwrap();
        assert!(
            merge.try_grow(1).unwrap_err().to_string().contains("a merge of sorted rows holds 3000 bytes")
        );
        let sort = MemoryConsumer::new("ExternalSorter[1]").with_can_spill(true).register(&pool);
        sort.try_grow(4_000).unwrap();
    }

    #[test]
    fn what_nobody_waits_for_gets_no_more() {
        let wanted = Wanted::default();
        let pool = share(&Whole::new(100), 100, Peak::default(), wanted.clone());
        let sort = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        let waits = wanted.by();
        sort.try_grow(10).unwrap();
        drop(waits);
        assert!(sort.try_grow(10).unwrap_err().to_string().contains("cancelled"));
    }

    #[test]
    fn a_query_stays_within_its_share_and_all_within_the_whole() {
        let whole = Whole::new(100);
        let (peak, other) = (Peak::default(), Peak::default());
        let (a, b) = [peak.clone(), other].map(|peak| share(&whole, 68, peak, Wanted::default())).into();
        let of_a = MemoryConsumer::new("join").register(&a);
        let of_b = MemoryConsumer::new("join").register(&b);
        of_a.try_grow(50).unwrap();
        let own = of_a.try_grow(11).unwrap_err().to_string();
        assert!(own.contains("join"), "the message names who holds it: {own}");
        of_b.try_grow(50).unwrap();
        let all = of_b.try_grow(1).unwrap_err().to_string();
        assert!(all.contains("all queries together hold 100 of 100 bytes"), "{all}");
        assert_eq!((whole.used(), b.reserved()), (100, 50), "what was refused is not counted");
        drop(of_a);
        of_b.try_grow(10).unwrap();
        drop(of_b);
        assert_eq!((whole.used(), a.reserved(), b.reserved()), (0, 0, 0));
        assert_eq!(peak.bytes(), 50);
    }
}
