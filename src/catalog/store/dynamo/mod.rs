//! The store of production: tables in DynamoDB, which any number of replicas share.
//!
//! Why: replicas need one place that decides who was first. Each port is one file here. A record is read by its key,
//! strongly consistently, so that what one replica published the next request on another sees; a list is a query of an
//! index, which may be behind by a moment, and never a scan. What must hold together is written in one transaction:
//! a record, the name that only it may have, the counter that lists show, and the commit with its audit record.
//! This folder must not know permissions, HTTP or objects, nor where settings come from.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;

mod audit;
mod check;
mod commit;
mod condition;
mod connect;
mod counted;
mod dataset_item;
mod datasets;
mod error;
mod execution_item;
mod executions;
mod expired;
mod history;
mod init;
mod item;
mod keys;
mod macros;
mod page;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod tokens;
mod transaction;
mod transforms;
mod unique;
mod users;

pub use self::init::TableState;

use self::schema::Table;
use crate::catalog::store::{StoreCalls, Stores};
use crate::ids::random_digits;

/// Where the tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoSettings {
    /// Of a server other than Amazon's own in the region.
    pub endpoint: Option<String>,
    pub region: String,
    /// What the names of all tables start with.
    pub table_prefix: String,
}

/// All ports, over the tables of one prefix. Clones share connections.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    settings: DynamoSettings,
    calls: StoreCalls,
}

impl DynamoStore {
    /// A store that connects when it is first asked.
    #[must_use]
    pub fn new(settings: DynamoSettings) -> Self {
        let calls = StoreCalls::default();
        Self { client: connect::client(&settings, calls.clone()), settings, calls }
    }

    /// The ports.
    #[must_use]
    pub fn stores(&self) -> Stores {
        Stores::over(&Arc::new(self.clone()), self.calls.clone())
    }

    /// A table's whole name.
    fn name(&self, table: &Table) -> String {
        format!("{}{}", self.settings.table_prefix, table.name)
    }

    /// Where it is, for messages.
    fn place(&self) -> String {
        match &self.settings.endpoint {
            Some(endpoint) => format!("at `{endpoint}`"),
            None => format!("in DynamoDB of the region `{}`", self.settings.region),
        }
    }
}

/// Waits before something is tried for the `attempt`-th time again: a random part of a time that doubles, so that those
/// who met do not meet again.
async fn pause(attempt: u32) {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_millis(500);
    let longest = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
    let random = u32::from_str_radix(&random_digits()[..4], 16).unwrap_or(u32::from(u16::MAX));
    tokio::time::sleep(longest.mul_f64(f64::from(random) / f64::from(u16::MAX))).await;
}
