//! The service in the process that the command line runs in. It knows the composition root and asks nothing of the parts.

use std::io::IsTerminal as _;
use std::sync::Arc;

use async_trait::async_trait;

use crate::app::{self, App, records_place};
use crate::cli::{Host, Local, Place, Table};
use crate::config::{Config, ExecutorServiceConfig, MetadataConfig, SqlIsolation};
use crate::data_folder::{DataFolder, Opened};
use crate::error::{Error, Result};
use crate::places;
use crate::server::http::{self, InProcess};
use crate::telemetry;
use crate::transfer::{self, Side};

/// One end of a copy.
struct End {
    side: Side,
    /// Held until the copy has ended.
    _folder: Option<DataFolder>,
}

impl End {
    async fn open(config: &Config) -> Result<Self> {
        let bucket = places::bucket(config);
        // What lies in other stores is shared by replicas, and none of them has to end for a copy.
        let folder = match (&bucket, &config.metadata) {
            (Some(_), MetadataConfig::DynamoDb(_)) => None,
            _ => Some(own_folder(config)?),
        };
        let database = folder.as_ref().map(DataFolder::database).unwrap_or_default();
        let records = records_place(config, database).open()?;
        records.check().await?;
        let objects = match (bucket, &folder) {
            (Some(bucket), _) => bucket,
            (None, Some(folder)) => places::objects(config, folder),
            (None, None) => return Err(Error::internal("objects are neither in a bucket nor in a folder")),
        };
        let objects = objects.open(|objects| objects)?;
        objects.check().await?;
        let side = Side { stores: records.stores().clone(), objects: Arc::clone(objects.store()) };
        Ok(Self { side, _folder: folder })
    }
}

/// The data folder, if nobody else uses it.
fn own_folder(config: &Config) -> Result<DataFolder> {
    match DataFolder::open(&config.data.folder)? {
        Opened::Mine(folder) => Ok(folder),
        Opened::Taken(server) => {
            let by = server.map_or_else(String::new, |server| format!(" by the server at {}", server.url));
            let message = format!("the data folder `{}` is in use{by}", config.data.folder.display());
            Err(Error::Conflict { message, details: serde_json::json!({}) })
        }
    }
}

/// The service as the command line runs it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Embedded;

#[async_trait]
impl Host for Embedded {
    async fn serve(&self, config: Config) -> Result<()> {
        let folder = own_folder(&config)?;
        telemetry::init_logs(config.logs, std::io::stderr().is_terminal());
        for setting in &config.unused {
            tracing::warn!(setting, "is set, and does nothing in this version");
        }
        let stop = http::stop_signal().map_err(Error::internal)?;
        App::open(&config, folder)?.serve(&config, stop).await
    }

    async fn executor(&self, config: ExecutorServiceConfig) -> Result<()> {
        telemetry::init_logs(config.logs, std::io::stderr().is_terminal());
        app::serve_executor(&config, http::stop_signal().map_err(Error::internal)?).await
    }

    async fn init_tables(&self, config: Config) -> Result<Vec<Table>> {
        let tables = records_place(&config, config.data.folder.clone()).init_tables().await?;
        Ok(tables.into_iter().map(|table| Table { done: table.told(), name: table.name }).collect())
    }

    async fn copy(&self, from: Config, to: Config, verify: bool) -> Result<Vec<(&'static str, u64)>> {
        let (from, to) = (End::open(&from).await?, End::open(&to).await?);
        let tell = |name: &str| telemetry::tell_operator(&format!("{name} …"));
        let options = transfer::Options { verify, tell };
        let copied = transfer::copy(&from.side, &to.side, &options).await?;
        Ok(vec![
            ("users", copied.users),
            ("keys", copied.keys),
            ("sign-outs", copied.sign_outs),
            ("macros", copied.macros),
            ("datasets", copied.datasets),
            ("versions", copied.versions),
            ("objects", copied.objects),
            ("bytes", copied.object_bytes),
            ("objects verified", copied.objects_verified),
            ("transforms", copied.transforms),
            ("executions", copied.executions),
            ("audit records", copied.audit_records),
            ("queries", copied.queries),
        ])
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
