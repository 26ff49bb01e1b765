//! Running transforms by the clock, and seeing to it that none runs for ever.
//!
//! Why it needs more than a loop: any number of processes look at the same schedules, each may stop at any moment, for
//! good or for a while, and the clock of each may jump. So nothing here depends on who looks, or on how often:
//!
//! - [`Cron`] says when a schedule is due, `due` which of these times are to be started.
//! - An execution is begun under a condition of the store: one for each due time, one at a time for each transform.
//!   Of several processes that try, one does.
//! - [`Leases`] and [`Held`] say again and again that a process runs an execution. Each time moves its revision, under
//!   which its end is committed: whoever was stopped and has lost it commits nothing.
//! - The sweep finds executions whose revision has not moved for longer than a lease, and runs them again or ends them.
//!   It goes by the timer and not by the clock, and it also runs where nothing is started.
//!
//! Only the store knows what has happened. What is kept here saves questions and may be lost. This folder must not know
//! what running a transform takes: see [`Runner`].

mod backfill;
mod claim;
mod cron;
mod due;
mod held;
mod inputs;
mod leases;
mod scheduler;
mod start;
mod sweep;
#[cfg(test)]
mod tests;
mod timing;

pub use cron::Cron;
pub use held::Held;
pub use leases::{Leases, Started};
pub use scheduler::{Runner, Scheduler, SchedulerParts};
pub use start::new_execution;
pub use timing::Timing;
