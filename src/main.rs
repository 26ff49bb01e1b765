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
    cli::run(Cli::parse(), &Embedded, Out::standard()).await
}
