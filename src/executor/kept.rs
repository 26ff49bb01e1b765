//! Inputs of runs that have ended, for those that ask for the same rows.
//!
//! Why: who writes a transform runs it over the same versions until it is right, and what is due together often reads one
//! dataset. The memory of an input is sealed, so it serves any number of runs; to read it again costs more than what most
//! code does with it.
//!
//! It takes memory that no run has reserved, and gives it back when one needs it: what nobody has asked for the longest
//! goes first. An input that a run uses counts as that run's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SameRows;
use super::input::Sealed;
use crate::telemetry::{PYTHON_INPUT_BYTES, PYTHON_INPUTS};

/// Each is an open file.
const INPUTS_MAX: usize = 64;

/// What is kept.
#[derive(Debug)]
pub(super) struct KeptInputs {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts what was asked for; the only clock there is.
    now: u64,
    inputs: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    rows: SameRows,
    input: Arc<Sealed>,
    asked_at: u64,
}

impl Entry {
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.input) > 1
    }
}

/// What is not kept any more. Giving memory back takes a while: drop it where that holds nobody up.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Dropped(Vec<Entry>);

impl Dropped {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl KeptInputs {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The input that has these rows, if it is here.
    pub(super) fn find(&self, rows: SameRows) -> Option<Arc<Sealed>> {
        let state = &mut *self.state();
        state.now += 1;
        let found = state.inputs.iter_mut().find(|entry| entry.rows == rows);
        let found = found.map(|entry| {
            entry.asked_at = state.now;
            Arc::clone(&entry.input)
        });
        let name = if found.is_some() { "hit" } else { "miss" };
        metrics::counter!(PYTHON_INPUTS, "use" => name).increment(1);
        found
    }

    /// Keeps an input in place of those that were asked for longest ago.
    pub(super) fn keep(&self, rows: SameRows, input: &Arc<Sealed>) -> Dropped {
        let mut dropped = Dropped::default();
        if input.byte_count > self.bytes_max {
            return dropped;
        }
        let state = &mut *self.state();
        // Two runs have read the same at the same time.
        if state.inputs.iter().any(|entry| entry.rows == rows) {
            return dropped;
        }
        while state.inputs.len() >= INPUTS_MAX || state.bytes() + input.byte_count > self.bytes_max {
            let Some(entry) = state.take_oldest(|_| true) else { return dropped };
            dropped.0.push(entry);
        }
        state.now += 1;
        state.inputs.push(Entry { rows, input: Arc::clone(input), asked_at: state.now });
        state.tell();
        dropped
    }

    /// Leaves at most `bytes` in what no run uses.
    pub(super) fn leave(&self, bytes: u64) -> Dropped {
        let mut dropped = Dropped::default();
        let state = &mut *self.state();
        while state.unused_bytes() > bytes {
            let Some(entry) = state.take_oldest(|entry| !entry.is_used()) else { break };
            dropped.0.push(entry);
        }
        state.tell();
        dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        self.inputs.iter().map(|entry| entry.input.byte_count).sum()
    }

    fn unused_bytes(&self) -> u64 {
        let unused = self.inputs.iter().filter(|entry| !entry.is_used());
        unused.map(|entry| entry.input.byte_count).sum()
    }

    /// The one of those that may go that was asked for longest ago.
    fn take_oldest(&mut self, may_go: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let entries = self.inputs.iter().enumerate().filter(|(_, entry)| may_go(entry));
        let (at, _) = entries.min_by_key(|(_, entry)| entry.asked_at)?;
        Some(self.inputs.swap_remove(at))
    }

    fn tell(&self) {
        metrics::gauge!(PYTHON_INPUT_BYTES).set(self.bytes() as f64);
    }
}

#[cfg(test)]
mod tests {
    use shirabe_wire::memory;

    use super::*;

    fn rows(name: &str) -> SameRows {
        blake3::hash(name.as_bytes())
    }

    fn input(byte_count: u64) -> Arc<Sealed> {
        Arc::new(Sealed { file: memory::sealed("test", &[]).unwrap(), byte_count })
    }

    fn has(kept: &KeptInputs, name: &str) -> bool {
        kept.state().inputs.iter().any(|entry| entry.rows == rows(name))
    }

    #[test]
    fn the_same_memory_serves_all_who_ask_for_the_same_rows() {
        let kept = KeptInputs::new(10);
        let first = input(4);
        assert!(kept.keep(rows("a"), &first).is_empty());
        assert!(Arc::ptr_eq(&kept.find(rows("a")).unwrap(), &first));
        assert!(kept.find(rows("b")).is_none());
        // Read by two at the same time: the first one stays.
        assert!(kept.keep(rows("a"), &input(4)).is_empty());
        assert!(Arc::ptr_eq(&kept.find(rows("a")).unwrap(), &first));
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let kept = KeptInputs::new(10);
        for name in ["a", "b"] {
            assert!(kept.keep(rows(name), &input(5)).is_empty());
        }
        kept.find(rows("a"));
        assert_eq!(kept.keep(rows("c"), &input(1)).0.len(), 1);
        assert!(has(&kept, "a") && !has(&kept, "b") && has(&kept, "c"));
        assert!(kept.keep(rows("d"), &input(11)).is_empty(), "more than there is room for");
        assert!(!has(&kept, "d") && has(&kept, "a"));
    }

    #[test]
    fn there_are_not_too_many_open_files() {
        let kept = KeptInputs::new(u64::MAX);
        for number in 0..=INPUTS_MAX {
            assert_eq!(kept.keep(rows(&number.to_string()), &input(0)).is_empty(), number < INPUTS_MAX);
        }
        assert!(!has(&kept, "0") && has(&kept, "1"));
        assert_eq!(kept.state().inputs.len(), INPUTS_MAX);
    }

    #[test]
    fn what_a_run_uses_is_not_taken_from_what_is_left_to_others() {
        let kept = KeptInputs::new(100);
        let used = input(50);
        let _ = kept.keep(rows("used"), &used);
        for name in ["a", "b"] {
            let _ = kept.keep(rows(name), &input(10));
        }
        assert!(kept.leave(20).is_empty());
        assert_eq!(kept.leave(19).0.len(), 1);
        assert!(has(&kept, "used") && !has(&kept, "a") && has(&kept, "b"));
        assert_eq!(kept.leave(0).0.len(), 1);
        drop(used);
        assert_eq!(kept.leave(0).0.len(), 1, "its run has ended");
    }

    #[test]
    fn no_room_keeps_nothing() {
        let kept = KeptInputs::new(0);
        assert!(kept.keep(rows("a"), &input(1)).is_empty());
        assert!(kept.find(rows("a")).is_none());
    }
}
