//! Rows that could not be read, kept beside the version they are missing from.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

use super::decode::BadRow;
use crate::catalog::manifest::QuarantineFile;
use crate::error::Error;
use crate::ids::DatasetId;
use crate::storage::{self, keys};

/// One row, as its line in the quarantine file tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetAside {
    /// The line in the source, counted from 1; the row, for a sheet.
    pub line: u64,
    /// The column to blame, when one is.
    pub column: Option<String>,
    pub reason: String,
    /// The row as it stands in the source, cut after 4 KiB.
    pub raw: String,
}

impl From<&BadRow> for SetAside {
    fn from(row: &BadRow) -> Self {
        Self {
            line: row.line,
            column: row.column_name.clone(),
            reason: row.reason.clone(),
            raw: row.raw.clone(),
        }
    }
}

/// Stores the rows, one JSON object a line; nothing when there are none.
pub(super) async fn write(
    store: &Arc<dyn ObjectStore>,
    id: &DatasetId,
    label: &str,
    rows: &[BadRow],
) -> Result<Option<QuarantineFile>, Error> {
    if rows.is_empty() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, &SetAside::from(row)).map_err(Error::internal)?;
        lines.push(b'\n');
    }
    let key = keys::quarantine(id, label);
    let written = storage::put_new(store, &key, Bytes::from(lines)).await?;
    Ok(Some(QuarantineFile {
        key: key.to_string(),
        byte_count: written.byte_count,
        row_count: rows.len() as u64,
        blake3: written.blake3,
    }))
}

/// Reads the lines back.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<SetAside>, Error> {
    let rows = serde_json::Deserializer::from_slice(bytes).into_iter();
    rows.collect::<Result<_, _>>().map_err(Error::internal)
}
