//! Running other people's Python, on the service's side: who may run when, rows in and rows out, what came of it.
//!
//! ```text
//!  PythonRun ─▶ a turn, by memory ─▶ rows to sealed memory ─▶ PythonWorkers::run ─▶ sealed memory to checked rows ─▶ Ran
//!               admission            input                    run (a thread)       output, ended
//!                                      local: all of it in this process
//! PythonRun ─▶ rows to frames of a request ─────▶ service: the same, in another process
//!           ◀─ checked rows, from frames of its answer ─ remote
//! ```
//!
//! Why apart from the engine: a statement is a plan that we wrote, Python is a program that somebody else did. It runs in
//! a process that can reach nothing (`udfs/worker`), and what comes out of it is believed nothing.
//!
//! A run's memory limit is for all it takes: its inputs as they are handed over, what its code allocates, and its result.
//! The time it waits for its turn has a bound of its own and does not count towards its deadline, which begins when its
//! process does; reading its inputs may take as long once more.
//!
//! It must not know what a transform or a card is, where rows come from, nor HTTP.

mod admission;
mod ended;
mod frame;
mod hint;
mod input;
mod kept;
mod local;
mod message;
mod output;
#[cfg(test)]
mod output_tests;
mod remote;
mod remote_rows;
mod run;
mod service;
mod told;
mod workers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use admission::AdmissionLimits;
pub use remote::RemoteSettings;
pub use service::{Answer, ExecutorService};
pub use shirabe_wire::{Frames, InputName, Job, JobKind, Limits, Tier};
pub use workers::PythonSettings;

use crate::catalog::transform::Usage;
use crate::error::Error;
use crate::ids::UserId;
use local::Local;
use remote::Remote;

/// How the kernel keeps the memory of a run within its limit.
const MEMORY: &str = "rlimit";

/// Rows of a run, one batch after the other.
pub type Rows = BoxStream<'static, Result<RecordBatch, Error>>;

/// Runs Python. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Executor(Place);

#[derive(Debug, Clone)]
enum Place {
    Local(Arc<Local>),
    Remote(Arc<Remote>),
}

/// One run.
pub struct PythonRun {
    /// What is to be run. Its inputs are named by those below.
    pub job: Job,
    pub inputs: Vec<InputRows>,
    pub limits: Limits,
    pub class: Class,
    /// Where lines go that the code prints, as they come. One that finds no room is left out, and counted.
    pub lines: Option<mpsc::Sender<String>>,
    /// Whose turn it is.
    pub user_id: UserId,
}

impl fmt::Debug for PythonRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PythonRun")
            .field("inputs", &self.inputs)
            .field("limits", &self.limits)
            .field("class", &self.class)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// Rows that a run is given.
pub struct InputRows {
    pub name: InputName,
    pub schema: SchemaRef,
    /// Not asked for anything before the run has its turn, so that a stream that opens what it reads when it is first
    /// asked holds nothing while it waits.
    pub rows: Rows,
    /// Names the rows, if they are the same whenever they are asked for: those that another run was given may be kept,
    /// and then `rows` is not asked.
    pub same: Option<SameRows>,
}

/// A name for rows that never change, their types and their order.
pub type SameRows = blake3::Hash;

impl fmt::Debug for InputRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputRows").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which turns a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Card,
    Transform,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Transform => "transform",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub result: Result<Output, Error>,
    /// What it printed, up to its limit.
    pub log: String,
    pub log_was_cut: bool,
    /// Lines that found no room in the channel. The log has them.
    pub lines_dropped: u64,
    pub usage: Usage,
    /// Whether it tried to break out of its sandbox.
    pub violation: bool,
}

impl Ran {
    /// One that came to nothing before its process was there.
    fn failed(error: Error) -> Self {
        Self {
            result: Err(error),
            log: String::new(),
            log_was_cut: false,
            lines_dropped: 0,
            usage: Usage::default(),
            violation: false,
        }
    }
}

