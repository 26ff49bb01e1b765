//! What a worker is told at its beginning, as an argument: it has to give up its rights before it has threads, and
//! listening to a socket takes threads.

use serde::{Deserialize, Serialize};

/// What a worker is told at its beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Begin {
    /// What the operators of a query may hold.
    pub(super) memory_bytes_max: usize,
    /// What the process may have of address space beyond what it starts with.
    pub(super) address_space_bytes: u64,
    pub(super) spill_bytes_max: u64,
    pub(super) threads: usize,
    pub(super) batch_rows: usize,
    pub(super) footer_cache_bytes_max: usize,
    pub(super) time_zone: String,
}
