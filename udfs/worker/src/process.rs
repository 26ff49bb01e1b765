//! Processes: forking, waiting, ending, and descriptors at the numbers that are expected of them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;

use rustix::fs::{Mode, OFlags};
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
    side(unsafe { libc::fork() }.into())
}

/// The same, and the copy begins in `namespaces` of its own, which the C library knows nothing of.
///
/// What that does beside the call is for locks that another thread may hold, its own and those of libraries that asked
/// to be told. The zygote is a copy that the C library has made, and has had one thread ever since. What is left is the
/// number of the thread, which the kernel writes where `thread_number` says that the C library has it.
pub(crate) fn copy(namespaces: i32, thread_number: *mut libc::c_void) -> io::Result<Side> {
    let number =
        if thread_number.is_null() { 0 } else { libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID };
    let flags = libc::c_long::from(namespaces | number | libc::SIGCHLD);
    let none = std::ptr::null_mut::<libc::c_void>();
    #[expect(unsafe_code, reason = "no safe interface makes a process in other namespaces")]
    // SAFETY: as in `fork`. No memory and no descriptors are shared, and the stack stays where it is. The number is the
    // last argument or the one before it, by the machine; the other of them means nothing without its flag.
    side(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, thread_number, thread_number) })
}

fn side(pid: libc::c_long) -> io::Result<Side> {
    match i32::try_from(pid) {
        Ok(-1) => Err(io::Error::last_os_error()),
        Ok(0) => Ok(Side::Child),
        pid => {
            let pid = pid.ok().and_then(Pid::from_raw);
            pid.map(Side::Parent).ok_or_else(|| io::Error::other("a process without a number"))
        }
    }
}

/// Where the C library keeps the number of this thread. Null from a kernel that does not tell; then a copy has that of
/// the zygote there, and what this breaks are locks of the run's own, once it has made as many threads as that number.
pub(crate) fn thread_number() -> *mut libc::c_void {
    let mut number = std::ptr::null_mut::<libc::c_void>();
    #[expect(unsafe_code, reason = "no safe interface tells it")]
    // SAFETY: the call writes an address to a place that lives, or nothing.
    unsafe {
        libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut number);
    }
    number
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

/// A process of this one that has ended: how, and what it and all its threads have used. The peak of its memory is all
/// that it had. None when there is none; waits for nothing.
pub(crate) fn next_end() -> Option<(Pid, End, Used)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    #[expect(unsafe_code, reason = "no safe interface tells what a process has used")]
    // SAFETY: the call writes a number and a `rusage` to places that live.
    let ended = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    // Neither none (0) nor an error, which is that this process has no others.
    let pid = Pid::from_raw(ended.max(0))?;
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
    Some((pid, end, Used { cpu_ms, memory_peak_bytes }))
}

fn milliseconds(time: libc::timeval) -> u64 {
    let milliseconds = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_usec / 1000);
    u64::try_from(milliseconds).unwrap_or_default()
}

/// What a process has used of processors so far. Nothing when it is gone.
pub(crate) fn cpu_ms(process: Pid) -> u64 {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "no safe interface tells which clock that is")]
    // SAFETY: the call writes a number to a place that lives.
    let unknown = unsafe { libc::clock_getcpuclockid(process.as_raw_nonzero().get(), &raw mut clock) };
    #[expect(unsafe_code, reason = "no safe interface reads a clock of another process")]
    // SAFETY: the call writes a time to a place that lives, or refuses a number that is no clock.
    if unknown != 0 || unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    u64::try_from(time.tv_sec * 1000 + time.tv_nsec / 1_000_000).unwrap_or_default()
}

/// How many threads this process has, by the `/proc` that is open.
pub(crate) fn thread_count(proc: impl AsFd) -> io::Result<usize> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(proc, "self/task", flags, Mode::empty())?;
    let mut count = 0;
    for entry in rustix::fs::Dir::read_from(folder)? {
        count += usize::from(!entry?.file_name().to_bytes().starts_with(b"."));
    }
    Ok(count)
}

/// What a process has of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryBytes {
    pub(crate) address_space: u64,
    pub(crate) resident: u64,
    /// What can be written to and is nobody else's, whether it is there or not.
    pub(crate) data: u64,
}

/// What a process has, by the `/proc` that is open and its name there.
pub(crate) fn memory_bytes(proc: impl AsFd, process: &str) -> io::Result<MemoryBytes> {
    let path = format!("{process}/statm");
    let file = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let text = io::read_to_string(File::from(file))?;
    let pages: Vec<u64> = text.split_ascii_whitespace().map_while(|pages| pages.parse().ok()).collect();
    // All, resident, shared, text, a zero, data with stack, a zero.
    let &[address_space, resident, _, _, _, data, _] = &pages[..] else {
        return Err(io::Error::other("`statm` is of another form"));
    };
    let page = rustix::param::page_size() as u64;
    let bytes = |pages: u64| pages.saturating_mul(page);
    Ok(MemoryBytes { address_space: bytes(address_space), resident: bytes(resident), data: bytes(data) })
}

/// An input that has nothing.
pub(crate) fn null() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok(null.into())
}

/// The descriptor that came as standard input, which reads nothing from now on.
pub(crate) fn take_standard_input() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 10)?;
    place(&null()?, 0)?;
    Ok(taken)
}

/// Makes `number` a copy of a descriptor, and closes what was there.
pub(crate) fn place(from: impl AsFd, number: RawFd) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the number is not ours until the call returns")]
    // SAFETY: the call reads and writes no memory of ours. The callers name numbers that no value in this process owns.
    let outcome = unsafe { libc::dup3(from.as_fd().as_raw_fd(), number, 0) };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes all descriptors from `first` on, but for those in `kept`, which are not below it.
pub(crate) fn close_all_but(first: RawFd, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut from = first;
    for until in kept.into_iter().chain([RawFd::MAX]) {
        if from < until {
            #[expect(unsafe_code, reason = "what is closed may have no owner")]
            // SAFETY: the call reads and writes no memory of ours. The callers have forgotten the owners of what it
            // closes, or never return to them.
            let outcome = unsafe { libc::syscall(libc::SYS_close_range, from, until - 1, 0) };
            if outcome != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        from = until.saturating_add(1);
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
