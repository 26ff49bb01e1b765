//! Whether the tables are there, asked once, at the start: a service that cannot work says so before anybody asks it.

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{TableDescription, TableStatus};

use super::DynamoStore;
use super::error::told;
use super::schema::{Key, TABLES, Table};
use crate::catalog::store::StoreError;

impl DynamoStore {
    /// Asks for every table that the service uses.
    ///
    /// # Errors
    /// `Unusable`, which names the server and says what to do.
    pub async fn check(&self) -> Result<(), StoreError> {
        let used = TABLES.iter().filter(|table| table.used);
        let missing = futures::future::try_join_all(used.map(|table| self.missing(table))).await?;
        let missing = missing.into_iter().flatten().next();
        match missing {
            None => Ok(()),
            Some(missing) => Err(StoreError::Unusable(format!(
                "{} has {missing}: make what is missing with `shirabe init-tables`, or set `DYNAMODB_REGION` and \
                 `DYNAMODB_TABLE_PREFIX` to where the tables are",
                self.place()
            ))),
        }
    }

    /// What is not there of a table, if something is not.
    pub(super) async fn missing(&self, table: &Table) -> Result<Option<String>, StoreError> {
        let name = self.name(table);
        let Some(found) = self.describe(table).await? else { return Ok(Some(format!("no table `{name}`"))) };
        check_keys(table, &found)?;
        let index = missing_indexes(table, &found).next();
        Ok(index.map(|index| format!("no index `{}` of the table `{name}`", index.name)))
    }

    /// A table as it is; `None` when there is none.
    pub(super) async fn describe(&self, table: &Table) -> Result<Option<TableDescription>, StoreError> {
        match self.client.describe_table().table_name(self.name(table)).send().await {
            Ok(found) => Ok(found.table.filter(|found| found.table_status != Some(TableStatus::Deleting))),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Why a call at the start failed, for the operator.
    pub(super) fn unreachable<E>(
        &self,
        error: &aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
    ) -> StoreError
    where
        E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata + 'static,
    {
        let (place, told) = (self.place(), told(error));
        StoreError::Unusable(match error.code() {
            Some("AccessDeniedException") => format!("{place} does not grant a right that is needed: {told}"),
            Some(
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "MissingAuthenticationTokenException",
            ) => format!("{place} does not know the credentials: {told}"),
            Some("ExpiredTokenException") => {
                format!("{place} says that the credentials have expired: {told}")
            }
            _ => format!("{place} does not answer: {told}"),
        })
    }
}

/// # Errors
/// `Unusable` when the table has another key: it belongs to something else.
pub(super) fn check_keys(table: &Table, found: &TableDescription) -> Result<(), StoreError> {
    let expected: Vec<&str> = table.key_attributes().map(|Key { name, .. }| name).collect();
    let found_keys: Vec<&str> = found.key_schema().iter().map(|key| key.attribute_name()).collect();
    if expected == found_keys {
        return Ok(());
    }
    let name = found.table_name().unwrap_or(table.name);
    Err(StoreError::Unusable(format!(
        "has a table `{name}` with the key {found_keys:?}, expected {expected:?}: choose another `DYNAMODB_TABLE_PREFIX`"
    )))
}

/// Indexes that the table does not have.
pub(super) fn missing_indexes<'a>(
    table: &'a Table,
    found: &'a TableDescription,
) -> impl Iterator<Item = &'a super::schema::Index> {
    let has =
        |name: &str| found.global_secondary_indexes().iter().any(|index| index.index_name() == Some(name));
    table.indexes.iter().filter(move |index| !has(index.name))
}
