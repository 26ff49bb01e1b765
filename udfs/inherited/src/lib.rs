//! Closes what a process has inherited.
//!
//! Why: a worker for SQL must have nothing open but what it was given. Programs that start programs leave descriptors
//! open in them by accident, those reach the service, and through it the worker. Rust ties each descriptor to an owner,
//! and so has no safe way to close one that nobody owns.

use std::io;

/// Closes all descriptors but the three standard ones. To be called first of all, in a process with one thread: what
/// is open then has no owner in it.
///
/// # Errors
/// When the system cannot do that; it can since Linux 5.9.
pub fn close_all() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    #[expect(unsafe_code, reason = "closing takes no pointer, and what is open has no owner")]
    // SAFETY: the call reads and writes no memory of ours. No value owns any of these descriptors, as the caller says.
    let outcome = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
