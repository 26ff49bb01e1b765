//! A child that waits for its job.
//!
//! Why: making a place for a child and taking its rights away takes longer than most jobs do. So one is made ahead of
//! time, as far as it can be before anything of a job is known. It runs one job, like any other.
//!
//! It must not know what a job holds: that goes to the child, and past the zygote.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use shirabe_wire::message::{START_DESCRIPTORS, Start};
use shirabe_wire::{Limits, Tier, frame};

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

/// The zygote's side of a child that waits. When it is dropped, the child ends.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) kind: Kind,
    /// The process that keeps it.
    pub(crate) keeper: OwnedFd,
    pub(crate) to_keeper: OwnedFd,
    pub(crate) to_child: OwnedFd,
}

impl Spare {
    /// Whether a job of this kind can be given to it.
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        // The child says nothing, so what can be read is its end.
        let mut files = [PollFd::new(&self.to_child, PollFlags::IN)];
        self.kind == kind && matches!(poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }

    /// Fails when nobody is there any more who could answer for the run.
    pub(crate) fn give(self, run: &Run) -> io::Result<()> {
        let files: Vec<BorrowedFd<'_>> = run.files.iter().map(|file| file.as_fd()).collect();
        // A child that is gone has told its keeper why, which tells it to whoever asked.
        let _ = frame::send(&self.to_child, &run.start, &files);
        frame::send(&self.to_keeper, &(), &[run.control.as_fd()])
    }
}
