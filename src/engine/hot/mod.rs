//! Columns that are read again and again, decoded, in memory.
//!
//! Why: half of the time of a query over Parquet goes into decoding what the query before it decoded too. Versions are
//! immutable, so what was decoded once cannot become stale; it only has to fit. A column of a file is decoded when it is
//! asked for the second time, beside the queries and not by one of them, and is left when something else is asked for
//! more.
//!
//! ```text
//!  plan ─▶ rule.rs: is anything of this scan here? ─▶ source.rs: these files from memory, the others as ever
//!                    │ no: ask for it
//!                    ▼
//!          load.rs: reads, checks and decodes ─▶ mod.rs: keeps, within a limit
//! ```
//!
//! This must not change what a query answers, nor what it is said to cost: budgets and explanations look at the scan
//! behind a [`HotScan`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use tokio::sync::mpsc;

use super::cache::Fill;
use crate::telemetry::{HOT_COLUMN_BYTES, HOT_COLUMNS};

mod column;
mod load;
mod rows;
mod rule;
mod source;
#[cfg(test)]
mod tests;

pub(super) use load::load;
pub(super) use rule::FromMemory;
pub(super) use source::{FILES_FROM_MEMORY, HotScan};

use column::HotColumn;

/// Files that wait to be decoded. What finds no room is asked for again soon, if it matters.
const WAITING_MAX: usize = 64;
/// Columns that are remembered as asked for.
const ASKED_MAX: usize = 16_384;

/// What is kept.
pub(super) struct HotColumns {
    bytes_max: usize,
    state: Mutex<State>,
    wanted: mpsc::Sender<Wanted>,
}

/// Columns of a file that are worth decoding.
#[derive(Debug)]
pub(super) struct Wanted {
    file: PartitionedFile,
    schema: SchemaRef,
    /// Places in the schema, with the moment at which each was asked for before.
    columns: Vec<(usize, u64)>,
}

/// What comes to be decoded.
pub(super) type Waiting = mpsc::Receiver<Wanted>;

#[derive(Default)]
struct State {
    /// Counts scans; the only clock there is.
    now: u64,
    files: HashMap<String, HashMap<usize, Entry>>,
    /// Columns that are not here, and when they were asked for last.
    asked: HashMap<(String, usize), u64>,
    fill: Fill,
}

struct Entry {
    column: Arc<HotColumn>,
    asked_at: u64,
}

impl fmt::Debug for HotColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotColumns").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl HotColumns {
    /// Room for `bytes_max` bytes, and what comes to be decoded for it.
    pub(super) fn new(bytes_max: usize) -> (Arc<Self>, Waiting) {
        let (wanted, waiting) = mpsc::channel(WAITING_MAX);
        (Arc::new(Self { bytes_max, state: Mutex::default(), wanted }), waiting)
    }

    pub(super) fn fill(&self) -> Fill {
        self.lock().fill
    }

    /// The `columns` of `file`, if all are here. Those that are not are decoded when they are asked for again.
    fn ask(
        &self,
        file: &PartitionedFile,
        schema: &SchemaRef,
        columns: &[usize],
    ) -> Option<Vec<Arc<HotColumn>>> {
        let key = file.path().as_ref();
        let mut state = self.lock();
        state.now += 1;
        let missing = match state.take(key, columns) {
            Ok(found) => {
                state.fill.hits += 1;
                metrics::counter!(HOT_COLUMNS, "use" => "hit").increment(1);
                return Some(found);
            }
            Err(missing) => missing,
        };
        *state.fill.misses.get_or_insert_default() += 1;
        metrics::counter!(HOT_COLUMNS, "use" => "miss").increment(1);
        let again: Vec<_> = missing
            .into_iter()
            .filter_map(|column| Some((column, state.asked_before(key, column)?)))
            .collect();
        drop(state);
        if !again.is_empty() {
            let wanted = Wanted { file: file.clone(), schema: Arc::clone(schema), columns: again };
            // No room, or nobody decodes any more: then it stays where it is.
            let _ = self.wanted.try_send(wanted);
        }
        None
    }

    /// Whether `bytes` could be kept of what was asked for at `asked_at`, and then again.
    fn has_room(&self, bytes: usize, asked_at: u64) -> bool {
        let state = self.lock();
        let used = usize::try_from(state.fill.bytes).unwrap_or(usize::MAX);
        let entries = state.files.values().flat_map(HashMap::values);
        let older: usize =
            entries.filter(|entry| entry.asked_at < asked_at).map(|entry| entry.column.bytes()).sum();
        used.saturating_sub(older).saturating_add(bytes) <= self.bytes_max
    }

    /// Keeps a column, in place of those that were not asked for since `asked_at`. With more than fits asked for in
    /// turn, the first ones stay: if the last one always took the place of the next one, nothing would ever be found.
    fn keep(&self, file: &str, index: usize, column: HotColumn, asked_at: u64) {
        if !self.has_room(column.bytes(), asked_at) {
            return;
        }
        let mut state = self.lock();
        while state.fill.bytes.saturating_add(column.bytes() as u64) > self.bytes_max as u64 {
            if !state.drop_oldest() {
                return;
            }
        }
        let (now, bytes) = (state.now, column.bytes() as u64);
        let entry = Entry { column: Arc::new(column), asked_at: now };
        if state.files.entry(file.to_owned()).or_default().insert(index, entry).is_none() {
            state.fill.entries += 1;
            state.fill.bytes += bytes;
        }
        metrics::gauge!(HOT_COLUMN_BYTES).set(state.fill.bytes as f64);
    }

    fn is_here(&self, file: &str, column: usize) -> bool {
        self.lock().files.get(file).is_some_and(|columns| columns.contains_key(&column))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// All of `columns`, or those that are missing.
    fn take(&mut self, file: &str, columns: &[usize]) -> Result<Vec<Arc<HotColumn>>, Vec<usize>> {
        let Some(here) = self.files.get_mut(file) else { return Err(columns.to_vec()) };
        let missing: Vec<_> = columns.iter().copied().filter(|column| !here.contains_key(column)).collect();
        let mut found = Vec::with_capacity(columns.len());
        for column in columns {
            if let Some(entry) = here.get_mut(column) {
                entry.asked_at = self.now;
                found.push(Arc::clone(&entry.column));
            }
        }
        if missing.is_empty() { Ok(found) } else { Err(missing) }
    }

    /// When the column was asked for last, if it was.
    fn asked_before(&mut self, file: &str, column: usize) -> Option<u64> {
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        self.asked.insert((file.to_owned(), column), self.now)
    }

    /// Makes room. False when nothing is left.
    fn drop_oldest(&mut self) -> bool {
        let ages = self.files.iter().flat_map(|(file, columns)| {
            columns.iter().map(move |(index, entry)| (entry.asked_at, file, *index))
        });
        let Some((_, file, index)) = ages.min() else { return false };
        let file = file.clone();
        let Some(columns) = self.files.get_mut(&file) else { return false };
        if let Some(entry) = columns.remove(&index) {
            self.fill.entries -= 1;
            self.fill.bytes -= entry.column.bytes() as u64;
        }
        if columns.is_empty() {
            self.files.remove(&file);
        }
        true
    }
}
