//! How much memory a child has taken, beyond what it began with.
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
    pub(super) fn new(child: &OwnedFd) -> io::Result<Option<Self>> {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", child.as_raw_fd()))?;
        let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<u32>().ok());
        let Some(pid) = pid else { return Ok(None) };
        let mut watch = Self { path: format!("/proc/{pid}/statm"), begin_bytes: 0 };
        watch.begin_bytes = watch.resident().unwrap_or_default();
        Ok(Some(watch))
    }

    /// Bytes that it has beyond what it had at first. None when it is gone.
    pub(super) fn taken(&self) -> Option<u64> {
        Some(self.resident()?.saturating_sub(self.begin_bytes))
    }

    fn resident(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.path).ok()?;
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
    }
}
