//! One run: sent, listened to, and ended if it does not end.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Signal;
use rustix::time::Timespec;

use super::cancel::Cancel;
use super::ended::{Answer, Ended, Failure, Killed, Left};
use super::log::Log;
use super::watch::Watch;
use crate::job::{Job, Limits, Tier};
use crate::message::{End, Progress, Start, Used};
use crate::{frame, memory};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a child may take to be gone once it was ended: giving memory back takes a while.
const DYING_MAX: Duration = Duration::from_secs(30);

/// What is to be run.
#[derive(Debug)]
pub struct Request<'a> {
    pub job: &'a Job,
    /// Sealed memfds, one for each of the job's inputs: a stream of Arrow IPC, or the columns of `shirabe-columns`.
    pub inputs: &'a [BorrowedFd<'a>],
    pub limits: Limits,
    pub tier: Tier,
    pub cancel: Option<&'a Cancel>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    pub result: Result<Answer, Failure>,
    /// Whether it printed more than it may.
    pub log_was_cut: bool,
    /// Whether user code may have run.
    pub has_begun: bool,
    /// From the end of its child backwards to when it was killed, if it was.
    pub dying: Option<Duration>,
    /// Nothing when nobody could tell.
    pub used: Used,
}

impl Finished {
    pub(super) fn unavailable(reason: String) -> Self {
        Self {
            result: Err(Failure::Unavailable(reason)),
            log_was_cut: false,
            has_begun: false,
            dying: None,
            used: Used::default(),
        }
    }
}

pub(super) fn run(socket: &OwnedFd, request: &Request<'_>, on_line: &mut dyn FnMut(&str)) -> Finished {
    match Running::start(socket, request, on_line) {
        Ok(running) => running.finish(request),
        Err(error) => Finished::unavailable(error.to_string()),
    }
}

/// A run that was sent.
struct Running<'a> {
    control: OwnedFd,
    log: Log<'a>,
    left: Left,
    deadline: Instant,
    child: Option<OwnedFd>,
    watch: Option<Watch>,
    killed: Option<(Killed, Instant)>,
    /// Beyond it a run is ended: its own memory, with its inputs and its output, which lie in memory too.
    memory_bytes_max: u64,
    used: Used,
}

