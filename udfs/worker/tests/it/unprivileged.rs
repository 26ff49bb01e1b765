//! The same when the service is not root, or root without its rights: every tier holds for a worker that is started so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use shirabe_wire::corpus;
use shirabe_wire::host::{Probe, Zygote};

use crate::support::{TIERS, home, program};

/// Scripts of each kind; the others do not depend on who runs them.
const SCRIPTS: &[&str] = &[
    "file_passwd",
    "file_canary",
    "file_canary_write",
    "file_listing",
    "file_new",
    "file_library",
    "file_other_process",
    "inherited",
    "kill_service",
    "kill_all",
    "process_fork",
    "process_exec",
    "socket_tcp",
    "socket_unix",
    "thread_bomb",
    "kernel_unshare",
    "kernel_ptrace",
    "kernel_mount",
    "user_root",
    "user_is_root",
    "limits_raise",
    "disk_bytes",
    "disk_files",
    "memory_bytes",
    "loop_c",
    "host_name",
    "leave_a_traces",
    "leave_b_looks",
];

/// `CAP_SYS_ADMIN`, as a set of rights has it.
const MOUNTING: u64 = 1 << 21;

#[test]
fn the_tiers_hold_for_a_service_that_is_not_root() {
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "/usr/bin/setpriv --reuid=64000 --regid=64000 --clear-groups" } else { "" };
    check(user, |status| !is_root || status.contains("Uid:\t64000\t64000"));
}

#[test]
fn the_tiers_hold_for_root_that_may_not_mount() {
    // Nobody else has such a right to lose, and for them it is the test above.
    let is_root = rustix::process::geteuid().is_root();
    let less = if is_root { "/usr/bin/setpriv --bounding-set=-sys_admin" } else { "" };
    check(less, |status| {
        let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
        u64::from_str_radix(rights, 16).unwrap() & MOUNTING == 0
    });
}

/// Runs the scripts on a worker that `starter` starts, which has to have the status that is `expected`.
#[track_caller]
fn check(starter: &str, expected: impl Fn(&str) -> bool) {
    // A script that becomes another user and then the worker, as the program that the host starts.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let worker = folder.path().join("worker");
    fs::copy(program(), &worker).unwrap();
    let starts = folder.path().join("start");
    fs::write(&starts, format!("#!/bin/sh\nexec {starter} {} \"$1\"\n", worker.display())).unwrap();
    for file in [&worker, &starts] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let zygote = Zygote::start(&starts, &home()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", zygote.id())).unwrap();
    assert!(expected(&status), "{status}");
    let probe = Probe::new(&std::env::temp_dir()).unwrap();
    let mut wrong = Vec::new();
    for tier in TIERS {
        for name in SCRIPTS {
            let script = corpus::scripts().find(|script| script.name == *name).unwrap();
            wrong.extend(probe.run(&zygote, tier, &script).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
