//! Processes: forking, waiting, ending, and descriptors at the numbers that are expected of them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, WaitOptions};
use shirabe_wire::message::{End, Used};

/// Which of the two processes this is after a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Parent(Pid),
    Child,
}

/// Makes a copy of this process. It must have one thread: another one's locks would never be released in the copy.
pub(crate) fn fork() -> io::Result<Side> {
    #[expect(unsafe_code, reason = "no safe interface forks")]
    // SAFETY: the callers see to it that this process has one thread, so what the copy does is not restricted.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => {
            Pid::from_raw(pid).map(Side::Parent).ok_or_else(|| io::Error::other("a process without a number"))
        }
    }
}

/// Ends this process at once, with nothing that was to be done at its end.
pub(crate) fn exit(status: i32) -> ! {
    #[expect(unsafe_code, reason = "`std::process::exit` runs what libraries want to do at the end")]
    // SAFETY: the call reads and writes no memory of ours and does not return.
    unsafe {
        libc::_exit(status)
    }
}

/// Starts this program again in place of itself, with `argument`: what it has loaded is given back, and the processes
/// that it has made stay its own. Returns only if that fails.
pub(crate) fn become_waiting(argument: &str) -> io::Error {
    #[expect(clippy::disallowed_methods, reason = "no process is started, this one goes on as another")]
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg(argument).env_clear().exec()
}

/// Waits until this process has no others.
pub(crate) fn wait_for_all() {
    while rustix::io::retry_on_intr(|| rustix::process::wait(WaitOptions::empty())).is_ok() {}
}

/// Waits for the end of any process that has ended already.
pub(crate) fn reap() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// How a child of this process ended, and what it and all its threads have used; waits for that. The peak of its memory
/// is all that it had.
pub(crate) fn end(child: Pid) -> io::Result<(End, Used)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        #[expect(unsafe_code, reason = "no safe interface tells what a process has used")]
        // SAFETY: the call writes a number and a `rusage` to places that live.
        let ended =
            unsafe { libc::wait4(child.as_raw_nonzero().get(), &raw mut status, 0, usage.as_mut_ptr()) };
        match (ended, io::Error::last_os_error()) {
            (-1, error) if error.kind() == io::ErrorKind::Interrupted => {}
            (-1, error) => return Err(error),
            _ => break,
        }
    }
    #[expect(unsafe_code, reason = "the call has written it")]
    // SAFETY: all zeros are a `rusage`, and so is what the call has written over them.
    let usage = unsafe { usage.assume_init() };
    let end = if libc::WIFEXITED(status) {
        End::Exited(libc::WEXITSTATUS(status))
    } else {
        End::Signalled(libc::WTERMSIG(status))
    };
    let cpu_ms = milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
    // The kernel tells it in KiB.
    let memory_peak_bytes = u64::try_from(usage.ru_maxrss).unwrap_or_default() << 10;
    Ok((end, Used { cpu_ms, memory_peak_bytes }))
}

fn milliseconds(time: libc::timeval) -> u64 {
    let milliseconds = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_usec / 1000);
    u64::try_from(milliseconds).unwrap_or_default()
}

/// What this process has in memory.
pub(crate) fn resident_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("`/proc/self/statm` is of another form"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// An input that has nothing.
pub(crate) fn null() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok(null.into())
}

/// The descriptor that came as standard input, which reads nothing from now on.
pub(crate) fn take_standard_input() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 10)?;
    place(null()?, 0)?;
    Ok(taken)
}

/// Moves a descriptor to `number`, and closes what was there.
pub(crate) fn place(from: OwnedFd, number: RawFd) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the number is not ours until the call returns")]
    // SAFETY: the call reads and writes no memory of ours. The callers name numbers that no value in this process owns.
    let outcome = unsafe { libc::dup3(from.as_raw_fd(), number, 0) };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes all descriptors from `first` on, but for `kept`, which is above it.
pub(crate) fn close_all_but(first: RawFd, kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = kept.as_raw_fd();
    for (from, to) in [(first, kept - 1), (kept + 1, RawFd::MAX)] {
        #[expect(unsafe_code, reason = "what is closed may have no owner")]
        // SAFETY: the call reads and writes no memory of ours. The child, which calls this, has forgotten its owners.
        let outcome = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A descriptor that can be read when a process of ours has ended.
pub(crate) fn ended_children() -> io::Result<OwnedFd> {
    let set = child_signal();
    change_mask(libc::SIG_BLOCK)?;
    #[expect(unsafe_code, reason = "no safe interface makes such a descriptor")]
    // SAFETY: the call reads `set`, which lives, and returns a descriptor or -1.
    let number = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if number == -1 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "the call returned a number")]
    // SAFETY: the descriptor was just made, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets signals about processes that ended through again, as they are in any other process.
pub(crate) fn unblock_ended_children() -> io::Result<()> {
    change_mask(libc::SIG_UNBLOCK)
}

/// Has writes past the limit of a file's size fail, instead of ending the process.
pub(crate) fn ignore_file_size_signal() {
    #[expect(unsafe_code, reason = "no safe interface ignores a signal")]
    // SAFETY: ignoring a signal installs no function that could run at a bad time.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

fn child_signal() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    #[expect(unsafe_code, reason = "no safe interface makes a set of signals")]
    // SAFETY: the first call writes all of `set`, and so the second one reads what is there.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
    }
    #[expect(unsafe_code, reason = "no safe interface makes a set of signals")]
    // SAFETY: as above; `set` has been written.
    unsafe {
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
    }
    #[expect(unsafe_code, reason = "no safe interface makes a set of signals")]
    // SAFETY: as above; `set` has been written.
    unsafe {
        set.assume_init()
    }
}

fn change_mask(how: i32) -> io::Result<()> {
    let set = child_signal();
    #[expect(unsafe_code, reason = "no safe interface changes which signals come through")]
    // SAFETY: the call reads `set`, which lives, and writes nothing because the last argument is null.
    let outcome = unsafe { libc::sigprocmask(how, &raw const set, std::ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes descriptors whose owners are never dropped in this process.
pub(crate) fn close<'a>(files: impl IntoIterator<Item = &'a OwnedFd>) -> io::Result<()> {
    for file in files {
        #[expect(unsafe_code, reason = "the owner is borrowed")]
        // SAFETY: the call reads and writes no memory of ours. The keeper, which calls this, never returns to the
        // owner, and uses the descriptor no more.
        let outcome = unsafe { libc::close(file.as_raw_fd()) };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
