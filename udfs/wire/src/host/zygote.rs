//! One process with libraries loaded, from which runs are forked.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::time::Timespec;

use super::process;
use super::run::{self, Finished, Request};
use crate::frame;
use crate::message::Greeting;

/// How long loading the libraries may take, on a slow disk.
const LOADING_MAX: Duration = Duration::from_secs(120);
/// How long it may take to end when it is told to.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Takes any number of jobs at once. Ends when it is dropped, and with it whatever still runs.
#[derive(Debug)]
pub struct Zygote {
    child: Child,
    /// None once it was told to end.
    socket: Option<OwnedFd>,
    /// The process that forks. The child itself only waits for it and for what it leaves behind.
    forking: OwnedFd,
    started: Instant,
    run_count: AtomicU32,
    python: String,
    libraries: Vec<String>,
}

impl Zygote {
    /// Starts one, and waits until it has loaded the libraries of `home`.
    ///
    /// # Errors
    /// When it cannot be started, or says why it cannot work.
    pub fn start(program: &Path, home: &Path) -> io::Result<Self> {
        let (mut child, socket) = process::start(program, home)?;
        let greeting = match wait_for(&socket, LOADING_MAX) {
            Ok(true) => frame::receive::<Greeting>(&socket),
            Ok(false) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not get ready")),
            Err(error) => Err(error),
        };
        let ready = greeting.and_then(|(greeting, mut descriptors)| match (greeting, descriptors.pop()) {
            (Greeting::Ready { python, libraries }, Some(forking)) => Ok((python, libraries, forking)),
            (Greeting::Ready { .. }, None) => Err(io::Error::other("it does not say which process it is")),
            (Greeting::Unfit(reason), _) => Err(io::Error::other(reason)),
        });
        match ready {
            Ok((python, libraries, forking)) => Ok(Self {
                child,
                socket: Some(socket),
                forking,
                started: Instant::now(),
                run_count: AtomicU32::new(0),
                python,
                libraries,
            }),
            Err(error) => {
                // Fails when it has ended by itself.
                let _ = child.kill();
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Runs a job, and waits for its end. `on_line` gets each line that it prints.
    ///
    /// Call it from as many threads as runs are wanted at once.
    #[must_use]
    pub fn run(&self, request: &Request<'_>, on_line: &mut dyn FnMut(&str)) -> Finished {
        self.run_count.fetch_add(1, Ordering::Relaxed);
        match &self.socket {
            Some(socket) => run::run(socket, request, on_line),
            None => Finished::unavailable("it was told to end".to_owned()),
        }
    }

    /// Whether it can take no more jobs.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // Nothing is ever said on this socket after the greeting, so what can be read is its end.
        self.socket.as_ref().is_none_or(|socket| wait_for(socket, Duration::ZERO).unwrap_or(true))
    }

    #[must_use]
    pub fn run_count(&self) -> u32 {
        self.run_count.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The version of Python.
    #[must_use]
    pub fn python(&self) -> &str {
        &self.python
    }

    /// The libraries of the contract, with their versions.
    #[must_use]
    pub fn libraries(&self) -> &[String] {
        &self.libraries
    }

    /// The process that forks, for whoever counts processes.
    #[must_use]
    pub fn forking(&self) -> &OwnedFd {
        &self.forking
    }

    /// The process that was started, which ends last.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) -> io::Result<()> {
        // It reads the end of its socket, and ends; runs end with it.
        drop(self.socket.take());
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Ok(whole) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            && !wait_for(&whole, ENDING_MAX)?
        {
            // Fails when it has just ended.
            let _ = rustix::process::pidfd_send_signal(&self.forking, Signal::KILL);
            if !wait_for(&whole, ENDING_MAX)? {
                self.child.kill()?;
            }
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Nobody can be told; what could fail is waiting for a process that is gone.
        let _ = self.end();
    }
}

/// Whether there is something to read within `time`.
pub(super) fn wait_for(file: &OwnedFd, time: Duration) -> io::Result<bool> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let file = file.as_fd();
        match poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
