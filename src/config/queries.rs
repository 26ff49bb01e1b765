//! What one query may use.

use super::setting::{Reader, Setting};

const TIMEOUT: Setting = Setting {
    name: "QUERY_TIMEOUT_SECONDS",
    default: Some("60"),
    meaning: "seconds a query may take, from waiting to the last row",
};
const MEMORY: Setting = Setting {
    name: "QUERY_MEMORY_MB",
    default: None,
    meaning: "memory for all queries and sorts together, in MiB; by default 512",
};

pub(super) const SETTINGS: &[&Setting] = &[&TIMEOUT, &MEMORY];

/// Settings of queries.
#[derive(Debug, Clone)]
pub struct QueryConfig {
    pub timeout_s: u64,
    /// `None`: half of the machine's memory.
    pub memory_bytes_max: Option<u64>,
}

impl QueryConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let timeout_s = reader.number(&TIMEOUT, 1, 86_400);
        let memory_mb = reader.optional_number(&MEMORY, 16, 1024 * 1024 * 16);
        Some(Self { timeout_s: timeout_s?, memory_bytes_max: memory_mb?.map(|mb| mb * 1024 * 1024) })
    }
}
