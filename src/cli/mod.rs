//! The command line: a client of the HTTP API, for people at a terminal and for scripts.
//!
//! Why only a client: there is one set of rules, whoever asks. A command goes to `--server`, or to the
//! server that runs on the data folder, or, when none runs, through the same routes in this process. It
//! must not know a store, an engine, or how a rule is decided.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use secrecy::SecretString;

mod admin;
mod client;
mod completions;
mod copy;
mod datasets;
mod executor;
mod export;
mod failure;
mod format;
mod functions;
mod host;
mod import;
mod init_tables;
mod inspect;
mod keys;
mod out;
mod progress;
mod query;
mod read_options;
mod results;
mod serve;
mod show;
mod sink;
mod transforms;
mod users;

pub use failure::Failure;
pub use host::{Host, Local, Place, Table};
pub use out::Out;

use client::Client;
use transforms::TransformsCommand;

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed, or `check` found something
  2    wrong usage
  3    not signed in, or not allowed
  4    not found
  5    conflict: taken, changed by somebody else, or needs a confirmation such as --force
  130  interrupted";

/// A self-hosted BI and SQL analytics service.
#[derive(Debug, Parser)]
#[command(name = "shirabe", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Which server to speak to.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// Address of a server, such as `https://bi.example.com`; without it, the data folder on this machine
    #[arg(long, global = true, env = "SHIRABE_SERVER", value_name = "URL")]
    server: Option<String>,
    /// API key for --server
    #[arg(long, global = true, env = "SHIRABE_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<SecretString>,
    /// Data folder on this machine; by default $DATA_DIR, or ./data
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::ServeArgs),
    /// Run a service that runs Python for others
    ///
    /// A server whose `EXECUTOR_ENDPOINT` is its address sends cards and transforms there. Both sides have to know the
    /// same `EXECUTOR_TOKEN`. It has no data folder and no stores, and listens on `EXECUTOR_HOST` and `EXECUTOR_PORT`.
    Executor(executor::ExecutorArgs),
    /// Make the tables that the service needs in DynamoDB
    ///
    /// What is there already stays as it is, so running it again does no harm. It reads the same settings as `serve`:
    /// `DYNAMODB_ENDPOINT`, `DYNAMODB_REGION`, `DYNAMODB_TABLE_PREFIX`, and credentials as other tools of AWS do.
    InitTables,
    /// Copy a whole installation to other stores, or to a backup and back
    ///
    /// Records and objects, between a data folder and DynamoDB with S3, or two of either. Objects are compared with their
    /// checksums on the way. It only reads where it copies from, adds and changes what differs at the target, removes
    /// nothing there, and goes on where an earlier copy stopped. A data folder must not be in use by a server meanwhile.
    Copy(copy::CopyArgs),
    /// Import files as datasets
    Import(import::ImportArgs),
    /// Run one SQL statement
    Query(query::QueryArgs),
    /// List the functions and macros that SQL may call, or show one
    Functions(functions::FunctionsArgs),
    /// List, show and change datasets; lists them when nothing else is said
    Datasets {
        #[command(subcommand)]
        command: Option<datasets::DatasetsCommand>,
    },
    /// Keep, run and watch transforms; lists them when nothing else is said
    Transforms {
        #[command(subcommand)]
        command: Option<TransformsCommand>,
    },
    /// Manage users
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Manage API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Verify every manifest, checksum and reference; exits with 1 when something is wrong
    Check,
    /// Remove files that no kept version needs
    Gc(admin::GcArgs),
    /// Write a whole dataset to a file or a pipe
    Export(export::ExportArgs),
    /// Show what an import would find in a file, and write nothing
    Inspect(inspect::InspectArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Whether Ctrl-C is the command's own business: a server lets its answers finish, an import is
    /// cancelled where it runs.
    fn ends_by_itself(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Executor(_) | Self::Import(_) => true,
            Self::Transforms { command } => command.as_ref().is_some_and(TransformsCommand::ends_by_itself),
            _ => false,
        }
    }
}

