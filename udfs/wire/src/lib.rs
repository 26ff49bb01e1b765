//! What the service and its Python worker say to each other, and the side of the service.
//!
//! ```text
//!  service                          zygote: libraries loaded, no data            child: one run
//!  host::PythonWorkers
//!    └ Zygote ── Start + memfds ──▶  forks ────────────────────────────────────▶  confines itself, runs the code
//!       run   ◀── Started, Ended ──   waits for its end
//!             ◀── lines of output ───────────────────────────────────────────────  child (a pipe)
//!             ◀── report, output ── (memfds, read once the child is dead) ───────  child
//! ```
//!
//! Why: other people's Python gets a process that can do nothing but compute on what it was given. The child has no
//! way to speak to the service but three bounded files, and none of them is read before it is dead. The zygote sees no
//! code and no data either: the job itself travels in a memfd that only the child reads, so that nothing of one run
//! can be left in the memory from which the next one is forked.
//!
//! It must not know Arrow, HTTP, where data lies or who asks.

pub mod corpus;
pub mod frame;
pub mod host;
pub mod job;
pub mod memory;
pub mod message;
pub mod pieces;
pub mod report;

pub use job::{Frames, InputName, Job, JobKind, Limits, Tier};
pub use report::{CardReport, PythonError, Report};
