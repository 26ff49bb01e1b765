//! The one place that starts a process.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use tokio_seqpacket::UnixSeqpacket;

use super::ARGUMENT;
use super::begin::Begin;
use crate::error::Error;
use crate::tasks;

/// A process that ends when this is dropped, and is waited for.
#[derive(Debug)]
pub(super) struct Process {
    /// None once somebody waits for it.
    child: Option<Child>,
}

impl Process {
    /// Starts `program` as a worker: with an empty environment, and one end of a socket, of which the other one is
    /// returned, as its only descriptor.
    pub(super) fn start(program: &Path, begin: &Begin) -> io::Result<(Self, UnixSeqpacket)> {
        let (ours, theirs) = UnixSeqpacket::pair()?;
        #[expect(clippy::disallowed_methods, reason = "the one place that starts processes")]
        let mut command = std::process::Command::new(program);
        command.arg(ARGUMENT).arg(serde_json::to_string(begin)?).env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        Ok((Self { child: Some(child) }, ours))
    }

    /// Its number in the system.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it, if it has not ended, and tells how it did.
    pub(super) async fn end(mut self) -> Option<ExitStatus> {
        let child = self.child.take()?;
        tasks::blocking(move || end(child).map_err(Error::internal)).await.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        // Giving back much memory takes a process a while, and nobody else has to wait for it.
        match tokio::runtime::Handle::try_current() {
            Ok(_) => {
                drop(tasks::spawn(tasks::blocking(move || end(child).map_err(Error::internal))).detach())
            }
            Err(_) => drop(end(child)),
        }
    }
}

/// What the system says of a process (`self` is this one) in the line `field`, such as `VmRSS`, in bytes.
pub(super) fn memory(process: &str, field: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: Option<u64> = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("a process has no `{field}`")))
}

fn end(mut child: Child) -> io::Result<ExitStatus> {
    // Fails when it has ended by itself, and then there is nothing to do.
    let _ = child.kill();
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_read() {
        let resident = memory("self", "VmRSS").unwrap();
        assert!((1 << 20..memory("self", "VmSize").unwrap()).contains(&resident), "{resident}");
        assert!(memory("self", "VmNothing").is_err());
    }
}
