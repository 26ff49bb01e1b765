//! `shirabe init-tables`: what a new deployment over DynamoDB runs once, and each update of it again.

use super::client::config;
use super::failure::Failure;
use super::{Connection, Host, Out};

pub(super) async fn run(connection: &Connection, host: &dyn Host, out: &mut Out) -> Result<(), Failure> {
    if connection.server.is_some() {
        let why = "`init-tables` makes the tables that the settings here name: `--server` names a service";
        return Err(Failure::Usage(why.to_owned()));
    }
    for table in host.init_tables(config(connection)?).await.map_err(Failure::Local)? {
        out.line(format_args!("{:<32} {}", table.name, table.done))?;
    }
    Ok(())
}