impl<'a> Running<'a> {
    fn start(socket: &OwnedFd, request: &Request<'_>, on_line: &'a mut dyn FnMut(&str)) -> io::Result<Self> {
        if request.inputs.len() != request.job.inputs.len() {
            return Err(io::Error::other("each input needs a name"));
        }
        let mut input_byte_count = 0;
        for input in request.inputs {
            input_byte_count += memory::taken(input)?;
        }
        let (control, theirs) = frame::pair()?;
        let (log, prints) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&log, true)?;
        let left = Left { report: memory::empty("report")?, output: memory::empty("output")? };
        let job = memory::sealed("job", &[&serde_json::to_vec(request.job)?])?;
        let start = Start {
            tier: request.tier,
            limits: request.limits,
            inputs: request.inputs.len(),
            input_byte_count,
        };
        let own = [theirs.as_fd(), prints.as_fd(), left.report.as_fd(), left.output.as_fd(), job.as_fd()];
        let deadline = Instant::now() + Duration::from_millis(request.limits.deadline_ms);
        frame::send(socket, &start, &[&own[..], request.inputs].concat())?;
        let log = Log::new(log, request.limits.log_bytes_max, on_line);
        let memory_bytes_max = request.limits.memory_bytes_max.saturating_add(input_byte_count);
        Ok(Self {
            control,
            log,
            left,
            deadline,
            child: None,
            watch: None,
            killed: None,
            memory_bytes_max,
            used: Used::default(),
        })
    }

    fn finish(mut self, request: &Request<'_>) -> Finished {
        let end = self.wait(request);
        let dying = self.killed.map(|(_, at)| at.elapsed());
        let (log_was_cut, has_begun, used) = (self.log.was_cut, self.child.is_some(), self.used);
        let result = match end {
            Ok(Ok(end)) => {
                let ended = Ended {
                    end,
                    killed: self.killed.map(|(why, _)| why),
                    said_no_memory: self.log.said_no_memory,
                };
                self.left.read(&ended, request.job, &request.limits)
            }
            Ok(Err(failure)) => Err(failure),
            // Whatever became of the run, nothing of it is read.
            Err(error) => {
                self.kill();
                Err(Failure::Unavailable(error.to_string()))
            }
        };
        Finished { result, log_was_cut, has_begun, dying, used }
    }

    /// Waits for the end of the child.
    fn wait(&mut self, request: &Request<'_>) -> io::Result<Result<End, Failure>> {
        loop {
            let mut files = vec![PollFd::new(&self.control, PollFlags::IN)];
            if self.log.is_open {
                files.push(PollFd::new(self.log.pipe(), PollFlags::IN));
            }
            let listens = request.cancel.filter(|_| self.killed.is_none()).map(|cancel| cancel.as_fd());
            if let Some(cancel) = &listens {
                files.push(PollFd::new(cancel, PollFlags::IN));
            }
            match poll(&mut files, Some(&self.time_left())) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let happened = |at: usize| files.get(at).is_some_and(|file| !file.revents().is_empty());
            let cancelled = listens.is_some() && happened(files.len() - 1);
            let (told, printed) = (happened(0), self.log.is_open && happened(1));
            if printed {
                self.log.read()?;
            }
            if told && let Some(end) = self.progress()? {
                // The child is dead, so what is in the pipe is all.
                while self.log.is_open && self.has_more() {
                    self.log.read()?;
                }
                return Ok(end);
            }
            self.see_to_its_end(cancelled)?;
        }
    }

    /// What the zygote says of it; the end of the run, if it is that.
    fn progress(&mut self) -> io::Result<Option<Result<End, Failure>>> {
        let (progress, mut descriptors) = match frame::receive::<Progress>(&self.control) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(io::Error::other("the worker ended during the run"));
            }
            Err(error) => return Err(error),
        };
        match progress {
            Progress::Started { memory_bytes } => {
                self.child = descriptors.pop();
                self.watch = match &self.child {
                    Some(child) => Watch::new(child, memory_bytes)?,
                    None => None,
                };
                if self.killed.is_some() {
                    self.kill();
                }
            }
            Progress::Ended { end, used } => {
                self.used = used;
                return Ok(Some(Ok(end)));
            }
            Progress::Refused(reason) => return Ok(Some(Err(Failure::Unfit(reason)))),
        }
        Ok(None)
    }

    fn see_to_its_end(&mut self, cancelled: bool) -> io::Result<()> {
        if let Some((_, at)) = self.killed {
            return if at.elapsed() < DYING_MAX {
                Ok(())
            } else {
                Err(io::Error::other("the run does not end"))
            };
        }
        let why = if cancelled {
            Killed::Cancelled
        } else if Instant::now() >= self.deadline {
            Killed::Deadline
        } else if self.takes_too_much()? {
            Killed::Memory
        } else {
            return Ok(());
        };
        self.killed = Some((why, Instant::now()));
        self.kill();
        Ok(())
    }

    fn takes_too_much(&self) -> io::Result<bool> {
        let Some(taken) = self.watch.as_ref().and_then(Watch::taken) else { return Ok(false) };
        let output = memory::length(&self.left.output)?;
        Ok(taken.saturating_add(output) > self.memory_bytes_max)
    }

    /// Ends the child. One that has not started yet is ended when it has.
    fn kill(&self) {
        if let Some(child) = &self.child {
            // Fails when it has just ended.
            let _ = rustix::process::pidfd_send_signal(child, Signal::KILL);
        }
    }

    fn time_left(&self) -> Timespec {
        let left = match self.killed {
            Some(_) => LOOK,
            None => self.deadline.saturating_duration_since(Instant::now()).min(LOOK),
        };
        Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) }
    }

    fn has_more(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(self.log.pipe(), PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0)
    }
}
