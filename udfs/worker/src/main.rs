//! The process that runs other people's Python.
//!
//! ```text
//!  loader      imports the libraries; some start threads, and a process with threads is not forked from
//!    └ zygote  a fork of it with one thread; hands jobs over, waits for children and tells how they died (runs); runs no
//!       │      user code
//!       └ child   a fork for one run: namespaces and a root of its own, no rights, Landlock; then waits for its job,
//!                 while there is none (spare); limits, a filter of system calls, a try of what must fail; user code
//! ```
//!
//! Why: importing takes seconds, forking a millisecond. Each run begins as a copy of a process that has met no other
//! run's code or data, and ends with it.
//!
//! It must not know what a dataset is, who asks, or how to reach the service: it is asked.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use shirabe_wire::frame;
use shirabe_wire::message::Greeting;

mod arenas;
mod child;
mod confine;
mod environment;
mod interpreter;
mod layout;
mod pages;
mod process;
mod runs;
mod spare;
mod writable;
mod zygote;

/// In place of a folder: waits for the processes that it has, and does nothing else.
const WAITING: &str = "--wait";

fn main() -> ExitCode {
    let Some(home) = std::env::args_os().nth(1).map(PathBuf::from) else { return ExitCode::from(2) };
    if home.as_os_str() == WAITING {
        process::wait_for_all();
        return ExitCode::SUCCESS;
    }
    // Whoever started the service may have left something open in it. Nothing of ours is open yet.
    let socket = shirabe_inherited::close_all().and_then(|()| process::take_standard_input());
    let Ok(socket) = socket else { return ExitCode::from(2) };
    match serve(&home, socket.as_fd()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // When nobody listens, nobody misses it.
            let _ = frame::send(&socket, &Greeting::Unfit(reason), &[]);
            ExitCode::FAILURE
        }
    }
}

/// Loads, then serves jobs until the service is gone.
fn serve(home: &std::path::Path, socket: std::os::fd::BorrowedFd<'_>) -> Result<(), String> {
    environment::set(home);
    arenas::gather().map_err(|cause| format!("there is no memory: {cause}"))?;
    interpreter::start().map_err(|reason| format!("Python does not start: {reason}"))?;
    let python = interpreter::Loaded::load(home)?;
    arenas::close();
    let null = process::null().map_err(|cause| format!("there is no empty input: {cause}"))?;
    let shed = zygote::shed_threads(&python).map_err(|cause| format!("it has threads: {cause}"))?;
    if matches!(shed, zygote::Shed::Loader) {
        return Err(format!("it cannot wait: {}", process::become_waiting(WAITING)));
    }
    pages::enlarge().map_err(|cause| format!("its memory: {cause}"))?;
    let socket: OwnedFd = socket.try_clone_to_owned().map_err(|cause: io::Error| cause.to_string())?;
    zygote::Zygote::new(python, layout::Layout::new(home)?, socket, null)?
        .serve()
        .map_err(|cause| cause.to_string())
}
