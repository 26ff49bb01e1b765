//! What the command line needs of the composition root, which it does not know.

use async_trait::async_trait;
use secrecy::SecretString;

use super::client::InProcess;
use crate::config::{Config, ExecutorServiceConfig};
use crate::error::Result;

/// Runs the service in this process.
#[async_trait]
pub trait Host: Send + Sync {
    /// Runs the service until it is asked to stop.
    ///
    /// # Errors
    /// `Conflict` when another process holds the data folder, or whatever keeps it from starting.
    async fn serve(&self, config: Config) -> Result<()>;

    /// Runs an executor, which runs Python for services in other processes, until it is asked to stop.
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    async fn executor(&self, config: ExecutorServiceConfig) -> Result<()>;

    /// Makes the tables and indexes that the metadata store lacks, and tells of each table.
    ///
    /// # Errors
    /// `Invalid` when records are kept in the data folder, `Unavailable` with the reason when the server does not let it.
    async fn init_tables(&self, config: Config) -> Result<Vec<Table>>;

    /// Brings the installation that `to` names to where the one of `from` is, and tells how many of what it copied.
    ///
    /// # Errors
    /// `Conflict` when a data folder is in use, or what one of the stores failed with.
    async fn copy(&self, from: Config, to: Config, verify: bool) -> Result<Vec<(&'static str, u64)>>;

    /// Finds the service of a data folder: the one that runs on it, or else a new one in this process,
    /// which does not listen.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the data folder and serves nobody, or whatever keeps it
    /// from opening.
    async fn open(&self, config: Config) -> Result<Place>;
}

/// A table of the metadata store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// What became of it, in words.
    pub done: String,
}

/// Where the service of a data folder is.
#[derive(Debug)]
pub enum Place {
    /// Another process serves it there.
    Running {
        /// Such as `http://127.0.0.1:8000`.
        url: String,
        /// Makes its bearer the operator.
        operator_token: SecretString,
    },
    Here(Local),
}

/// The service without a socket.
#[derive(Debug)]
pub struct Local {
    pub door: InProcess,
    /// Makes its bearer the operator.
    pub operator_token: SecretString,
}
