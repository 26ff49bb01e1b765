//! The program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use shirabe::app::Embedded;
use shirabe::cli::{self, Cli, Out};

/// Many small allocations on many threads are what queries and imports do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Held to the end: tests name the step of a write at which this process ends.
    #[cfg(feature = "failpoints")]
    let _steps = fail::FailScenario::setup();
    cli::run(Cli::parse(), &Embedded, Out::standard()).await
}
