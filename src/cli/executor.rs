//! `shirabe executor`: a service that runs Python for others.

use clap::Args;

use super::failure::Failure;
use super::{Connection, Host};
use crate::config::ExecutorServiceConfig;

/// Settings come from the environment: those whose names begin with `EXECUTOR_`, and `SANDBOX_MIN_TIER`.
#[derive(Debug, Args)]
pub(super) struct ExecutorArgs {}

pub(super) async fn run(_: &ExecutorArgs, connection: &Connection, host: &dyn Host) -> Result<(), Failure> {
    if connection.server.is_some() {
        return Err(Failure::Usage("`executor` runs a service here: `--server` names another".to_owned()));
    }
    let config =
        ExecutorServiceConfig::from_env().map_err(|problems| Failure::Usage(problems.to_string()))?;
    host.executor(config).await.map_err(Failure::Local)
}
