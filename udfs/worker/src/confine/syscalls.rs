//! Which system calls a run may make.

use libc::c_long;

/// What computing needs, on every tier. None of them takes a path, an address of a network or another process.
#[rustfmt::skip]
pub(super) const ALLOWED: &[c_long] = &[
    // Descriptors that are there.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev,
    libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_lseek, libc::SYS_fstat, libc::SYS_ftruncate, libc::SYS_close,
    libc::SYS_dup, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ppoll,
    // Descriptors that reach nothing outside.
    libc::SYS_eventfd2, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    // Memory.
    libc::SYS_brk, libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise,
    libc::SYS_mincore, libc::SYS_membarrier,
    // Threads, signals to itself, the end.
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address,
    libc::SYS_gettid, libc::SYS_getpid, libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_getcpu,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler, libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min,
    libc::SYS_restart_syscall, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack, libc::SYS_exit, libc::SYS_exit_group,
    // Clocks and chance.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
    libc::SYS_gettimeofday, libc::SYS_times, libc::SYS_getrandom,
    // About itself.
    libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getrusage, libc::SYS_sysinfo,
    #[cfg(target_arch = "x86_64")] libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_time,
    #[cfg(target_arch = "x86_64")] libc::SYS_getrlimit,
];

/// Reading files, where Landlock says which.
#[rustfmt::skip]
pub(super) const READING: &[c_long] = &[
    libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_readlinkat, libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_fadvise64,
    #[cfg(target_arch = "x86_64")] libc::SYS_open,
    #[cfg(target_arch = "x86_64")] libc::SYS_stat,
    #[cfg(target_arch = "x86_64")] libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")] libc::SYS_access,
    #[cfg(target_arch = "x86_64")] libc::SYS_readlink,
];

/// Writing files, where there is a folder of its own for them, and the name of a machine that is none.
#[rustfmt::skip]
pub(super) const WRITING: &[c_long] = &[
    libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat2, libc::SYS_fallocate, libc::SYS_uname,
    #[cfg(target_arch = "x86_64")] libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")] libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")] libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")] libc::SYS_rename,
];

/// What no honest code comes to by accident: whoever gets as far as one of these attacks, and ends.
#[rustfmt::skip]
pub(super) const HOSTILE: &[c_long] = &[
    libc::SYS_execve, libc::SYS_execveat,
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd, libc::SYS_kcmp,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_unshare, libc::SYS_setns,
    libc::SYS_move_mount, libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at,
    libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_reboot, libc::SYS_acct, libc::SYS_quotactl, libc::SYS_settimeofday,
    #[cfg(target_arch = "x86_64")] libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")] libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")] libc::SYS_modify_ldt,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_both_allowed_and_hostile() {
        for list in [ALLOWED, READING, WRITING] {
            assert!(list.iter().all(|call| !HOSTILE.contains(call)));
        }
    }

    #[test]
    fn what_reaches_outside_is_on_no_list() {
        let calls = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_clone3,
            libc::SYS_memfd_create,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_pipe2,
            libc::SYS_sendmsg,
            libc::SYS_setrlimit,
            libc::SYS_seccomp,
            libc::SYS_pidfd_open,
            libc::SYS_inotify_init1,
        ];
        for call in calls {
            assert!([ALLOWED, READING, WRITING].iter().all(|list| !list.contains(&call)), "{call}");
        }
        // Without a folder, no call takes a path.
        for call in READING.iter().chain(WRITING) {
            assert!(!ALLOWED.contains(call), "{call}");
        }
    }
}
