//! How long a statement may take here, and what may be in its way.

mod corpus;
mod fuzz;
mod grammar;

use std::time::Duration;

/// What an operator may take to give way; without optimisation that is much more.
const SLACK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 30_000 } else { 250 });
