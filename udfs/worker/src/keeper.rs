//! One run from outside: the process that makes the place for the child, waits for it, and tells how it died.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use shirabe_wire::frame;
use shirabe_wire::message::{End, Progress, Start, Used};

use crate::child::{self, ABOVE_ALL, Tie};
use crate::confine::filter::Filters;
use crate::confine::place;
use crate::interpreter::Loaded;
use crate::layout::Layout;
use crate::process::{self, Side};

/// What came with a job.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) start: Start,
    /// Where its progress is told. The child does not have it.
    pub(crate) control: OwnedFd,
    pub(crate) log: OwnedFd,
    pub(crate) report: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) job: OwnedFd,
    pub(crate) inputs: Vec<OwnedFd>,
}

impl Run {
    /// The caller has counted the descriptors.
    pub(crate) fn new(start: Start, mut descriptors: Vec<OwnedFd>) -> Self {
        let inputs = descriptors.split_off(shirabe_wire::message::START_DESCRIPTORS);
        let [control, log, report, output, job] =
            <[OwnedFd; 5]>::try_from(descriptors).unwrap_or_else(|_| unreachable!("the caller has counted"));
        Self { start, control, log, report, output, job, inputs }
    }
}

/// What a run has of the zygote.
pub(crate) struct Place<'a> {
    pub(crate) python: &'a Loaded,
    pub(crate) layout: &'a Layout,
    pub(crate) filters: &'a Filters,
    pub(crate) null: &'a OwnedFd,
    pub(crate) tasks_of_user: u64,
    pub(crate) run_number: u32,
    /// Descriptors of the zygote that a run has no use for.
    pub(crate) others: [&'a OwnedFd; 2],
}

/// Makes the child, and waits for its end.
pub(crate) fn keep(run: Run, place: &Place<'_>) -> ! {
    let control = match run.control.try_clone() {
        Ok(control) => control,
        Err(_) => process::exit(1),
    };
    let status = match prepare_and_wait(run, place) {
        Ok((end, used)) => frame::send(&control, &Progress::Ended { end, used }, &[]),
        Err(reason) => frame::send(&control, &Progress::Refused(reason), &[]),
    };
    process::exit(i32::from(status.is_err()))
}

fn prepare_and_wait(run: Run, place: &Place<'_>) -> Result<(End, Used), String> {
    let told = |what: &'static str| move |cause: io::Error| format!("{what}: {cause}");
    // The zygote's own socket: while a copy is open, nobody notices that the zygote is gone.
    process::close(place.others).map_err(told("closing"))?;
    process::unblock_ended_children().map_err(told("signals"))?;
    let begin_bytes = process::resident_bytes().map_err(told("memory"))?;
    let bounds = place::make(&run.start, place)?;
    let own = rustix::process::getpid();
    let alive = rustix::process::pidfd_open(own, PidfdFlags::empty())
        .map_err(|cause| told("a pidfd")(cause.into()))?;
    let (trouble, told_trouble) = trouble().map_err(told("a pipe"))?;
    match process::fork().map_err(told("forking"))? {
        Side::Child => child::run(run, place, &bounds, Tie { alive, trouble: told_trouble }),
        Side::Parent(child) => {
            drop(told_trouble);
            // The end of what it prints is seen when the child's copy is the last one.
            let Run { control, .. } = run;
            let (end, mut used) = wait(child, &control).map_err(told("waiting"))?;
            // The child began as a copy of this process.
            used.memory_peak_bytes = used.memory_peak_bytes.saturating_sub(begin_bytes);
            let mut reason = String::new();
            // The child is dead, so this ends.
            std::fs::File::from(trouble).read_to_string(&mut reason).map_err(told("a pipe"))?;
            if reason.is_empty() { Ok((end, used)) } else { Err(reason) }
        }
    }
}

/// A pipe whose writing end is out of the way of the numbers that the child gives away.
fn trouble() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), rustix::io::fcntl_dupfd_cloexec(&writer, ABOVE_ALL)?))
}

/// Waits for the child, and ends it when nobody wants its answer any more.
fn wait(child: Pid, control: &OwnedFd) -> io::Result<(End, Used)> {
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
    let told = frame::send(control, &Progress::Started, &[pidfd.as_fd()]);
    if told.is_err() {
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)?;
    }
    let mut gone = told.is_err();
    loop {
        let mut files = vec![PollFd::new(&pidfd, PollFlags::IN)];
        if !gone {
            // Nothing is ever sent this way, so what happens here is its end.
            files.push(PollFd::new(control, PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| poll(&mut files, None))?;
        if !files[0].revents().is_empty() {
            return process::end(child);
        }
        gone = true;
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)?;
    }
}
