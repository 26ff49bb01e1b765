//! The process from which runs are forked. It has one thread, holds no data of anybody, and runs no user code.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, Signal};
use rustix::time::Timespec;
use shirabe_wire::frame;
use shirabe_wire::message::{Greeting, Progress, Start};

use crate::confine::filter::Filters;
use crate::interpreter::Loaded;
use crate::keeper::{self, Ends};
use crate::layout::Layout;
use crate::process::{self, Side};
use crate::spare::{Kind, Run, Spare};

/// How long a thread that a library started may take until it waits.
const SETTLE: Duration = Duration::from_secs(5);

/// After a job was given to a child, how long it has the processors for itself, unless it ends before.
const CALM: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Which process this is once the threads are gone.
pub(crate) enum Shed {
    Zygote,
    /// The one that has them. It has nothing left to do but to see the others end.
    Loader,
}

/// Leaves threads behind that libraries have started: a copy of a process has only the thread that made it.
///
/// They wait for work that never comes, so no lock is held in the copy for ever.
pub(crate) fn shed_threads(python: &Loaded) -> io::Result<Shed> {
    // What is left behind when the zygote ends comes to the loader, and to nobody else.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    wait_until_others_wait()?;
    match python.fork()? {
        Side::Parent(_) => Ok(Shed::Loader),
        Side::Child => {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            python.after_fork();
            match thread_count()? {
                1 => Ok(Shed::Zygote),
                count => Err(io::Error::other(format!("{count} are left"))),
            }
        }
    }
}

fn thread_count() -> io::Result<usize> {
    process::thread_count(fs::File::open("/proc")?)
}

fn wait_until_others_wait() -> io::Result<()> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let until = Instant::now() + SETTLE;
    let mut calm = 0;
    // Seen waiting more than once: one that was just between two things would have gone on.
    while calm < 3 {
        let mut waiting = true;
        for task in fs::read_dir("/proc/self/task")?.flatten() {
            if task.file_name().to_str() != Some(&own) {
                let stat = fs::read_to_string(task.path().join("stat"))?;
                waiting &= stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'));
            }
        }
        calm = if waiting { calm + 1 } else { 0 };
        if Instant::now() > until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a thread of a library does not come to rest",
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits for jobs, and forks.
#[derive(Debug)]
pub(crate) struct Zygote {
    python: Loaded,
    layout: Layout,
    filters: Filters,
    socket: OwnedFd,
    null: OwnedFd,
    ended: OwnedFd,
    /// Threads of the user that were there at the start, for limits that count all of them.
    tasks_of_user: u64,
    run_count: u32,
    /// A child for the next job, if that is of the same kind as the last.
    spare: Option<Spare>,
    /// The kind of the one that has to be made.
    next: Option<Kind>,
}

impl Zygote {
    pub(crate) fn new(
        python: Loaded,
        layout: Layout,
        socket: OwnedFd,
        null: OwnedFd,
    ) -> Result<Self, String> {
        let no = |what: &'static str| move |cause: io::Error| format!("{what}: {cause}");
        process::ignore_file_size_signal();
        // What a keeper leaves behind when it is killed comes here, and not to whoever started the service.
        let own = Some(rustix::process::getpid());
        rustix::process::set_child_subreaper(own).map_err(|cause| format!("subreaper: {cause}"))?;
        let ended = process::ended_children().map_err(no("signals"))?;
        let filters = Filters::new()?;
        let tasks_of_user = tasks_of_user().map_err(no("/proc"))?;
        Ok(Self {
            python,
            layout,
            filters,
            socket,
            null,
            ended,
            tasks_of_user,
            run_count: 0,
            spare: None,
            next: None,
        })
    }

    /// Serves until the service closes its end.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        let ready =
            Greeting::Ready { python: self.python.version.clone(), libraries: self.python.libraries.clone() };
        let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        frame::send(&self.socket, &ready, &[own.as_fd()])?;
        drop(own);
        loop {
            let mut files =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
            let wait = self.next.map(|_| CALM);
            let calm = rustix::io::retry_on_intr(|| poll(&mut files, wait.as_ref()))? == 0;
            let (asked, ended) = (!files[0].revents().is_empty(), !files[1].revents().is_empty());
            if ended {
                // Signals of one kind are not counted, so what it says does not matter.
                let _ = rustix::io::read(&self.ended, &mut [0; 1024]);
                process::reap();
            }
            if asked {
                match frame::receive(&self.socket) {
                    Ok((start, descriptors)) => self.start(start, descriptors)?,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(error),
                }
            } else if (calm || ended)
                && let Some(kind) = self.next.take()
            {
                // If that fails, the next job will tell why.
                self.spare = self.make(kind).ok();
            }
        }
    }

    /// Gives a job to a child, and makes the next one.
    fn start(&mut self, start: Start, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let Some(run) = Run::new(start, descriptors) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a job came without what it needs"));
        };
        let kind = Kind::of(&run.start);
        let spare = self.spare.take().filter(|spare| spare.takes(kind));
        let given = match spare.map(|spare| give(spare, &run)) {
            Some(Ok(())) => Ok(()),
            _ => self.make(kind).and_then(|made| give(made, &run)),
        };
        if let Err(cause) = &given {
            let reason = Progress::Refused(format!("no process could be made: {cause}"));
            // Whoever asked may be gone.
            let _ = frame::send(&run.control, &reason, &[]);
        }
        self.next = Some(kind);
        if thread_count()? != 1 {
            // Nobody may be forked from here any more; the service starts another one.
            return Err(io::Error::other("it has threads"));
        }
        Ok(())
    }

    /// Makes a child that waits for its job.
    fn make(&mut self, kind: Kind) -> io::Result<Spare> {
        if thread_count()? != 1 {
            return Err(io::Error::other("the process to fork from has threads"));
        }
        let (to_keeper, of_keeper) = frame::pair()?;
        let (to_child, of_child) = frame::pair()?;
        self.run_count = self.run_count.wrapping_add(1);
        match self.python.fork()? {
            Side::Child => self.keep(kind, Ends { of_keeper, of_child }),
            Side::Parent(keeper) => {
                let keeper = rustix::process::pidfd_open(keeper, PidfdFlags::empty())?;
                Ok(Spare { kind, keeper, to_keeper, to_child })
            }
        }
    }

    fn keep(&mut self, kind: Kind, ends: Ends) -> ! {
        let place = keeper::Place {
            python: &self.python,
            layout: &self.layout,
            filters: &self.filters,
            null: &self.null,
            tasks_of_user: self.tasks_of_user,
            run_number: self.run_count,
        };
        keeper::keep(kind, ends, &place)
    }
}

fn give(spare: Spare, run: &Run) -> io::Result<()> {
    // Before the keeper says anything. Whoever asked may be gone; the keeper will notice.
    let _ = frame::send(&run.control, &Progress::Forked, &[spare.keeper.as_fd()]);
    spare.give(run)
}

/// How many threads the user of this process has, in all processes that can be seen.
fn tasks_of_user() -> io::Result<u64> {
    let own = format!("\nUid:\t{}\t", rustix::process::getuid().as_raw());
    let mut count = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        // One that ends meanwhile does not count.
        let Ok(status) = fs::read_to_string(process.path().join("status")) else { continue };
        if status.contains(&own) {
            let threads =
                status.lines().find_map(|line| line.strip_prefix("Threads:\t")?.parse::<u64>().ok());
            count += threads.unwrap_or(1);
        }
    }
    Ok(count)
}
