//! What a statement would do if it had taken the worker over, for tests: it is named in a comment of the statement,
//! and what came of it is the query's error.

use std::io;
use std::os::unix::process::CommandExt as _;

use object_store::ObjectStore;
use object_store::path::Path;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::broker_store::BrokerStore;
use crate::error::{Error, Result};

/// Does what the first comment of `statement` names, if it is one of these.
pub(super) async fn act(statement: &str, store: &BrokerStore) -> Result<()> {
    let Some((deed, argument)) = deed(statement) else { return Ok(()) };
    let outcome = match deed {
        "open" => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            told(rustix::fs::open(argument, flags, Mode::empty()).map_err(Into::into))
        }
        "write" => told(std::fs::write(argument, "x")),
        "list" => told(std::fs::read_dir(argument)),
        "connect" => told(std::net::TcpStream::connect(argument)),
        "socket" => told(std::os::unix::net::UnixDatagram::unbound()),
        "environment" => format!("{} variables", std::env::vars_os().count()),
        "signal" => told(signal(argument)),
        "spawn" => told(program(argument).status()),
        // Comes back only when it could not be done.
        "exec" => program(argument).exec().to_string(),
        "read" => {
            let first = 0..1;
            let read = store.get_ranges(&Path::from(argument), std::slice::from_ref(&first)).await;
            read.map_or_else(|error| error.to_string(), |_| "done".to_owned())
        }
        "memory" => memory(),
        "spin" => spin(),
        _ => return Ok(()),
    };
    Err(Error::BadData(format!("{deed}: {outcome}")))
}

/// `-- hostile: open /etc/passwd` at the beginning.
fn deed(statement: &str) -> Option<(&str, &str)> {
    let line = statement.lines().next()?.strip_prefix("-- hostile: ")?;
    Some(line.split_once(' ').unwrap_or((line, "")))
}

fn signal(process: &str) -> io::Result<()> {
    let process = process.parse().ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| io::Error::other("there is no such process"))?;
    // One that does nothing to who runs.
    Ok(rustix::process::kill_process(process, Signal::CONT)?)
}

fn program(path: &str) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "a test shows that it cannot be started")]
    std::process::Command::new(path)
}

fn told<T>(outcome: io::Result<T>) -> String {
    outcome.map_or_else(|error| error.to_string(), |_| "done".to_owned())
}

/// More than there is, as an expression would that nobody counts.
fn memory() -> String {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        // Asked for and not touched: the limit is on addresses, and the machine has other work.
        held.push(vec![0; 64 << 20]);
        std::hint::black_box(&held);
    }
}

/// A kernel that never gives way.
fn spin() -> String {
    let mut at = 0_u64;
    loop {
        at = std::hint::black_box(at).wrapping_add(1);
    }
}
