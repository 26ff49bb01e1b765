//! Which system calls a worker may make. None of them takes a path, an address of a network or another process.

use libc::c_long;

/// What threads, memory, clocks, the socket to the service and files that are open need.
#[rustfmt::skip]
pub(super) const ALLOWED: &[c_long] = &[
    // Descriptors that are there.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev,
    libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_preadv, libc::SYS_pwritev,
    libc::SYS_lseek, libc::SYS_fstat, libc::SYS_ftruncate, libc::SYS_close,
    libc::SYS_recvmsg, libc::SYS_sendmsg,
    // Descriptors that reach nothing outside.
    libc::SYS_memfd_create, libc::SYS_eventfd2,
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_ppoll,
    // Memory.
    libc::SYS_brk, libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise,
    libc::SYS_mincore,
    // Threads, signals to itself, the end.
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_gettid, libc::SYS_getpid,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_getcpu, libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_exit, libc::SYS_exit_group,
    // Clocks and chance.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep,
    libc::SYS_gettimeofday, libc::SYS_getrandom,
    #[cfg(target_arch = "x86_64")] libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_time,
];

/// What no statement can lead to by accident: whoever gets as far as one of these has taken the process over, and
/// it ends.
#[rustfmt::skip]
pub(super) const HOSTILE: &[c_long] = &[
    libc::SYS_execve, libc::SYS_execveat,
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_unshare, libc::SYS_setns,
    libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at,
    libc::SYS_kexec_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_both_allowed_and_hostile() {
        assert!(ALLOWED.iter().all(|call| !HOSTILE.contains(call)));
        for call in [libc::SYS_openat, libc::SYS_socket, libc::SYS_connect, libc::SYS_kill, libc::SYS_clone3]
        {
            assert!(!ALLOWED.contains(&call), "{call}");
        }
    }
}
