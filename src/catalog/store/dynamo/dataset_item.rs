//! Datasets and versions as items.

use serde_json::json;

use super::item::{Attributes, Fields, Item, age, key, text};
use super::schema::{AGE, DATASETS, DIRECTORY, VERSIONS};
use crate::catalog::record::{DatasetRecord, Source, VersionKind, VersionRecord};
use crate::catalog::store::StoreError;
use crate::ids::DatasetId;

/// The second attribute of every dataset's key.
pub(super) const METADATA: &str = "METADATA";
pub(super) const DIRECTORY_OF_ALL: &str = "DATASETS";

/// The first attribute of a dataset's key, as the runbook asks for it.
pub(super) fn partition(id: &str) -> String {
    format!("DATASET#{id}")
}

pub(super) fn dataset_key(id: &DatasetId) -> Attributes {
    let mut whole = key(DATASETS.key.name, partition(id.as_str()));
    whole.insert("SK".to_owned(), text(METADATA));
    whole
}

pub(super) fn write(record: &DatasetRecord) -> Result<Item, StoreError> {
    let id = record.id.as_str();
    let mut item = Item::new()
        .text(DATASETS.key.name, partition(id))
        .text("SK", METADATA)
        .text("datasetId", id)
        .text("name", &record.name)
        .text("nameKey", record.name_key.as_str())
        .text("description", &record.description)
        .text("ownerId", record.owner_id.as_str())
        .text("sourceType", &record.source.kind)
        .text("sourceFileName", &record.source.file_name)
        .optional_text("sourcePath", record.source.path.as_deref())
        .optional_text("partitionColumn", record.partition_column.as_deref())
        .optional_text("sortColumn", record.sort_column.as_deref())
        .json("readContract", &record.read_contract)?
        .map("current", write_version(&record.current)?)
        // What people ask for with a key and no program, and what conditions compare.
        .number("currentNumber", record.current.number)
        .number("rowCount", record.current.row_count)
        .number("columnCount", record.current.column_count)
        .text("s3Path", format!("datasets/{id}/"))
        .time("createdAt", record.created_at)
        .time("lastImportAt", record.last_import_at)
        .number("revision", record.revision)
        .text(DIRECTORY.name, DIRECTORY_OF_ALL)
        .text(AGE.name, age(record.created_at, id));
    if let Some(made_by) = &record.source.made_by {
        item = item.json("madeBy", made_by)?;
    }
    Ok(item)
}

pub(super) fn read(item: &Attributes) -> Result<DatasetRecord, StoreError> {
    let item = Fields::of("dataset", item);
    let current = read_version(item.map("current")?)?;
    Ok(DatasetRecord {
        id: item.parsed("datasetId")?,
        name: item.text("name")?,
        name_key: item.word("nameKey")?,
        description: item.text_or_empty("description"),
        owner_id: item.parsed("ownerId")?,
        source: Source {
            kind: item.text_or_empty("sourceType"),
            file_name: item.text_or_empty("sourceFileName"),
            path: item.optional_text("sourcePath"),
            made_by: item.json_or("madeBy", None)?,
        },
        partition_column: item.optional_text("partitionColumn"),
        sort_column: item.optional_text("sortColumn"),
        read_contract: item.json_or("readContract", json!({}))?,
        created_at: item.time("createdAt")?,
        last_import_at: item.time_or("lastImportAt", current.created_at)?,
        revision: item.number("revision")?,
        current,
    })
}

/// A version, in its own table or within its dataset.
pub(super) fn write_version(version: &VersionRecord) -> Result<Item, StoreError> {
    Item::new()
        .text(VERSIONS.key.name, version.dataset_id.as_str())
        .number("number", version.number)
        .text("label", &version.label)
        .text("manifestBlake3", &version.manifest_blake3)
        .number("rowCount", version.row_count)
        .number("byteCount", version.byte_count)
        .number("columnCount", version.column_count)
        .number("quarantinedCount", version.quarantined_count)
        .time("createdAt", version.created_at)
        .text("createdBy", version.created_by.as_str())
        .text("commitId", version.commit_id.as_str())
        .word("kind", version.kind)
}

pub(super) fn read_version(item: Fields<'_>) -> Result<VersionRecord, StoreError> {
    Ok(VersionRecord {
        dataset_id: item.parsed(VERSIONS.key.name)?,
        number: item.number("number")?,
        label: item.text("label")?,
        manifest_blake3: item.text("manifestBlake3")?,
        kind: item.optional_text("kind").map_or(Ok(VersionKind::Import), |_| item.word("kind"))?,
        row_count: item.number_or("rowCount", 0)?,
        byte_count: item.number_or("byteCount", 0)?,
        column_count: item.number_or("columnCount", 0)?,
        quarantined_count: item.number_or("quarantinedCount", 0)?,
        created_at: item.time("createdAt")?,
        created_by: item.parsed("createdBy")?,
        commit_id: item.parsed("commitId")?,
    })
}
