//! What the frames between two processes of ours hold.

use serde::{Deserialize, Serialize};
use shirabe_wire::{InputName, Job, Limits};

use super::Class;
use super::hint::Known;
use super::told::Told;
use crate::catalog::transform::Usage;
use crate::ids::UserId;

/// What is to be run; its inputs follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) job: Job,
    pub(super) inputs: Vec<InputName>,
    pub(super) limits: Limits,
    pub(super) class: Class,
    pub(super) user_id: UserId,
    pub(super) known: Known,
}

/// What came of it; its rows follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) log: String,
    pub(super) log_was_cut: bool,
    pub(super) lines_dropped: u64,
    pub(super) usage: Usage,
    pub(super) violation: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Rows { row_count: u64, column_count: u64, byte_count: u64 },
    Card { html: String, used_columns: Vec<String>, filter_applicable: Vec<String> },
    Failed(Told),
}
