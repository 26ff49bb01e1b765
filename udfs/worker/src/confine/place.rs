//! The place in which a child runs. It is made with rights that user code must never have, and some go with it: the
//! others are taken right after (`confine::ahead`).

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Pid, Uid};
use rustix::thread::UnshareFlags;
use shirabe_wire::frame;

use super::root;
use crate::child::Origin;
use crate::spare::Kind;

/// Users that a service which is root gives its runs, one each, so that none shares its limits or signals with another.
/// Systemd keeps them for such a purpose.
const USERS: std::ops::Range<u32> = 61184..65520;
/// Where there are fewer users: nobody.
const NOBODY: u32 = 65534;
/// Threads that the service may start after the zygote has counted, when a limit counts both.
const THREADS_OF_THE_SERVICE: u64 = 1024;

/// How a child is born: with the namespaces that it cannot come to later. It makes the others itself, because nothing
/// else is done meanwhile by the zygote, which has one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// Among all others, where a tier has no namespaces.
    Among,
    /// As root with all its rights, because root mounts what no other user may look into. It gives them up itself.
    AsRoot,
    /// Without a right outside, in a namespace of users in which it is nobody until the zygote says who it is.
    AsNobody,
}

impl Birth {
    /// As the kernel has them. In that of processes the child is the first and the only one.
    pub(crate) fn namespaces(self) -> i32 {
        match self {
            Self::Among => 0,
            Self::AsRoot => libc::CLONE_NEWPID,
            Self::AsNobody => libc::CLONE_NEWPID | libc::CLONE_NEWUSER,
        }
    }
}

/// Those that any process with the rights to can come to, but for that of mounts.
const OTHERS: UnshareFlags = UnshareFlags::NEWNET
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWCGROUP);

/// From the zygote: who a child is that was born as nobody. It is the run's user, and nobody else is anybody.
pub(crate) fn identify(child: Pid, run_number: u32, origin: &Origin) -> io::Result<()> {
    let name = child.as_raw_nonzero().to_string();
    let identified = if origin.is_root {
        // Groups are not denied, because it still has to give up those of root.
        let own = own_user(run_number);
        map(&origin.proc, &name, own, own).or_else(|_| map(&origin.proc, &name, NOBODY, NOBODY))
    } else {
        map_to_itself(&origin.proc, &name, rustix::process::getuid(), rustix::process::getgid())
    };
    identified.map_err(|cause| io::Error::new(cause.kind(), format!("uid_map: {cause}")))
}

/// Takes the child to a place of its own. How many threads of the same user there are
/// that count towards its limit.
pub(crate) fn make(
    kind: Kind,
    birth: Birth,
    run_number: u32,
    origin: &Origin,
    zygote: &OwnedFd,
) -> Result<u64, String> {
    let told = |what: &'static str| move |cause: io::Error| format!("{what}: {cause}");
    // As its leader it could take a terminal, if it could open one.
    rustix::process::setsid().map_err(|cause| format!("session: {cause}"))?;
    fs::write("/proc/self/oom_score_adj", "1000").map_err(told("oom_score_adj"))?;
    match birth {
        Birth::Among if origin.is_root => become_user(run_number).map_err(told("user"))?,
        Birth::Among => {}
        Birth::AsRoot => {
            unshare(UnshareFlags::NEWNS)?;
            root::enter(&origin.layout, kind).map_err(told("root"))?;
            become_user(run_number).map_err(told("user"))?;
            unshare_user(&origin.proc)?;
        }
        Birth::AsNobody => {
            frame::receive::<()>(zygote).map_err(told("uid_map"))?;
            if origin.is_root {
                become_user(run_number).map_err(told("user"))?;
            }
            unshare(OTHERS | UnshareFlags::NEWNS)?;
            root::enter(&origin.layout, kind).map_err(told("root"))?;
        }
    }
    if birth != Birth::Among {
        rustix::system::sethostname(b"shirabe").map_err(|cause| format!("host name: {cause}"))?;
    }
    // Where the kernel counts for this run alone, its own first thread is the one.
    let own_count = origin.is_root || birth != Birth::Among;
    Ok(if own_count { 1 } else { origin.tasks_of_user + THREADS_OF_THE_SERVICE })
}

/// A namespace of users for one who has no rights any more, and the others, which need that one.
fn unshare_user(proc: &OwnedFd) -> Result<(), String> {
    // Asked before: where nobody is mapped yet, everybody is nobody.
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    unshare(OTHERS | UnshareFlags::NEWUSER)?;
    map_to_itself(proc, "self", user, group).map_err(|cause| format!("uid_map: {cause}"))
}

fn unshare(flags: UnshareFlags) -> Result<(), String> {
    #[expect(unsafe_code, reason = "unsharing descriptors would be wrong, and is not among the flags")]
    // SAFETY: none of the flags is `FILES`, so each descriptor means to this thread what it means to its owner.
    let outcome = unsafe { rustix::thread::unshare_unsafe(flags) };
    outcome.map_err(|cause| format!("namespaces: {cause}"))
}

/// A user that nobody else is.
fn own_user(run_number: u32) -> u32 {
    USERS.start + run_number % (USERS.end - USERS.start)
}

/// Stops being root: a user that nobody else is, and no groups.
fn become_user(run_number: u32) -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    become_one(own_user(run_number)).or_else(|_| become_one(NOBODY))?;
    // The change has made what belongs to this process root's, and it has to write into some of it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    if rustix::process::geteuid().is_root() || rustix::process::getegid().is_root() {
        return Err(io::Error::other("it is still root"));
    }
    Ok(())
}

fn become_one(number: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// In its namespace of users a process is who it was outside, and nobody else is anybody.
fn map_to_itself(proc: &OwnedFd, process: &str, user: Uid, group: Gid) -> io::Result<()> {
    write(proc, process, "setgroups", "deny")?;
    map(proc, process, user.as_raw(), group.as_raw())
}

fn map(proc: &OwnedFd, process: &str, user: u32, group: u32) -> io::Result<()> {
    write(proc, process, "uid_map", &format!("{user} {user} 1"))?;
    write(proc, process, "gid_map", &format!("{group} {group} 1"))
}

fn write(proc: &OwnedFd, process: &str, name: &str, text: &str) -> io::Result<()> {
    let path = format!("{process}/{name}");
    let file = rustix::fs::openat(proc.as_fd(), path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    fs::File::from(file).write_all(text.as_bytes())
}
