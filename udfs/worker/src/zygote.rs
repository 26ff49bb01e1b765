//! The process from which runs are forked. It has one thread, holds no data of anybody, and runs no user code.
//!
//! It also sees to the end of each run. It was a process of its own that did so, and making and taking apart a second
//! copy of all libraries took longer than most jobs.

use std::fs;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::time::Timespec;
use shirabe_wire::message::{Greeting, Progress, Start};
use shirabe_wire::{Tier, frame};

use crate::child::{self, ABOVE_ALL, Origin, Tie};
use crate::confine::filter::Filters;
use crate::confine::place::{self, Birth};
use crate::interpreter::Loaded;
use crate::layout::Layout;
use crate::process::{self, Side};
use crate::runs::Runs;
use crate::spare::{Child, Kind, Run, Spare};

/// How long a thread that a library started may take until it waits.
const SETTLE: Duration = Duration::from_secs(5);

/// After a job was given to a child, how long runs have the processors for themselves when there is none to spare,
/// unless one of them ends before.
const CALM: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

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
    match python.fork(process::fork)? {
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
    origin: Origin,
    socket: OwnedFd,
    ended: OwnedFd,
    /// Where the C library keeps the number of the only thread.
    thread_number: *mut libc::c_void,
    /// Whether root may have namespaces here. In a container it may be refused.
    root_may: bool,
    processors: usize,
    run_count: u32,
    runs: Runs,
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
        // What a run left behind, if it could, would come here, and not to whoever started the service.
        let own = Some(rustix::process::getpid());
        rustix::process::set_child_subreaper(own).map_err(|cause| format!("subreaper: {cause}"))?;
        let ended = process::ended_children().map_err(no("signals"))?;
        let is_root = rustix::process::geteuid().is_root();
        let origin = Origin {
            python,
            layout,
            filters: Filters::new()?,
            null: above_all(&null).map_err(no("an empty input"))?,
            proc: proc().map_err(no("/proc"))?,
            zygote: of_itself().map_err(no("a pidfd"))?,
            is_root,
            tasks_of_user: tasks_of_user().map_err(no("/proc"))?,
        };
        Ok(Self {
            origin,
            socket,
            ended,
            thread_number: process::thread_number(),
            root_may: is_root,
            // Where nobody can tell, it is as if there were none to spare.
            processors: std::thread::available_parallelism().map_or(0, NonZero::get),
            run_count: 0,
            runs: Runs::default(),
            spare: None,
            next: None,
        })
    }

    /// Serves until the service closes its end. Runs that go on then end with this process.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        let Loaded { version, libraries, .. } = &self.origin.python;
        let ready = Greeting::Ready { python: version.clone(), libraries: libraries.clone() };
        frame::send(&self.socket, &ready, &[self.origin.zygote.as_fd()])?;
        loop {
            let mut files =
                vec![PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
            files.extend(self.runs.controls().map(|control| PollFd::new(control, PollFlags::IN)));
            let wait = self.next.map(|_| if self.runs.count() < self.processors { AT_ONCE } else { CALM });
            let calm = rustix::io::retry_on_intr(|| poll(&mut files, wait.as_ref()))? == 0;
            let happened: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
            drop(files);
            self.runs.kill(&happened[2..]);
            let ended = happened[1] && self.see_ends();
            if happened[0] {
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

    /// Sees to all children that have ended. Whether one of them had a job.
    fn see_ends(&mut self) -> bool {
        // Signals of one kind are not counted, so what it says does not matter.
        let _ = rustix::io::read(&self.ended, &mut [0; 1024]);
        let mut ended = false;
        while let Some((pid, end, used)) = process::next_end() {
            ended |= self.runs.ended(pid, end, used);
        }
        ended
    }

    /// Gives a job to a child, and has the next one made.
    fn start(&mut self, start: Start, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let Some(run) = Run::new(start, descriptors) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a job came without what it needs"));
        };
        let kind = Kind::of(&run.start);
        let spare = self.spare.take().filter(|spare| spare.takes(kind));
        match spare.map_or_else(|| self.make(kind), Ok) {
            Ok(spare) => self.runs.begin(spare, run),
            Err(cause) => {
                let reason = Progress::Refused(format!("no process could be made: {cause}"));
                // Whoever asked may be gone.
                let _ = frame::send(&run.control, &reason, &[]);
            }
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
        let birth = match kind.tier {
            Tier::A if self.root_may => Birth::AsRoot,
            Tier::A => Birth::AsNobody,
            Tier::B | Tier::C => Birth::Among,
        };
        let (to_child, jobs) = frame::pair()?;
        let (trouble, told_trouble) = io::pipe()?;
        let trouble = OwnedFd::from(trouble);
        rustix::io::ioctl_fionbio(&trouble, true)?;
        let tie = Tie { trouble: above_all(&told_trouble)?, jobs: above_all(&jobs)? };
        drop((told_trouble, jobs));
        self.run_count = self.run_count.wrapping_add(1);
        let copy = || process::copy(birth.namespaces(), self.thread_number);
        match self.origin.python.fork(copy) {
            Ok(Side::Child) => child::run(kind, birth, self.run_count, &self.origin, tie),
            Ok(Side::Parent(pid)) => {
                // Dropped with the error if there is one, and then the child reads the end of its socket, and ends.
                let child = self.born(pid, birth, trouble, &to_child)?;
                Ok(Spare { kind, child, to_child })
            }
            Err(cause) if birth == Birth::AsRoot && cause.kind() == io::ErrorKind::PermissionDenied => {
                self.root_may = false;
                self.make(kind)
            }
            Err(cause) => Err(cause),
        }
    }

    /// What there is to do from outside for a child that was just born.
    fn born(&self, pid: Pid, birth: Birth, trouble: OwnedFd, to_child: &OwnedFd) -> io::Result<Child> {
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        // Now, when it has hardly begun. Of the run is what it takes from here on.
        let name = pid.as_raw_nonzero().to_string();
        let begin_bytes = process::memory_bytes(&self.origin.proc, &name)?.resident;
        if birth == Birth::AsNobody {
            place::identify(pid, self.run_count, &self.origin)?;
            // If it is gone, its end will tell.
            let _ = frame::send(to_child, &(), &[]);
        }
        Ok(Child { pid, pidfd, trouble, begin_bytes })
    }
}

/// The same descriptor out of the way of the numbers that a child gives away.
fn above_all(file: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, ABOVE_ALL)?)
}

fn of_itself() -> io::Result<OwnedFd> {
    above_all(rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?)
}

fn proc() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    above_all(rustix::fs::open("/proc", flags, Mode::empty())?)
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
