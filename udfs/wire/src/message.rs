//! The messages, none of which holds anything of a user.

use serde::{Deserialize, Serialize};

use crate::job::{Limits, Tier};

/// From the service to the zygote.
///
/// With it come, in this order: the socket on which the run is answered, the pipe for what it prints, the memfds for
/// its report, its output and its job, and one memfd for each input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    pub tier: Tier,
    pub limits: Limits,
    pub inputs: usize,
    pub input_byte_count: u64,
}

/// Descriptors of a [`Start`] before those of the inputs.
pub const START_DESCRIPTORS: usize = 5;

/// From the zygote to the service, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// It has loaded the libraries, and takes jobs.
    Ready { python: String, libraries: Vec<String> },
    /// It cannot work.
    Unfit(String),
}

/// About one run, on its own socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// With the pidfd of the child, which gets the job now. It began with this much in memory.
    Started { memory_bytes: u64 },
    /// The child is dead, and nothing of it is left.
    Ended { end: End, used: Used },
    /// No child was made, or it could not be confined, and so no user code ran.
    Refused(String),
}

/// What the kernel says that a child has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Of all its threads, in user code and in the kernel.
    pub cpu_ms: u64,
    /// The most that it had in memory at one time beyond what it began with; its inputs are part of it.
    pub memory_peak_bytes: u64,
}

/// How the child died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Exited(i32),
    Signalled(i32),
}
