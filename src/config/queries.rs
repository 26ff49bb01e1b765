//! What queries may use.

use super::setting::{Reader, Setting};
use crate::limits::MB_MAX;

const TIMEOUT: Setting = Setting {
    name: "QUERY_TIMEOUT_SECONDS",
    default: Some("60"),
    meaning: "seconds a query may take, from waiting to the last row",
};
const MEMORY: Setting = Setting {
    name: "QUERY_MEMORY_MB",
    default: None,
    meaning: "memory for all queries and sorts together, in MiB; by default a quarter of the machine's, 512 at least",
};
const MEMORY_EACH: Setting = Setting {
    name: "QUERY_MEMORY_EACH_MB",
    default: None,
    meaning: "memory for one query, in MiB; by default all of `QUERY_MEMORY_MB`",
};
const SPILL: Setting = Setting {
    name: "QUERY_SPILL_MB",
    default: Some("51200"),
    meaning: "disk for what memory does not hold, of all queries and sorts together, in MiB",
};
const SPILL_EACH: Setting = Setting {
    name: "QUERY_SPILL_EACH_MB",
    default: None,
    meaning: "the same for one query, in MiB; by default all of `QUERY_SPILL_MB`",
};
const RESULT: Setting = Setting {
    name: "QUERY_RESULT_MB",
    default: None,
    meaning: "a statement whose result is larger, in MiB of memory, fails; by default there is no limit",
};
const SCAN: Setting = Setting {
    name: "QUERY_SCAN_MB",
    default: None,
    meaning: "a statement that would read more of its tables, in MiB as they are stored, is refused, unless an administrator asks or the user has a limit of their own; by default there is no limit",
};
const CACHE: Setting = Setting {
    name: "QUERY_CACHE_MB",
    default: Some("256"),
    meaning: "memory for results that are kept, in MiB; 0 keeps none",
};
const COLUMNS: Setting = Setting {
    name: "QUERY_COLUMNS_MB",
    default: None,
    meaning: "memory for columns that are read again and again, and kept decoded, in MiB; 0 keeps none; by default an eighth of the machine's memory, at most 4096",
};
const RUNNING: Setting = Setting {
    name: "QUERY_RUNNING_MAX",
    default: None,
    meaning: "queries that run at the same time; by default four for each core, at least 8",
};
const RUNNING_PER_USER: Setting = Setting {
    name: "QUERY_RUNNING_PER_USER",
    default: None,
    meaning: "queries of one user that run at the same time; by default three quarters of `QUERY_RUNNING_MAX`",
};
const WAITING: Setting = Setting {
    name: "QUERY_WAITING_MAX",
    default: Some("512"),
    meaning: "queries that wait for their turn; more get 503",
};
const WAITING_PER_USER: Setting = Setting {
    name: "QUERY_WAITING_PER_USER",
    default: Some("256"),
    meaning: "queries of one user that wait for their turn; more get 429",
};
const HISTORY: Setting = Setting {
    name: "QUERY_HISTORY_MAX",
    default: Some("100000"),
    meaning: "ended queries that are remembered",
};

const ISOLATION: Setting = Setting {
    name: "SQL_ISOLATION",
    default: Some("off"),
    meaning: "where statements run: `off` in the server, `worker` in processes that can reach nothing else",
};

pub(super) const SETTINGS: &[&Setting] = &[
    &TIMEOUT,
    &MEMORY,
    &MEMORY_EACH,
    &SPILL,
    &SPILL_EACH,
    &RESULT,
    &SCAN,
    &CACHE,
    &COLUMNS,
    &RUNNING,
    &RUNNING_PER_USER,
    &WAITING,
    &WAITING_PER_USER,
    &HISTORY,
    &ISOLATION,
];

/// Where statements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlIsolation {
    /// In the process of the server.
    Off,
    /// In workers.
    Worker,
}

/// Settings of queries. `None`: the default depends on the machine or on another setting.
#[derive(Debug, Clone)]
pub struct QueryConfig {
    pub timeout_s: u64,
    pub memory_bytes_max: Option<u64>,
    pub memory_per_query_bytes_max: Option<u64>,
    pub spill_bytes_max: u64,
    pub spill_per_query_bytes_max: Option<u64>,
    pub result_bytes_max: Option<u64>,
    pub scan_bytes_max: Option<u64>,
    pub cache_bytes_max: u64,
    pub column_bytes_max: Option<u64>,
    pub running_max: Option<u64>,
    pub running_per_user_max: Option<u64>,
    pub waiting_max: u64,
    pub waiting_per_user_max: u64,
    pub history_max: u64,
    pub isolation: SqlIsolation,
}

impl QueryConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bytes = |mb: u64| mb << 20;
        // Each is read before the first one that failed is left with, so that all problems are told at once.
        let timeout_s = reader.number(&TIMEOUT, 1, 86_400);
        let memory = reader.optional_number(&MEMORY, 16, MB_MAX);
        let memory_each = reader.optional_number(&MEMORY_EACH, 16, MB_MAX);
        let spill = reader.number(&SPILL, 0, MB_MAX);
        let spill_each = reader.optional_number(&SPILL_EACH, 0, MB_MAX);
        let result = reader.optional_number(&RESULT, 1, MB_MAX);
        let scan = reader.optional_number(&SCAN, 1, MB_MAX);
        let cache = reader.number(&CACHE, 0, MB_MAX);
        let columns = reader.optional_number(&COLUMNS, 0, MB_MAX);
        let running = reader.optional_number(&RUNNING, 1, 10_000);
        let running_per_user = reader.optional_number(&RUNNING_PER_USER, 1, 10_000);
        let waiting = reader.number(&WAITING, 0, 100_000);
        let waiting_per_user = reader.number(&WAITING_PER_USER, 0, 100_000);
        let history = reader.number(&HISTORY, 0, 100_000_000);
        let isolation = reader.required(&ISOLATION, "`off` or `worker`", |text| match text {
            "off" => Some(SqlIsolation::Off),
            "worker" => Some(SqlIsolation::Worker),
            _ => None,
        });
        Some(Self {
            timeout_s: timeout_s?,
            memory_bytes_max: memory?.map(bytes),
            memory_per_query_bytes_max: memory_each?.map(bytes),
            spill_bytes_max: bytes(spill?),
            spill_per_query_bytes_max: spill_each?.map(bytes),
            result_bytes_max: result?.map(bytes),
            scan_bytes_max: scan?.map(bytes),
            cache_bytes_max: bytes(cache?),
            column_bytes_max: columns?.map(bytes),
            running_max: running?,
            running_per_user_max: running_per_user?,
            waiting_max: waiting?,
            waiting_per_user_max: waiting_per_user?,
            history_max: history?,
            isolation: isolation?,
        })
    }
}
