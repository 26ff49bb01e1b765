//! The service in the process that the command line runs in. It knows the composition root and asks nothing of the parts.

use std::io::IsTerminal as _;

use async_trait::async_trait;

use crate::app::{App, records_place};
use crate::cli::{Host, Local, Place, Table};
use crate::config::{Config, SqlIsolation};
use crate::data_folder::{DataFolder, Opened};
use crate::error::{Error, Result};
use crate::server::http::{self, InProcess};
use crate::telemetry;

/// The service as the command line runs it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded;

#[async_trait]
impl Host for Embedded {
    async fn serve(&self, config: Config) -> Result<()> {
        let folder = match DataFolder::open(&config.data.folder)? {
            Opened::Mine(folder) => folder,
            Opened::Taken(server) => {
                let by =
                    server.map_or_else(String::new, |server| format!(" by the server at {}", server.url));
                let message = format!("the data folder `{}` is in use{by}", config.data.folder.display());
                return Err(Error::Conflict { message, details: serde_json::json!({}) });
            }
        };
        telemetry::init_logs(config.logs, std::io::stderr().is_terminal());
        for setting in &config.unused {
            tracing::warn!(setting, "is set, and does nothing in this version");
        }
        let stop = http::stop_signal().map_err(Error::internal)?;
        App::open(&config, folder)?.serve(&config, stop).await
    }

    async fn init_tables(&self, config: Config) -> Result<Vec<Table>> {
        let tables = records_place(&config, config.data.folder.clone()).init_tables().await?;
        Ok(tables.into_iter().map(|table| Table { done: table.told(), name: table.name }).collect())
    }

    async fn open(&self, mut config: Config) -> Result<Place> {
        // A command on its own runs what its own user wrote.
        config.queries.isolation = SqlIsolation::Off;
        match DataFolder::open(&config.data.folder)? {
            Opened::Mine(folder) => {
                let app = App::open(&config, folder)?;
                app.reach_store().await?;
                let operator_token = app.state.operator_token.secret().clone();
                let router = http::router(app.state.clone());
                Ok(Place::Here(Local { door: InProcess::new(router, app), operator_token }))
            }
            Opened::Taken(Some(server)) => {
                Ok(Place::Running { url: server.url, operator_token: server.token.into() })
            }
            Opened::Taken(None) => Err(Error::Unavailable {
                message: format!(
                    "the data folder `{}` is in use by another command: try again when it has ended",
                    config.data.folder.display()
                ),
                cause: None,
            }),
        }
    }
}
