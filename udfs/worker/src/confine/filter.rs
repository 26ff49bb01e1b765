//! The filters of system calls. Each call passes all of them, and the strictest answer counts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};
use shirabe_wire::Tier;

use super::syscalls;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Those that are the same in each run, made once.
#[derive(Debug)]
pub(crate) struct Filters {
    newer: BpfProgram,
    hostile: BpfProgram,
    other_numbers: BpfProgram,
    allowed: [BpfProgram; 3],
}

impl Filters {
    pub(crate) fn new() -> Result<Self, String> {
        // The C library tries `clone3`, whose flags a filter cannot see, and then `clone`.
        let newer = [(libc::SYS_clone3, Vec::new())].into();
        let hostile = syscalls::HOSTILE.iter().map(|call| (*call, Vec::new())).collect();
        Ok(Self {
            newer: program(newer, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?,
            hostile: program(hostile, SeccompAction::Allow, SeccompAction::KillProcess)?,
            other_numbers: other_numbers(),
            allowed: [allowed(Tier::A)?, allowed(Tier::B)?, allowed(Tier::C)?],
        })
    }

    /// Applies them to this process, for ever.
    pub(super) fn apply(&self, tier: Tier) -> Result<(), String> {
        let allowed = &self.allowed[tier as usize];
        let signals = signals_to_itself()?;
        // The list last: no call that sets a filter is on it.
        for filter in [&self.newer, &self.hostile, &self.other_numbers, &signals, allowed] {
            seccompiler::apply_filter(filter).map_err(|error| format!("filter: {error}"))?;
        }
        Ok(())
    }
}

fn allowed(tier: Tier) -> Result<BpfProgram, String> {
    let lists: &[&[libc::c_long]] = match tier {
        Tier::A => &[syscalls::ALLOWED, syscalls::READING, syscalls::WRITING],
        Tier::B => &[syscalls::ALLOWED, syscalls::READING],
        Tier::C => &[syscalls::ALLOWED],
    };
    let mut rules: Rules =
        lists.iter().flat_map(|list| list.iter()).map(|call| (*call, Vec::new())).collect();
    // Let pass, because other filters answer.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_tgkill, Vec::new());
    rules.extend(bounded()?);
    program(rules, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
}

/// Calls that may do one thing and not another.
fn bounded() -> Result<Vec<(i64, Vec<SeccompRule>)>, String> {
    let thread = (libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND) as u64;
    let one_of = |argument, values: &[i32]| -> Result<Vec<SeccompRule>, String> {
        values
            .iter()
            .map(|value| when(argument, SeccompCmpOp::Eq, u64::from(value.cast_unsigned())))
            .collect()
    };
    let get_of_itself = SeccompRule::new(vec![
        condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?,
        condition(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?,
    ]);
    Ok(vec![
        // Threads, and no process.
        (libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), thread)?]),
        // Whether it is a terminal, and what happens to a descriptor when a program is started, which none is.
        (
            libc::SYS_ioctl,
            vec![
                when(1, SeccompCmpOp::Eq, libc::TCGETS)?,
                when(1, SeccompCmpOp::Eq, libc::FIOCLEX)?,
                when(1, SeccompCmpOp::Eq, libc::FIONCLEX)?,
            ],
        ),
        // Copies and flags of descriptors, and not their seals, their room, or whom to signal.
        (libc::SYS_fcntl, one_of(1, &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL])?),
        // Names of threads and of memory.
        (libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME, libc::PR_SET_VMA])?),
        // Its own limits, to read.
        (libc::SYS_prlimit64, vec![get_of_itself.map_err(|error| error.to_string())?]),
    ])
}

/// Ending itself, and nobody else.
fn signals_to_itself() -> Result<BpfProgram, String> {
    let own = u64::from(std::process::id());
    let others = vec![when(0, SeccompCmpOp::Ne, own)?];
    program(
        [(libc::SYS_tgkill, others)].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
    )
}

/// The end for calls by numbers of another table of the same architecture (x32), which a filter of numbers would miss.
fn other_numbers() -> BpfProgram {
    let (load, jump, answer) = (
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16,
        (libc::BPF_RET | libc::BPF_K) as u16,
    );
    // The number is the first thing that a filter is shown. On other architectures no number is that high.
    vec![
        sock_filter { code: load, jt: 0, jf: 0, k: 0 },
        sock_filter { code: jump, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}

fn when(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    // The kernel reads 32 bits of each of these, and what is above them may be anything.
    let condition = condition(argument, SeccompCmpArgLen::Dword, compare, value)?;
    SeccompRule::new(vec![condition]).map_err(|error| error.to_string())
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, length, compare, value).map_err(|error| error.to_string())
}

/// `matched` for the calls in `rules`, `other` for all others, and the end for another architecture's.
fn program(rules: Rules, other: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, String> {
    let architecture =
        std::env::consts::ARCH.try_into().map_err(|_| "there is no filter for this architecture")?;
    let filter =
        SeccompFilter::new(rules, other, matched, architecture).map_err(|error| error.to_string())?;
    filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())
}
