//! Views of datasets.

use reqwest::Method;
use serde_json::Value;

use super::super::client::Client;
use super::super::failure::Failure;
use super::super::out::Out;
use super::super::show::{self, Column};

const LIST: &[Column] = &[
    ("NAME", "name"),
    ("ROWS", "row_count"),
    ("COLUMNS", "column_count"),
    ("OWNER", "owner.name"),
    ("LAST IMPORT", "last_import_at"),
    ("ID", "dataset_id"),
];
const RECORD: &[Column] = &[
    ("name", "name"),
    ("id", "dataset_id"),
    ("description", "description"),
    ("owner", "owner.name"),
    ("source", "source_type"),
    ("version", "version"),
    ("rows", "row_count"),
    ("partitioned by", "partition_column"),
    ("sorted by", "sort_column"),
    ("created", "created_at"),
    ("last import", "last_import_at"),
];
const VERSIONS: &[Column] = &[
    ("VERSION", "version"),
    ("KIND", "kind"),
    ("ROWS", "row_count"),
    ("BYTES", "byte_count"),
    ("SET ASIDE", "quarantined_count"),
    ("CREATED", "created_at"),
];
const PROFILE: &[Column] = &[
    ("COLUMN", "name"),
    ("TYPE", "type"),
    ("NULLS", "null_share"),
    ("DISTINCT", "distinct_estimate"),
    ("MIN", "min"),
    ("MAX", "max"),
];
const QUARANTINE: &[Column] = &[("LINE", "line"), ("COLUMN", "column"), ("REASON", "reason"), ("RAW", "raw")];

pub(super) async fn list(client: &Client, json: bool, out: &mut Out) -> Result<(), Failure> {
    show::list_or_json(LIST, client.list(&["datasets"], &[]).await?, json, out)
}

pub(super) async fn show(client: &Client, id: &str, json: bool, out: &mut Out) -> Result<(), Failure> {
    let dataset: Value = client.get(&["datasets", id]).await?;
    if json {
        return show::json(&dataset, out);
    }
    show::record(RECORD, &dataset, out)?;
    let columns = dataset["schema"].as_array().map(Vec::as_slice).unwrap_or_default();
    show::list(&[("COLUMN", "name"), ("TYPE", "type"), ("NULLABLE", "nullable")], columns, out)
}

pub(super) async fn versions(client: &Client, id: &str, json: bool, out: &mut Out) -> Result<(), Failure> {
    show::list_or_json(VERSIONS, client.list(&["datasets", id, "versions"], &[]).await?, json, out)
}

pub(super) async fn preview(
    client: &Client,
    id: &str,
    limit: u64,
    as_of: Option<&str>,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut request = client.request(Method::GET, &["datasets", id, "preview"]).query(&[("limit", limit)]);
    if let Some(as_of) = as_of {
        request = request.query(&[("as_of", as_of)]);
    }
    let preview: Value = client.fetch(request).await?;
    let columns: Vec<String> = preview["columns"].as_array().into_iter().flatten().map(column_name).collect();
    let rows = preview["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    show::rows(&columns, rows, out)?;
    out.remark(format_args!("{} of {} rows", rows.len(), show::text(&preview["total_rows"])));
    Ok(())
}

/// Columns come as names, or as objects that have one.
fn column_name(column: &Value) -> String {
    show::text(column.get("name").unwrap_or(column))
}

pub(super) async fn profile(client: &Client, id: &str, json: bool, out: &mut Out) -> Result<(), Failure> {
    show::list_or_json(PROFILE, client.get(&["datasets", id, "profile"]).await?, json, out)
}

pub(super) async fn compare(
    client: &Client,
    id: &str,
    (from, to): (u64, u64),
    json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let request = client
        .request(Method::GET, &["datasets", id, "versions", "compare"])
        .query(&[("from", from), ("to", to)]);
    let comparison: Value = client.fetch(request).await?;
    if json {
        return show::json(&comparison, out);
    }
    let rows = [("rows before", "from_row_count"), ("rows after", "to_row_count")];
    show::record(&rows, &comparison, out)?;
    let changes = comparison["schema_changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = [("CHANGE", "type"), ("COLUMN", "column"), ("WAS", "old_type"), ("IS", "new_type")];
    show::list(&columns, changes, out)
}

pub(super) async fn quarantine(
    client: &Client,
    id: &str,
    version: Option<u64>,
    json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let version = match version {
        Some(version) => version.to_string(),
        None => {
            let dataset: Value = client.get(&["datasets", id]).await?;
            show::text(&dataset["version"])
        }
    };
    let rows = client.list(&["datasets", id, "versions", &version, "quarantine"], &[]).await?;
    show::list_or_json(QUARANTINE, rows, json, out)
}
