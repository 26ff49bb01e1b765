//! What came of a run: read once the child is dead, from files that only it could write.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::fd::OwnedFd;

use crate::job::{Job, JobKind, Limits};
use crate::memory;
use crate::message::End;
use crate::report::{CardReport, PythonError, REPORT_BYTES_MAX, Report};

/// How a stream of Arrow IPC begins. The rest is for whoever reads the rows, where nothing is lost if that fails.
const STREAM_BEGINS: [u8; 4] = [0xff; 4];
/// The head of a stream comes on top of its rows.
const HEAD_BYTES_MAX: u64 = 1 << 20;

/// A run that ended well.
#[derive(Debug)]
pub enum Answer {
    Rows(Rows),
    Card { html: String, report: CardReport },
}

/// Rows of a transform, as Arrow IPC that nobody can change any more. It was written by a process in which user code
/// ran: read it with validation, and believe the counts only as far as they are found there.
#[derive(Debug)]
pub struct Rows {
    pub stream: OwnedFd,
    pub byte_count: u64,
    pub row_count: u64,
    pub column_count: u64,
}

/// A run that did not.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}: {}", .0.kind, .0.message)]
    PythonError(PythonError),
    #[error("it ran longer than {deadline_ms} ms")]
    TimedOut { deadline_ms: u64 },
    #[error("it needed more than {} MiB of memory", memory_bytes_max >> 20)]
    OutOfMemory { memory_bytes_max: u64, error: Option<PythonError> },
    #[error("its result is larger than {byte_count_max} bytes")]
    OutputTooLarge { byte_count_max: u64 },
    /// It made a system call that no honest code makes.
    #[error("it tried to break out of its sandbox")]
    Violation,
    #[error("{0}")]
    BadOutput(String),
    #[error("it was cancelled")]
    Cancelled,
    /// A library brought the process down.
    #[error("its process ended by signal {signal}")]
    Crashed { signal: i32 },
    /// No user code ran, because the child could not be confined.
    #[error("the sandbox is not available: {0}")]
    Unfit(String),
    /// The zygote is gone. Another one may be asked.
    #[error("the Python worker is not available: {0}")]
    Unavailable(String),
}

impl Failure {
    /// A word for records, metrics and tests.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PythonError(_) => "python_error",
            Self::TimedOut { .. } => "timed_out",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::OutputTooLarge { .. } => "output_too_large",
            Self::Violation => "violation",
            Self::BadOutput(_) => "bad_output",
            Self::Cancelled => "cancelled",
            Self::Crashed { .. } => "crashed",
            Self::Unfit(_) => "unfit",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// Why the service ended a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    Deadline,
    Cancelled,
    Memory,
}

/// The end of a child that is dead.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) killed: Option<Killed>,
    /// A library has said that it got no memory, before it ended the process.
    pub(super) said_no_memory: bool,
}

/// The files that only the child could write.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) report: File,
    pub(super) output: File,
}

impl Left {
    pub(super) fn read(self, ended: &Ended, job: &Job, limits: &Limits) -> Result<Answer, Failure> {
        let out_of_memory = |error| Failure::OutOfMemory { memory_bytes_max: limits.memory_bytes_max, error };
        match ended.killed {
            // It may have ended by itself just before. Then what it left counts.
            _ if ended.end == End::Exited(0) => {}
            Some(Killed::Deadline) => return Err(Failure::TimedOut { deadline_ms: limits.deadline_ms }),
            Some(Killed::Cancelled) => return Err(Failure::Cancelled),
            Some(Killed::Memory) => return Err(out_of_memory(None)),
            None => {}
        }
        match ended.end {
            End::Exited(0) => self.by_report(job, limits),
            End::Exited(status) => {
                Err(Failure::BadOutput(format!("the run ended without a result, with status {status}")))
            }
            End::Signalled(SIGSYS) => Err(Failure::Violation),
            End::Signalled(SIGXCPU) => Err(Failure::TimedOut { deadline_ms: limits.deadline_ms }),
            End::Signalled(SIGXFSZ) => {
                Err(Failure::OutputTooLarge { byte_count_max: limits.output_bytes_max })
            }
            // Not by us: the kernel, which ends the children first when there is no memory left.
            End::Signalled(SIGKILL) => Err(out_of_memory(None)),
            End::Signalled(_) if ended.said_no_memory => Err(out_of_memory(None)),
            End::Signalled(signal) => Err(Failure::Crashed { signal }),
        }
    }

    fn report(&mut self) -> Result<Report, String> {
        let bytes = memory::read(&mut self.report, REPORT_BYTES_MAX).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }

    fn by_report(mut self, job: &Job, limits: &Limits) -> Result<Answer, Failure> {
        let report =
            self.report().map_err(|_| Failure::BadOutput("the run ended without a result".to_owned()))?;
        match (report, job.kind) {
            (Report::Rows { row_count, column_count }, JobKind::Transform) => {
                self.rows(limits, row_count, column_count).map(Answer::Rows)
            }
            (Report::Card(report), JobKind::Card) => {
                let byte_count_max = limits.output_bytes_max.min(job.html_bytes_max);
                let html = memory::read(&mut self.output, byte_count_max)
                    .map_err(|_| Failure::OutputTooLarge { byte_count_max })?;
                let html = String::from_utf8(html)
                    .map_err(|_| Failure::BadOutput("the page is not in UTF-8".to_owned()))?;
                Ok(Answer::Card { html, report })
            }
            (Report::PythonError(error), _) => Err(Failure::PythonError(error)),
            (Report::OutOfMemory(error), _) => {
                Err(Failure::OutOfMemory { memory_bytes_max: limits.memory_bytes_max, error: Some(error) })
            }
            (Report::BadOutput(reason), _) => Err(Failure::BadOutput(reason)),
            (Report::OutputTooLarge { .. }, _) => {
                Err(Failure::OutputTooLarge { byte_count_max: limits.output_bytes_max })
            }
            (Report::Rows { .. } | Report::Card(_), _) => {
                Err(Failure::BadOutput("the run ended with a result of another kind".to_owned()))
            }
        }
    }

    fn rows(mut self, limits: &Limits, row_count: u64, column_count: u64) -> Result<Rows, Failure> {
        let bad = |error: io::Error| Failure::BadOutput(format!("the result cannot be read: {error}"));
        // Nobody is left who could have mapped it to write, so this cannot fail for an honest reason.
        memory::seal(&self.output).map_err(bad)?;
        let byte_count = memory::length(&self.output).map_err(bad)?;
        if byte_count > limits.output_bytes_max.saturating_add(HEAD_BYTES_MAX) {
            return Err(Failure::OutputTooLarge { byte_count_max: limits.output_bytes_max });
        }
        let mut begin = [0; 4];
        let read = rustix::io::pread(&self.output, &mut begin, 0).map_err(|error| bad(error.into()))?;
        if read != begin.len() || begin != STREAM_BEGINS {
            return Err(Failure::BadOutput("the result is no stream of Arrow IPC".to_owned()));
        }
        self.output.rewind().map_err(bad)?;
        Ok(Rows { stream: self.output.into(), byte_count, row_count, column_count })
    }
}

// The numbers of the signals on the architectures that a worker can be confined on.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
const SIGSYS: i32 = 31;
