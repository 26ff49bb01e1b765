//! What the command line needs of the composition root, which it does not know.

use async_trait::async_trait;
use secrecy::SecretString;

use super::client::InProcess;
use crate::config::Config;
use crate::error::Result;

/// Runs the service in this process.
#[async_trait]
pub trait Host: Send + Sync {
    /// Runs the service until it is asked to stop.
    ///
    /// # Errors
    /// `Conflict` when another process holds the data folder, or whatever keeps it from starting.
    async fn serve(&self, config: Config) -> Result<()>;

    /// Opens the data folder for commands of this process, without listening.
    ///
    /// # Errors
    /// `Conflict` when another process holds the data folder, or whatever keeps it from opening.
    async fn open(&self, config: Config) -> Result<Local>;
}

/// The service without a socket.
#[derive(Debug)]
pub struct Local {
    pub door: InProcess,
    /// Makes its bearer the operator.
    pub operator_token: SecretString,
}
