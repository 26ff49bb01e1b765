//! Limits that the kernel keeps.

use std::io;

use rustix::process::{Resource, Rlimit};
use shirabe_wire::message::Start;

use crate::process::MemoryBytes;

/// What was there before user code, and does not count as its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of the libraries.
    pub(crate) memory: MemoryBytes,
    /// Threads of the same user.
    pub(crate) other_tasks: u64,
}

/// Descriptors of a run; five of them are there from the beginning.
const DESCRIPTORS_MAX: u64 = 64;
/// A report has to find room even where there is no output.
const FILE_BYTES_MIN: u64 = 1 << 20;
/// Time of both processors together, of which a run may use each until its deadline.
const PROCESSORS: u64 = 2;

pub(super) fn set(start: &Start, bounds: &Bounds) -> io::Result<()> {
    let limits = &start.limits;
    let seconds = limits.deadline_ms.div_ceil(1000).saturating_add(1).saturating_mul(PROCESSORS);
    // The head of a stream of Arrow comes on top of the rows.
    let file_bytes = limits.output_bytes_max.saturating_add(FILE_BYTES_MIN);
    let given_bytes = bounds.memory.address_space.saturating_add(start.input_byte_count);
    for (resource, value) in [
        (Resource::As, given_bytes.saturating_add(limits.memory_bytes_max)),
        // Inputs take none of it until they are made writable, and then as much as if they were copied.
        (Resource::Data, bounds.memory.data.saturating_add(limits.memory_bytes_max)),
        (Resource::Fsize, file_bytes),
        (Resource::Nproc, bounds.other_tasks.saturating_add(limits.threads_max)),
        (Resource::Nofile, DESCRIPTORS_MAX),
        (Resource::Cpu, seconds),
        (Resource::Core, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Sigpending, DESCRIPTORS_MAX),
    ] {
        rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    }
    Ok(())
}
