//! `shirabe check` and `shirabe gc`: is everything there, and is there too much?

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::out::Out;
use super::show;

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Verifies what is stored. Findings are the result, and end the process with 1.
pub(super) async fn check(client: &Client, out: &mut Out) -> Result<(), Failure> {
    let report: Value = client.post(&["admin", "check"], &json!({})).await?;
    let findings = report.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if findings.is_empty() {
        out.remark(format_args!(
            "everything is in order: {} datasets, {} versions, {} files, {} bytes",
            show::text(&report["datasets"]),
            show::text(&report["versions"]),
            show::text(&report["objects"]),
            show::text(&report["bytes"]),
        ));
        return Ok(());
    }
    show::list(
        &[("DATASET", "dataset_name"), ("VERSION", "version"), ("OBJECT", "object"), ("PROBLEM", "problem")],
        findings,
        out,
    )?;
    Err(Failure::Findings)
}

pub(super) async fn gc(args: &GcArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let report: Value = client.post(&["admin", "gc"], &json!({ "dry_run": args.dry_run })).await?;
    let count = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let verb = if args.dry_run { "would remove" } else { "removed" };
    out.line(format_args!(
        "{verb} {} old versions, {} files, {} bytes",
        count("versions_expired"),
        count("objects_deleted"),
        count("bytes_deleted")
    ))
}
