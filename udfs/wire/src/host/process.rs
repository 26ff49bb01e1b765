//! The one place that starts the worker.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::frame;

/// Starts `program` with an empty environment, the libraries of `home`, and one end of a socket, of which the other one
/// is returned, as its only descriptor.
pub(super) fn start(program: &Path, home: &Path) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = frame::pair()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that starts the worker")]
    let mut command = std::process::Command::new(program);
    command.arg(home).env_clear().current_dir("/");
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((command.spawn()?, ours))
}
