//! `shirabe completions`: what a shell needs to complete our arguments.

use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::Failure;
use super::out::Out;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut Command, out: &mut Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "shirabe", &mut script);
    out.bytes(&script)
}
