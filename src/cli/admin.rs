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
        out.remark("everything is in order");
        return Ok(());
    }
    show::list(&[("PROBLEM", "problem"), ("OBJECT", "object"), ("DETAIL", "detail")], findings, out)?;
    Err(Failure::Findings)
}

pub(super) async fn gc(args: &GcArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let report: Value = client.post(&["admin", "gc"], &json!({ "dry_run": args.dry_run })).await?;
    let count = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let verb = if args.dry_run { "would remove" } else { "removed" };
    out.line(format_args!(
        "{verb} {} files, {} bytes",
        count("removed_file_count"),
        count("removed_byte_count")
    ))
}
