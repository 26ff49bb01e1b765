//! What must fail is tried, in each run, before user code begins.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;

use rustix::fs::{Mode, OFlags};
use shirabe_wire::Tier;

/// The error names what did not fail.
pub(super) fn tries(tier: Tier) -> Result<(), String> {
    let sockets = [
        ("UDP", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("TCP over IPv6", TcpListener::bind("[::1]:0").is_ok()),
        ("a local one", UnixDatagram::unbound().is_ok()),
    ];
    if let Some((what, _)) = sockets.iter().find(|(_, made)| *made) {
        return Err(format!("canary: a socket could be made ({what})"));
    }
    // Where files can be read, the root is shown on tier A, and is the child's own.
    let files: &[&str] = match tier {
        Tier::A | Tier::B => &["/etc/passwd", "/proc/self/environ", "/etc/hostname"],
        Tier::C => &["/etc/passwd", "/proc/self/environ", "/", ".", "/usr/lib"],
    };
    for path in files {
        if rustix::fs::open(*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            return Err(format!("canary: `{path}` could be opened"));
        }
    }
    if rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::URG).is_ok() {
        return Err("canary: a process could be signalled".to_owned());
    }
    Ok(())
}
