//! How far an import is, for whoever watches: a page, a progress bar, a log line.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::decode;

/// What an import is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Waits for other imports to end.
    Waiting,
    /// Finds out what the file is.
    Inspecting,
    /// A value did not fit the type that the first rows suggested; the whole file is looked at.
    Inferring,
    /// Reads, converts, sorts and writes rows.
    Writing,
    /// Makes the version the current one.
    Publishing,
    Finished,
}

const STAGES: [Stage; 6] =
    [Stage::Waiting, Stage::Inspecting, Stage::Inferring, Stage::Writing, Stage::Publishing, Stage::Finished];

/// Counters that an import moves and anybody may read.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    rows: AtomicU64,
    bad_rows: AtomicU64,
    bytes: Mutex<Option<decode::Progress>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Snapshot {
    pub stage: Stage,
    /// Bytes of the source read in this stage, as stored.
    pub bytes_read: u64,
    pub bytes_total: u64,
    pub rows: u64,
    pub bad_rows: u64,
}

impl Progress {
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Starts to count one pass over the source anew.
    pub(super) fn watch(&self, bytes: decode::Progress) {
        self.rows.store(0, Ordering::Relaxed);
        self.bad_rows.store(0, Ordering::Relaxed);
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    pub(super) fn add(&self, rows: usize, bad_rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bad_rows.fetch_add(bad_rows as u64, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            stage: STAGES[usize::from(self.stage.load(Ordering::Relaxed))],
            bytes_read: bytes.as_ref().map_or(0, decode::Progress::read_bytes),
            bytes_total: bytes.as_ref().map_or(0, decode::Progress::total_bytes),
            rows: self.rows.load(Ordering::Relaxed),
            bad_rows: self.bad_rows.load(Ordering::Relaxed),
        }
    }
}
