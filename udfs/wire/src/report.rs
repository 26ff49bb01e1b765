//! What the child says of its run. It is written in the process in which user code ran, and so believed nothing: it is
//! bounded, and whatever it says concerns this run only.

use serde::{Deserialize, Serialize};

/// The longest report. A traceback is cut before it is that long.
pub const REPORT_BYTES_MAX: u64 = 1 << 20;

/// The end of a run, as the child tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The output holds rows as a stream of Arrow IPC.
    Rows {
        row_count: u64,
        column_count: u64,
    },
    /// The output holds a page.
    Card(CardReport),
    PythonError(PythonError),
    OutOfMemory(PythonError),
    /// What the function returned is no frame, or no page.
    BadOutput(String),
    OutputTooLarge {
        byte_count: u64,
        byte_count_max: u64,
    },
}

/// What a card says beside its page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardReport {
    pub used_columns: Vec<String>,
    pub filter_applicable: Vec<String>,
}

/// An exception that nobody caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonError {
    /// The exception's class.
    pub kind: String,
    pub message: String,
    /// With the frames of the user's code only.
    pub traceback: String,
    /// The line of the user's code that was reached last, counted from one.
    pub line: Option<u32>,
}
