//! Records as the JSON text of a `doc` column.

use rusqlite::{Params, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalog::store::StoreError;

/// A record as it is stored.
pub(super) fn write<T: Serialize>(record: &T) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|cause| StoreError::Corrupt(cause.to_string()))
}

/// A stored record.
pub(super) fn read<T: DeserializeOwned>(doc: &str) -> Result<T, StoreError> {
    serde_json::from_str(doc).map_err(|cause| {
        StoreError::Corrupt(format!("expected a {}, got something else: {cause}", std::any::type_name::<T>()))
    })
}

/// The records of a query whose first column is `doc`.
pub(super) fn query<T: DeserializeOwned>(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(records)
}

/// The one record of such a query, if there is one.
pub(super) fn query_one<T: DeserializeOwned>(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl Params,
) -> Result<Option<T>, StoreError> {
    Ok(query(tx, sql, params)?.pop())
}
