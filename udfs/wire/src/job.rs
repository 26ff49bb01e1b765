//! What is to be run, and within which bounds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most inputs of one run: each is a descriptor, and the kernel passes 253 of them at once.
pub const INPUTS_MAX: usize = 200;

/// One run, as the child reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub kind: JobKind,
    /// What the user wrote.
    pub code: String,
    /// How tracebacks name it.
    pub file_name: String,
    /// The function that is called: `transform` or `render`, unless the user chose another.
    pub entry: String,
    pub params: Value,
    /// The filters of a dashboard, for a card.
    pub filters: Value,
    /// One for each input, in the order of their memfds.
    pub inputs: Vec<InputName>,
    pub frames: Frames,
    /// What random numbers begin with: the same for the same run, different for each other one.
    pub seed: u64,
    /// How large the page of a card may be.
    pub html_bytes_max: u64,
}

impl Job {
    /// A transform of `code`, with all else as it is by default.
    #[must_use]
    pub fn transform(code: impl Into<String>) -> Self {
        Self {
            kind: JobKind::Transform,
            code: code.into(),
            file_name: "transform.py".to_owned(),
            entry: "transform".to_owned(),
            params: Value::Object(serde_json::Map::new()),
            filters: Value::Object(serde_json::Map::new()),
            inputs: Vec::new(),
            frames: Frames::default(),
            seed: 0,
            html_bytes_max: 16 << 20,
        }
    }

    /// A card of `code`, with all else as it is by default.
    #[must_use]
    pub fn card(code: impl Into<String>) -> Self {
        let transform = Self::transform(code);
        Self { kind: JobKind::Card, file_name: "card.py".to_owned(), entry: "render".to_owned(), ..transform }
    }
}

/// What comes out of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Rows.
    Transform,
    /// A page.
    Card,
}

/// How user code finds an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputName {
    /// The dataset's id.
    pub id: String,
    /// A second name for the same frame.
    pub alias: Option<String>,
}

/// What user code meets when the first parameter of its function says nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frames {
    /// pandas, with the types that pandas users expect.
    #[default]
    Pandas,
    /// pandas on Arrow's memory, nothing copied.
    PandasArrow,
    Polars,
    Pyarrow,
}

/// Bounds of one run. The kernel keeps each of them but the deadline, which the service keeps by SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub deadline_ms: u64,
    /// Beyond what the libraries and the inputs take.
    pub memory_bytes_max: u64,
    /// Rows as Arrow IPC, or the page of a card.
    pub output_bytes_max: u64,
    /// What it prints. What is longer is cut off, which is no error.
    pub log_bytes_max: u64,
    /// Its private folder for temporary files, where there is one.
    pub disk_bytes_max: u64,
    pub disk_files_max: u64,
    pub threads_max: u64,
}

impl Limits {
    /// As the contract has them for a transform.
    #[must_use]
    pub fn transform() -> Self {
        Self {
            deadline_ms: 300_000,
            memory_bytes_max: 4096 << 20,
            output_bytes_max: 2048 << 20,
            log_bytes_max: 1 << 20,
            disk_bytes_max: 64 << 20,
            disk_files_max: 1024,
            threads_max: 64,
        }
    }

    /// As the contract has them for a card.
    #[must_use]
    pub fn card() -> Self {
        Self {
            deadline_ms: 10_000,
            memory_bytes_max: 2048 << 20,
            output_bytes_max: 16 << 20,
            ..Self::transform()
        }
    }
}

/// How a child is confined, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// Namespaces and a root of its own, Landlock, and a filter of system calls.
    A,
    /// Landlock, and a filter of system calls.
    B,
    /// A filter of system calls that lets none with a path pass.
    C,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
