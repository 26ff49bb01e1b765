//! Runs from outside: whom to tell of which child, what it used, and ending one that nobody waits for.
//!
//! Nothing here waits: there is one thread, and all runs are its concern.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Pid, Signal};
use shirabe_wire::frame;
use shirabe_wire::message::{End, Progress, Used};

use crate::process;
use crate::spare::{Child, Run, Spare};

/// The longest reason that a child gives.
const REASON_BYTES_MAX: usize = 4096;

/// A child with a job.
#[derive(Debug)]
struct Going {
    child: Child,
    /// Where its progress is told.
    control: OwnedFd,
    /// What it had used of processors before it had the job.
    begin_ms: u64,
}

/// Those that go on.
#[derive(Debug, Default)]
pub(crate) struct Runs(Vec<Going>);

impl Runs {
    /// Gives a job to a child.
    pub(crate) fn begin(&mut self, spare: Spare, run: Run) {
        let Spare { child, to_child, .. } = spare;
        // Before the job: if this process ended in between, whoever asked would take it for a run that has not begun.
        let started = Progress::Started { memory_bytes: child.begin_bytes };
        if frame::send(&run.control, &started, &[child.pidfd.as_fd()]).is_err() {
            // Nobody is there who asked. The child reads the end of its socket, and ends.
            return;
        }
        let begin_ms = process::cpu_ms(child.pid);
        let files: Vec<BorrowedFd<'_>> = run.files.iter().map(|file| file.as_fd()).collect();
        // A child that is gone has said why, which is told when its end is seen.
        let _ = frame::send(&to_child, &run.start, &files);
        self.0.push(Going { child, control: run.control, begin_ms });
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What can be read when nobody waits for a run any more, as nothing is ever sent that way; one of each.
    pub(crate) fn controls(&self) -> impl Iterator<Item = &OwnedFd> {
        self.0.iter().map(|run| &run.control)
    }

    /// Ends those whose `unwanted`, in the order of [`controls`](Self::controls), is true. Nobody has to be told.
    pub(crate) fn kill(&mut self, unwanted: &[bool]) {
        let mut unwanted = unwanted.iter();
        self.0.retain(|run| {
            let kept = unwanted.next() != Some(&true);
            if !kept {
                // Fails when it has just ended.
                let _ = rustix::process::pidfd_send_signal(&run.child.pidfd, Signal::KILL);
            }
            kept
        });
    }

    /// Tells whoever asked how a child ended, if it had a job. Whether it had.
    pub(crate) fn ended(&mut self, pid: Pid, end: End, mut used: Used) -> bool {
        let Some(at) = self.0.iter().position(|run| run.child.pid == pid) else { return false };
        let run = self.0.swap_remove(at);
        // It began as a copy of this process, and what it did until there was a job is no part of that.
        used.memory_peak_bytes = used.memory_peak_bytes.saturating_sub(run.child.begin_bytes);
        used.cpu_ms = used.cpu_ms.saturating_sub(run.begin_ms);
        let progress = match reason(&run.child.trouble) {
            None => Progress::Ended { end, used },
            Some(reason) => Progress::Refused(reason),
        };
        // Whoever asked may be gone.
        let _ = frame::send(&run.control, &progress, &[]);
        true
    }
}

/// What a child that is dead has said.
fn reason(trouble: &OwnedFd) -> Option<String> {
    let mut text = [0; REASON_BYTES_MAX];
    // It fails where something is left to write to it, which says nothing and must not be waited for.
    let length = rustix::io::read(trouble, &mut text).unwrap_or(0);
    (length > 0).then(|| String::from_utf8_lossy(&text[..length]).into_owned())
}