/// Does what the arguments ask, and returns the code to exit with.
pub async fn run(cli: Cli, host: &dyn Host, mut out: Out) -> ExitCode {
    let Cli { connection, command } = cli;
    let outcome = if command.ends_by_itself() {
        dispatch(&connection, command, host, &mut out).await
    } else {
        tokio::select! {
            // First the command: until it waits, Ctrl-C ends the process as usual, also in the middle of
            // a question.
            biased;
            outcome = dispatch(&connection, command, host, &mut out) => outcome,
            () = interrupted() => Err(Failure::Interrupted),
        }
    };
    let outcome = outcome.and_then(|()| out.flush());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.complain(&failure);
            failure.exit_code()
        }
    }
}

async fn dispatch(
    connection: &Connection,
    command: Command,
    host: &dyn Host,
    out: &mut Out,
) -> Result<(), Failure> {
    // What needs no server, and what is asked before one is looked for.
    let mut command = match command {
        Command::Copy(args) => return copy::run(args, connection, host, out).await,
        other => other,
    };
    match &mut command {
        Command::Serve(args) => return serve::run(args, connection, host).await,
        Command::Executor(args) => return executor::run(args, connection, host).await,
        Command::InitTables => return init_tables::run(connection, host, out).await,
        Command::Completions(args) => return completions::run(args, &mut Cli::command(), out),
        Command::Query(args) => args.read_statement()?,
        Command::Users(command) => command.ask()?,
        _ => {}
    }
    let client = Client::connect(connection, host).await?;
    match command {
        // Done above.
        Command::Serve(_)
        | Command::Executor(_)
        | Command::InitTables
        | Command::Copy(_)
        | Command::Completions(_) => Ok(()),
        Command::Import(args) => import::run(args, &client, out).await,
        Command::Query(args) => query::run(args, &client, out).await,
        Command::Datasets { command } => {
            datasets::run(command.unwrap_or(datasets::DatasetsCommand::LIST), &client, out).await
        }
        Command::Transforms { command } => {
            transforms::run(command.unwrap_or(TransformsCommand::LIST), &client, out).await
        }
        Command::Functions(args) => functions::run(args, &client, out).await,
        Command::Users(command) => users::run(command, &client, out).await,
        Command::Keys(command) => keys::run(command, &client, out).await,
        Command::Check => admin::check(&client, out).await,
        Command::Gc(args) => admin::gc(&args, &client, out).await,
        Command::Export(args) => export::run(args, &client, out).await,
        Command::Inspect(args) => inspect::run(args, &client, out).await,
    }
}

/// Done at Ctrl-C. Where it cannot be watched, the system's own way of ending the process stays.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_read() {
        check(&["query", "select 1", "--format", "csv"]);
        check(&["--server", "http://localhost:8000", "query", "-f", "q.sql"]);
        check(&["import", "a.csv", "b.csv", "--type", "price=decimal(18,2)", "--no-header"]);
        check(&["datasets", "show", "売上"]);
        check(&["users", "add", "ana@example.com", "--role", "admin", "--password-stdin"]);
        check(&["keys", "create", "nightly", "--read-only"]);
        check(&["export", "売上", "-o", "sales.parquet"]);
        check(&["functions", "business", "--json"]);
        check(&["gc", "--dry-run"]);
        check(&["executor"]);
        check(&["init-tables"]);
        check(&["copy", "--from", "./data", "--to", "env", "--verify"]);

        #[track_caller]
        fn check(args: &[&str]) {
            let parsed = Cli::try_parse_from(std::iter::once("shirabe").chain(args.iter().copied()));
            assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
        }
    }

    #[test]
    fn an_api_key_is_not_shown() {
        let cli = Cli::try_parse_from(["shirabe", "--api-key", "shk_secret", "check"]).unwrap();
        assert!(!format!("{cli:?}").contains("shk_secret"));
    }
}
