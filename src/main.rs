//! The program: arguments in, exit code out.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use shirabe::cli::{self, Cli, Out};
use shirabe::embedded::Embedded;
use shirabe::{sql_worker, tasks};

/// Many small allocations on many threads are what queries and imports do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything has threads, or reads the arguments of people.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sql_worker::ARGUMENT) {
        return sql_worker::run_worker();
    }
    command()
}

fn command() -> ExitCode {
    // Held to the end: tests name the step of a write at which this process ends.
    #[cfg(feature = "failpoints")]
    let _steps = fail::FailScenario::setup();
    match tasks::serving() {
        Ok(threads) => threads.block_on(cli::run(Cli::parse(), &Embedded, Out::standard())),
        Err(error) => {
            // Nobody reads a log before the configuration is there.
            let _ = writeln!(std::io::stderr(), "shirabe: no threads to serve with: {error}");
            ExitCode::FAILURE
        }
    }
}
