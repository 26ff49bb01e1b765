//! Giving up everything a query does not need, in an order that works without rights, and then trying what must
//! fail.
//!
//! Why it is tried: a filter with one jump wrong loads without complaint and lets everything pass.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::super::process;
use super::syscalls;
use crate::error::{Error, Result};

/// The newest rules of Landlock that we know; an older kernel keeps those that it knows.
const LANDLOCK: ABI = ABI::V6;

/// What is done while this is the only thread: limits, and no way to files or networks.
///
/// Returns whether the kernel has Landlock. Without it the filter of system calls alone keeps files and networks
/// away.
pub(super) fn before_threads(address_space_bytes: u64, file_bytes: u64) -> Result<bool> {
    let no = |what: &'static str| move |cause: io::Error| unfit(what, &cause);
    // Whoever started the service may have left something open in it, and it may be anything. Nothing else is open yet.
    shirabe_inherited::close_all().map_err(no("what was inherited"))?;
    // Nobody of the same user may read its memory.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|cause| unfit("being dumped", &cause.into()))?;
    limit(Resource::Core, 0).map_err(no("core files"))?;
    limit(Resource::Fsize, file_bytes).map_err(no("the size of files"))?;
    limit(Resource::Nofile, 1024).map_err(no("descriptors"))?;
    limit(Resource::Memlock, 0).map_err(no("locked memory"))?;
    let own = process::memory("self", "VmSize").map_err(no("the address space"))?;
    limit(Resource::As, own.saturating_add(address_space_bytes)).map_err(no("the address space"))?;
    let landlock = landlock().map_err(|cause| unfit("Landlock", &io::Error::other(cause)))?;
    Ok(landlock.ruleset != RulesetStatus::NotEnforced
        && !matches!(landlock.landlock, LandlockStatus::NotImplemented | LandlockStatus::NotEnabled))
}

/// What is done once all libraries have what they need: on all threads, no system call but those on a list.
pub(super) fn with_threads() -> Result<()> {
    for filter in filters()? {
        seccompiler::apply_filter_all_threads(&filter)
            .map_err(|cause| unfit("system calls", &io::Error::other(cause)))?;
    }
    Ok(())
}

/// Tries, on the thread that calls, what must fail.
pub(super) fn canary() -> Result<()> {
    let sockets = [
        ("UDP", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("TCP over IPv6", std::net::TcpListener::bind("[::1]:0").is_ok()),
        ("a local one", UnixDatagram::unbound().is_ok()),
    ];
    if let Some((what, _)) = sockets.iter().find(|(_, made)| *made) {
        return Err(unfit("sockets", &io::Error::other(format!("{what} could be made"))));
    }
    for path in ["/etc/passwd", "/proc/self/environ", "/", "."] {
        if rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            return Err(unfit("files", &io::Error::other(format!("`{path}` could be opened"))));
        }
    }
    Ok(())
}

fn unfit(what: &str, cause: &io::Error) -> Error {
    Error::internal(format!("{what} cannot be closed to a worker: {cause}"))
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(value), maximum: Some(value) };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// No file, no network, no signal and no abstract socket outside.
fn landlock() -> std::result::Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()
}

/// Three filters, of which the strictest answer counts.
fn filters() -> Result<[BpfProgram; 3]> {
    // The C library tries `clone3`, whose flags a filter cannot see, and then `clone`.
    let newer = [(libc::SYS_clone3, Vec::new())].into();
    let newer = program(newer, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()));
    let hostile = syscalls::HOSTILE.iter().map(|call| (*call, Vec::new())).collect();
    let hostile = program(hostile, SeccompAction::Allow, SeccompAction::KillProcess);
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> =
        syscalls::ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Let pass, because the first filter answers.
    allowed.insert(libc::SYS_clone3, Vec::new());
    allowed.extend(bounded()?);
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    Ok([newer?, hostile?, program(allowed, refused, SeccompAction::Allow)?])
}

/// Calls that may do one thing and not another.
fn bounded() -> Result<[(i64, Vec<SeccompRule>); 4]> {
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(std::process::id());
    Ok([
        // Threads, and no process.
        (libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), thread)?]),
        // Ending itself, and nobody else.
        (libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, own)?]),
        // Copies and flags of descriptors, and not whom to signal when something happens to them.
        (
            libc::SYS_fcntl,
            [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL]
                .map(|command| when(1, SeccompCmpOp::Eq, u64::from(command.cast_unsigned())))
                .into_iter()
                .collect::<Result<_>>()?,
        ),
        // Names of threads and of memory.
        (
            libc::SYS_prctl,
            vec![
                when(0, SeccompCmpOp::Eq, libc::PR_SET_NAME as u64)?,
                when(0, SeccompCmpOp::Eq, libc::PR_SET_VMA as u64)?,
            ],
        ),
    ])
}

fn when(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    // The kernel reads 32 bits of each of these, and what is above them may be anything.
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(Error::internal)
}

/// `matched` for the calls in `rules`, `other` for all others, and the end for another architecture's.
fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    other: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(Error::internal)?;
    let filter = SeccompFilter::new(rules, other, matched, architecture).map_err(Error::internal)?;
    filter.try_into().map_err(Error::internal)
}
