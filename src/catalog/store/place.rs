//! Where records are: in a file of one process, or in tables that replicas share.

use std::path::PathBuf;

use super::dynamo::{DynamoSettings, DynamoStore, TableState};
use super::sqlite::SqliteStore;
use super::{StoreError, Stores};
use crate::error::Error;

/// Which backend, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsPlace {
    /// A file of SQLite.
    File(PathBuf),
    /// Tables in DynamoDB.
    Tables(DynamoSettings),
}

/// An open store.
#[derive(Debug, Clone)]
pub struct Records {
    stores: Stores,
    /// The server, which may not answer yet.
    tables: Option<DynamoStore>,
}

impl RecordsPlace {
    /// Opens the file, which blocks, or makes ready to connect.
    ///
    /// # Errors
    /// `Unavailable`, which names the file.
    pub fn open(&self) -> Result<Records, Error> {
        match self {
            Self::File(path) => match SqliteStore::open(path) {
                Ok(store) => Ok(Records { stores: store.stores(), tables: None }),
                Err(cause) => Err(Error::unusable(path, cause)),
            },
            Self::Tables(settings) => {
                let store = DynamoStore::new(settings.clone());
                Ok(Records { stores: store.stores(), tables: Some(store) })
            }
        }
    }

    /// Makes the tables and indexes that are missing.
    ///
    /// # Errors
    /// `Unusable`: a file has no tables to make, or the server does not let it.
    pub async fn init_tables(&self) -> Result<Vec<TableState>, StoreError> {
        match self {
            Self::File(_) => Err(StoreError::Unusable(
                "is a file in the data folder, which needs no tables: set `METADATA_STORE=dynamodb`, or \
                 `DYNAMODB_REGION` or `DYNAMODB_ENDPOINT`"
                    .to_owned(),
            )),
            Self::Tables(settings) => DynamoStore::new(settings.clone()).init().await,
        }
    }
}

impl Records {
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Asks the server, if there is one, whether it has all that is needed.
    ///
    /// # Errors
    /// `Unusable`, which names the server and says what to do.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.tables {
            Some(store) => store.check().await,
            None => Ok(()),
        }
    }
}
