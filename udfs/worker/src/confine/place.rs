//! The place in which a child begins: made by its keeper, which may have rights that the child must never have.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use rustix::thread::UnshareFlags;
use shirabe_wire::Tier;

use super::root;
use crate::keeper;
use crate::spare::Kind;

/// Users that a service which is root gives its runs, one each, so that none shares its limits or signals with another.
/// Systemd keeps them for such a purpose.
const USERS: std::ops::Range<u32> = 61184..65520;
/// Where there are fewer users: nobody.
const NOBODY: u32 = 65534;
/// Threads that the service may start after the zygote has counted, when a limit counts both.
const THREADS_OF_THE_SERVICE: u64 = 1024;

/// What can be told of a place from nowhere but outside.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Threads of the same user that are none of the run's.
    pub(crate) other_tasks: u64,
    /// `/proc`, to which there may be no path.
    pub(crate) proc: OwnedFd,
}

/// Takes the keeper to a place of its own.
pub(crate) fn make(kind: Kind, place: &keeper::Place<'_>) -> Result<Outside, String> {
    let told = |what: &'static str| move |cause: io::Error| format!("{what}: {cause}");
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|cause| cause.to_string())?;
    rustix::process::setsid().map_err(|cause| format!("session: {cause}"))?;
    fs::write("/proc/self/oom_score_adj", "1000").map_err(told("oom_score_adj"))?;
    let proc = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| format!("/proc: {cause}"))?;
    let is_root = rustix::process::geteuid().is_root();
    match kind.tier {
        Tier::A => with_namespaces(kind, place, &proc, is_root)?,
        Tier::B | Tier::C if is_root => become_user(place.run_number).map_err(told("user"))?,
        Tier::B | Tier::C => {}
    }
    // Again, because a change of user takes it back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|cause| cause.to_string())?;
    let own_count = is_root || kind.tier == Tier::A;
    let other_tasks = if own_count { 2 } else { place.tasks_of_user + THREADS_OF_THE_SERVICE };
    Ok(Outside { other_tasks, proc })
}

/// A root with nothing in it but Python, and no process, network, user or name but its own.
fn with_namespaces(
    kind: Kind,
    place: &keeper::Place<'_>,
    proc: &OwnedFd,
    is_root: bool,
) -> Result<(), String> {
    let told = |what: &'static str| move |cause: io::Error| format!("{what}: {cause}");
    let all = UnshareFlags::NEWUSER
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // Root mounts as root: the folders may be where no other user may look. In a container root may have no right to.
    let mounts_as_root = is_root && unshare(UnshareFlags::NEWNS).is_ok();
    if mounts_as_root {
        root::enter(place.layout, kind).map_err(told("root"))?;
        become_user(place.run_number).map_err(told("user"))?;
        unshare_user(all, proc)?;
    } else {
        if is_root {
            become_user(place.run_number).map_err(told("user"))?;
        }
        unshare_user(all | UnshareFlags::NEWNS, proc)?;
        root::enter(place.layout, kind).map_err(told("root"))?;
    }
    rustix::system::sethostname(b"shirabe").map_err(|cause| format!("host name: {cause}"))
}

fn unshare_user(flags: UnshareFlags, proc: &OwnedFd) -> Result<(), String> {
    // Asked before: in a namespace in which nobody is mapped yet, everybody is nobody.
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    unshare(flags).map_err(|cause| format!("namespaces: {cause}"))?;
    map_to_itself(proc, user, group).map_err(|cause| format!("uid_map: {cause}"))
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    #[expect(unsafe_code, reason = "unsharing descriptors would be wrong, and is not among the flags")]
    // SAFETY: none of the flags is `FILES`, so each descriptor means to this thread what it means to its owner.
    let outcome = unsafe { rustix::thread::unshare_unsafe(flags) };
    Ok(outcome?)
}

/// Stops being root: a user that nobody else is, and no groups.
fn become_user(run_number: u32) -> io::Result<()> {
    let own = USERS.start + run_number % (USERS.end - USERS.start);
    rustix::thread::set_thread_groups(&[])?;
    become_one(own).or_else(|_| become_one(NOBODY))?;
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

/// In the new user namespace it is who it was outside, and nobody else is anybody.
fn map_to_itself(proc: &OwnedFd, user: Uid, group: Gid) -> io::Result<()> {
    let (user, group) = (user.as_raw(), group.as_raw());
    let write = |name: &str, text: String| -> io::Result<()> {
        let path = format!("self/{name}");
        let file = rustix::fs::openat(proc.as_fd(), path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        fs::File::from(file).write_all(text.as_bytes())
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))
}
