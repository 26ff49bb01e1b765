//! One run from outside: the process that makes the place for the child, waits for it, and tells how it died.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use shirabe_wire::frame;
use shirabe_wire::message::{End, Progress, Used};

use crate::child::{self, ABOVE_ALL, Tie};
use crate::confine::filter::Filters;
use crate::confine::place;
use crate::interpreter::Loaded;
use crate::layout::Layout;
use crate::process::{self, Side};
use crate::spare::Kind;

/// What a run has of the zygote.
pub(crate) struct Place<'a> {
    pub(crate) python: &'a Loaded,
    pub(crate) layout: &'a Layout,
    pub(crate) filters: &'a Filters,
    pub(crate) null: &'a OwnedFd,
    pub(crate) tasks_of_user: u64,
    pub(crate) run_number: u32,
}

/// The ends on which a keeper and its child wait for what is theirs of a job.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) of_keeper: OwnedFd,
    pub(crate) of_child: OwnedFd,
}

/// A child that was made.
#[derive(Debug)]
struct Made {
    child: Pid,
    pidfd: OwnedFd,
    trouble: OwnedFd,
    /// What there was in memory when it began.
    begin_bytes: u64,
}

/// Makes the child, waits until there is a job for it, and then for its end.
pub(crate) fn keep(kind: Kind, ends: Ends, place: &Place<'_>) -> ! {
    let Ends { of_keeper, of_child } = ends;
    let made = make(kind, &of_keeper, of_child, place);
    let Some(control) = frame::receive::<()>(&of_keeper).ok().and_then(|((), mut control)| control.pop())
    else {
        // Nobody will ever need it. The child ends with this process.
        process::exit(0)
    };
    let told = match made.and_then(|made| see_to_its_end(made, &control)) {
        Ok((end, used)) => frame::send(&control, &Progress::Ended { end, used }, &[]),
        Err(reason) => frame::send(&control, &Progress::Refused(reason), &[]),
    };
    process::exit(i32::from(told.is_err()))
}

fn told(what: &'static str) -> impl Fn(io::Error) -> String {
    move |cause| format!("{what}: {cause}")
}

fn make(kind: Kind, of_keeper: &OwnedFd, of_child: OwnedFd, place: &Place<'_>) -> Result<Made, String> {
    // Also what came with a job, if there is one already: what a run prints has an end when the child's copy is gone.
    process::close_all_but(3, &[of_keeper.as_fd(), of_child.as_fd(), place.null.as_fd()])
        .map_err(told("closing"))?;
    process::unblock_ended_children().map_err(told("signals"))?;
    let outside = place::make(kind, place)?;
    let begin_bytes = process::memory_bytes(&outside.proc).map_err(told("memory"))?.resident;
    let own = rustix::process::getpid();
    let alive = rustix::process::pidfd_open(own, PidfdFlags::empty())
        .map_err(|cause| told("a pidfd")(cause.into()))?;
    let (trouble, told_trouble) = trouble().map_err(told("a pipe"))?;
    let jobs = rustix::io::fcntl_dupfd_cloexec(&of_child, ABOVE_ALL).map_err(|cause| cause.to_string())?;
    drop(of_child);
    match process::fork().map_err(told("forking"))? {
        Side::Child => child::run(kind.tier, place, outside, Tie { alive, trouble: told_trouble, jobs }),
        Side::Parent(child) => {
            let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())
                .map_err(|cause| told("a pidfd")(cause.into()))?;
            Ok(Made { child, pidfd, trouble, begin_bytes })
        }
    }
}

fn see_to_its_end(made: Made, control: &OwnedFd) -> Result<(End, Used), String> {
    let Made { child, pidfd, trouble, begin_bytes } = made;
    let begin_ms = process::cpu_ms(child);
    let (end, mut used) = wait(child, &pidfd, control).map_err(told("waiting"))?;
    // The child began as a copy of this process, and what it did until there was a job is no part of that.
    used.memory_peak_bytes = used.memory_peak_bytes.saturating_sub(begin_bytes);
    used.cpu_ms = used.cpu_ms.saturating_sub(begin_ms);
    let mut reason = String::new();
    // The child is dead, so this ends.
    std::fs::File::from(trouble).read_to_string(&mut reason).map_err(told("a pipe"))?;
    if reason.is_empty() { Ok((end, used)) } else { Err(reason) }
}

/// A pipe whose writing end is out of the way of the numbers that the child gives away.
fn trouble() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), rustix::io::fcntl_dupfd_cloexec(&writer, ABOVE_ALL)?))
}

/// Waits for the child, and ends it when nobody wants its answer any more.
fn wait(child: Pid, pidfd: &OwnedFd, control: &OwnedFd) -> io::Result<(End, Used)> {
    let told = frame::send(control, &Progress::Started, &[pidfd.as_fd()]);
    if told.is_err() {
        rustix::process::pidfd_send_signal(pidfd, Signal::KILL)?;
    }
    let mut gone = told.is_err();
    loop {
        let mut files = vec![PollFd::new(pidfd, PollFlags::IN)];
        if !gone {
            // Nothing is ever sent this way, so what happens here is its end.
            files.push(PollFd::new(control, PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| poll(&mut files, None))?;
        if !files[0].revents().is_empty() {
            return process::end(child);
        }
        gone = true;
        rustix::process::pidfd_send_signal(pidfd, Signal::KILL)?;
    }
}
