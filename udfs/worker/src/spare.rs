//! A child that waits for its job.
//!
//! Why: making a place for a child and taking its rights away takes longer than most jobs do. So one is made ahead of
//! time, as far as it can be before anything of a job is known. It runs one job, like any other.
//!
//! It must not know what a job holds: that goes to the child, and past the zygote.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;
use rustix::time::Timespec;
use shirabe_wire::message::{START_DESCRIPTORS, Start};
use shirabe_wire::{Limits, Tier};

/// What has to be known before a child is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) tier: Tier,
    pub(crate) disk_bytes_max: u64,
    pub(crate) disk_files_max: u64,
}

impl Kind {
    pub(crate) fn of(start: &Start) -> Self {
        let Limits { disk_bytes_max, disk_files_max, .. } = start.limits;
        Self { tier: start.tier, disk_bytes_max, disk_files_max }
    }
}

/// What came with a job.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) start: Start,
    /// Where its progress is told. The child does not have it.
    pub(crate) control: OwnedFd,
    /// For what it prints, its report, its output and its job, and then the inputs.
    pub(crate) files: Vec<OwnedFd>,
}

impl Run {
    /// None when something is missing.
    pub(crate) fn new(start: Start, mut descriptors: Vec<OwnedFd>) -> Option<Self> {
        if descriptors.len() != START_DESCRIPTORS + start.inputs {
            return None;
        }
        let files = descriptors.split_off(1);
        Some(Self { start, control: descriptors.pop()?, files })
    }
}

/// The zygote's side of a child that waits. When it is dropped, the child reads the end of its socket, and ends.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) kind: Kind,
    pub(crate) child: Child,
    pub(crate) to_child: OwnedFd,
}

/// A child, whether it waits or runs.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// Where it says why it could not be confined. Reading waits for nothing.
    pub(crate) trouble: OwnedFd,
    /// What it had in memory when it began.
    pub(crate) begin_bytes: u64,
}

impl Spare {
    /// Whether a job of this kind can be given to it.
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        // The child says nothing, so what can be read is its end.
        let mut files = [PollFd::new(&self.to_child, PollFlags::IN)];
        self.kind == kind && matches!(poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }
}
