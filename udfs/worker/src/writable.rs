//! Inputs that a run may change for itself.
//!
//! Why: frames of pandas can be changed in place. Most frames never are, so the values that came in are handed over as
//! they are, and the kernel copies the pages that are written to. Nobody else sees these, and they count towards the
//! run's limit (`RLIMIT_DATA`) as if all of them had been copied.

use pyo3::pyfunction;

/// Lets this process write to its own copy of a piece of an input. False when there is no memory left for it.
#[pyfunction]
pub(crate) fn make_writable(address: usize, length: usize) -> bool {
    let place = std::ptr::with_exposed_provenance_mut(address);
    #[expect(unsafe_code, reason = "the rights to memory have no safe interface")]
    // SAFETY: no reference of Rust's points to pieces of inputs, and nothing is mapped or taken away. Code of users, which
    // could call this with any address, can change all memory of its process anyway.
    let outcome = unsafe { libc::mprotect(place, length, libc::PROT_READ | libc::PROT_WRITE) };
    outcome == 0
}
