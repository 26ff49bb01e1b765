//! How much memory a child has taken, beyond what it began with.
//!
//! What that was, the zygote has told; the child itself may have taken much before it is looked at for the first time.
//!
//! Why, if the kernel limits its address space: it began with addresses that the libraries had set aside and not used,
//! and these count only once they are used.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

const PAGE_BYTES: u64 = 4096;

/// One child, by the number that the system gives it.
#[derive(Debug)]
pub(super) struct Watch {
    path: String,
    begin_bytes: u64,
}

impl Watch {
    /// None once the child is gone.
    pub(super) fn new(child: &OwnedFd, begin_bytes: u64) -> io::Result<Option<Self>> {
        Ok(statm(child)?.map(|path| Self { path, begin_bytes }))
    }

    /// Bytes that it has beyond what it had at first. None when it is gone.
    pub(super) fn taken(&self) -> Option<u64> {
        Some(resident(&self.path)?.saturating_sub(self.begin_bytes))
    }
}

/// Where the kernel tells how much memory a process has. None once it is gone.
fn statm(process: &OwnedFd) -> io::Result<Option<String>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<u32>().ok());
    Ok(pid.map(|pid| format!("/proc/{pid}/statm")))
}

fn resident(path: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}
