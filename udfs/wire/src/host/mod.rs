//! The side of the service: starts the worker, gives it jobs, and ends whatever does not end by itself.
//!
//! ```text
//!  PythonWorkers ── the zygote that runs are forked from now, and the next one (workers)
//!    └ Zygote ───── one process (zygote, process)
//!        └ run ──── one job: send, listen to what it prints, wait for its end or end it, read what it left (run, ended)
//! ```
//!
//! Why blocking: a run is a thread that waits for a socket, a pipe and a clock. An async caller puts it on a thread of
//! its own and drops the [`Cancel`]'s other end into whatever cancels.
//!
//! It must not know the frames' content: what comes out is bytes in sealed memory, to be checked where rows are checked.

mod cancel;
mod ended;
mod log;
mod process;
mod run;
mod selftest;
mod watch;
mod workers;
mod zygote;

pub use cancel::Cancel;
pub use ended::{Answer, Failure, Rows};
pub use run::{Finished, Request};
pub use selftest::{Probe, SelfTest, TierResult, self_test};
pub use workers::{PythonWorkers, Settings, StartError};
pub use zygote::Zygote;
