//! What this machine, or the container that this process is in, has of memory.

/// Where a container's limit stands, in the two forms that kernels have.
const CONTAINER_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Memory that this process can ever have: that of the machine, or of its container.
#[must_use]
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    at_most_the_containers(u64::from(info.mem_unit).saturating_mul(info.totalram))
}

/// Memory for queries and for sorts of imports, where nobody says how much.
#[must_use]
pub fn memory_for_queries() -> usize {
    share(4, 512 << 20, 16 << 30)
}

/// Memory for decoded columns, where nobody says how much.
#[must_use]
pub fn memory_for_columns() -> usize {
    share(8, 0, 4 << 30)
}

fn share(parts: u64, least: u64, most: u64) -> usize {
    usize::try_from((memory_bytes() / parts).clamp(least, most)).unwrap_or(usize::MAX)
}

/// Memory that is there to be taken at this moment, by everybody on the machine together.
#[must_use]
pub fn memory_available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    at_most_the_containers(available(&text).unwrap_or_else(memory_bytes))
}

/// A container sees the memory of the whole machine, and is ended when it uses more than its own.
fn at_most_the_containers(bytes: u64) -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    CONTAINER_LIMITS.into_iter().filter_map(read).fold(bytes, u64::min)
}

/// As the kernel estimates it: what can be had without writing anything to a disk first.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   1024 kB\n"), Some(1 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        assert!(memory_available_bytes() > 0 && memory_available_bytes() <= memory_bytes());
    }
}