/// What came out of a run.
pub enum Output {
    Rows {
        schema: SchemaRef,
        /// As many as the stream has, or else it fails.
        row_count: u64,
        /// Checked as they are read: a row that is not what it claims to be is an error here.
        rows: Rows,
    },
    Card {
        html: String,
        used_columns: Vec<String>,
        filter_applicable: Vec<String>,
    },
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { schema, row_count, .. } => f
                .debug_struct("Rows")
                .field("schema", schema)
                .field("row_count", row_count)
                .finish_non_exhaustive(),
            Self::Card { html, .. } => {
                f.debug_struct("Card").field("html_bytes", &html.len()).finish_non_exhaustive()
            }
        }
    }
}

/// What an executor is and may use.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    pub python: PythonSettings,
    pub admission: AdmissionLimits,
    /// What inputs may take that are kept for runs that ask for the same, of what no run has reserved.
    pub kept_bytes_max: u64,
    pub timeouts: Timeouts,
}

/// How long runs may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub card: Duration,
    pub transform: Duration,
}

impl Timeouts {
    fn of(&self, class: Class) -> Duration {
        match class {
            Class::Card => self.card,
            Class::Transform => self.transform,
        }
    }
}

/// How the executor is at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorHealth {
    pub state: ExecutorState,
    /// How runs are confined: `A`, `B` or `C`.
    pub tier: Option<char>,
    /// How the kernel keeps the memory of a run within its limit.
    pub memory: String,
    /// Hostile scripts that came to nothing, of all.
    pub selftest: Option<String>,
    /// Why nothing runs.
    pub reason: Option<String>,
    pub running_count: u64,
    pub waiting_count: u64,
    /// What runs may take now, and all together at most.
    pub memory_reserved_bytes: u64,
    pub memory_bytes_max: u64,
}

/// Whether Python runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorState {
    /// Nobody has needed it yet.
    NotStarted,
    /// The hostile scripts run.
    Starting,
    Ready,
    /// Nothing runs.
    Unavailable,
}

impl Executor {
    /// One whose workers are processes of this one. None is started before it is needed.
    #[must_use]
    pub fn local(settings: ExecutorSettings) -> Self {
        Self(Place::Local(Arc::new(Local::new(settings))))
    }

    /// One whose runs go to an executor at an address.
    ///
    /// # Errors
    /// `Internal` when nothing can be reached from here.
    pub fn remote(settings: RemoteSettings) -> Result<Self, Error> {
        Ok(Self(Place::Remote(Arc::new(Remote::new(settings)?))))
    }

    /// The bounds of a run of `class`, unless its author wants less.
    #[must_use]
    pub fn limits(&self, class: Class) -> Limits {
        let limits = match class {
            Class::Card => Limits::card(),
            Class::Transform => Limits::transform(),
        };
        let timeouts = match &self.0 {
            Place::Local(local) => local.timeouts(),
            Place::Remote(remote) => remote.timeouts(),
        };
        let deadline = timeouts.of(class).as_millis();
        Limits { deadline_ms: u64::try_from(deadline).unwrap_or(u64::MAX), ..limits }
    }

    /// Starts what runs need, so that the first one does not wait for it.
    pub fn warm(&self) {
        if let Place::Local(local) = &self.0 {
            local.warm();
        }
    }

    /// Runs `run` to its end. Dropping the future ends it: its process is killed, and its turn is given back once that
    /// is dead.
    pub async fn run(&self, run: PythonRun) -> Ran {
        match &self.0 {
            Place::Local(local) => local.run(run).await,
            Place::Remote(remote) => remote.run(run).await,
        }
    }

    /// How it is.
    #[must_use]
    pub async fn health(&self) -> ExecutorHealth {
        match &self.0 {
            Place::Local(local) => local.health(),
            Place::Remote(remote) => remote.health().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Handlers and tasks hold these while they wait.
    #[test]
    fn runs_can_be_waited_for_anywhere() {
        fn is_send<T: Send>(_: impl FnOnce(&'static Executor, PythonRun) -> T) {}
        is_send(Executor::run);
        is_send(|executor: &'static Executor, _| executor.health());
        fn is_shared<T: Send + Sync + 'static>() {}
        is_shared::<Executor>();
        is_shared::<ExecutorService>();
    }
}
