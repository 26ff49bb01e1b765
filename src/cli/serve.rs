//! `shirabe serve`: the service itself.

use std::fmt::Write as _;

use clap::Args;

use super::client::config;
use super::failure::Failure;
use super::{Connection, Host};

/// Settings come from the environment.
#[derive(Debug, Args)]
#[command(after_long_help = settings())]
pub(super) struct ServeArgs {}

pub(super) async fn run(_: &ServeArgs, connection: &Connection, host: &dyn Host) -> Result<(), Failure> {
    if connection.server.is_some() {
        return Err(Failure::Usage("`serve` runs a server here: `--server` names another".to_owned()));
    }
    host.serve(config(connection)?).await.map_err(Failure::Local)
}

/// Every setting, for `--help`.
fn settings() -> String {
    let mut text = "Settings (environment variables):".to_owned();
    for setting in crate::config::settings() {
        let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<28} {}{default}", setting.name, setting.meaning);
    }
    text
}
