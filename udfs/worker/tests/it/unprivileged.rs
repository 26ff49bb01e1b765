//! The same when the service is not root: the worker is started by another user, and every tier holds.

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

#[test]
fn the_tiers_hold_for_a_service_that_is_not_root() {
    // A script that becomes another user and then the worker, as the program that the host starts.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let worker = folder.path().join("worker");
    fs::copy(program(), &worker).unwrap();
    let starts = folder.path().join("start");
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "/usr/bin/setpriv --reuid=64000 --regid=64000 --clear-groups " } else { "" };
    fs::write(&starts, format!("#!/bin/sh\nexec {user}{} \"$1\"\n", worker.display())).unwrap();
    for file in [&worker, &starts] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let zygote = Zygote::start(&starts, &home()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", zygote.id())).unwrap();
    assert!(!is_root || status.contains("Uid:\t64000\t64000"), "{status}");
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
