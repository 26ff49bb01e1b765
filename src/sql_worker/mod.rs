//! Running other people's SQL in processes of their own.
//!
//! ```text
//!  service                                         worker: no environment, files, network, other processes
//!  Engine::run ─▶ pool ─▶ conversation ── spec ──▶ engine of its own
//!                            │        ◀─ "open" ── broker store
//!                         granted ── descriptor ─▶   (only files of the spec's tables)
//!                            │        ◀─ "rows" ── outbox: Arrow IPC in memory that both reach
//!                         copy, check, hand on
//! ```
//!
//! Why: planning and running a statement can end the process that does it, or never give way, and a fault of the
//! engine could read what the process can read. Here both meet a process that has nothing, and whose end is one
//! query's error. A worker is believed nothing: what it sends is copied before it is checked, and it gets no file
//! but those of the spec it was given.
//!
//! It must not know HTTP, who asks, or where objects lie.

mod area;
mod begin;
mod conversation;
mod failure;
mod frame;
mod granted;
mod inside;
mod job;
mod message;
mod packet;
mod pool;
mod process;
mod worker;

pub use inside::run as run_worker;
pub use pool::{SqlWorkers, WorkerSettings, WorkersReport};

/// The argument that makes the program a worker.
pub const ARGUMENT: &str = "sql-worker";

/// Areas for rows of one worker: while one is copied, another is filled.
const AREAS: usize = 3;
/// The largest batch in its written form.
const FRAME_BYTES_MAX: u64 = 256 << 20;
