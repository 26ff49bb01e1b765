//! `shirabe inspect`: what an import would find in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::import::{ImportOptions, absolute, file_form};
use super::out::Out;
use super::progress::Progress;
use super::read_options::ReadArgs;
use super::show;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    file: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: InspectArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let options = ImportOptions::reading(args.read.options()?);
    show_file(client, &args.file, &options, out).await
}

/// Shows what would be found; nothing is written.
pub(super) async fn show_file(
    client: &Client,
    file: &Path,
    options: &ImportOptions,
    out: &mut Out,
) -> Result<(), Failure> {
    let request = client.request(Method::POST, &["datasets", "inspect"]);
    let request = if client.shares_disk() {
        request.json(&json!({ "path": absolute(file)?, "options": options }))
    } else {
        let progress = Progress::start("inspect", out);
        request.multipart(file_form(file, options, &progress).await?)
    };
    let inspection: Value = client.fetch(request).await?;
    out.line(file.display())?;
    found(&inspection, out)
}

/// Encoding, delimiter, types, warnings: shown after every import, too.
pub(super) fn found(result: &Value, out: &mut Out) -> Result<(), Failure> {
    const FORMAT: [(&str, &str); 2] = [("format", "format"), ("compression", "compression")];
    const TEXT: [(&str, &str); 5] = [
        ("encoding", "encoding"),
        ("delimiter", "delimiter"),
        ("header", "has_header"),
        ("skipped lines", "skip_rows"),
        ("sheet", "sheet"),
    ];
    let contract = result.get("contract").unwrap_or(&result["read_contract"]["found"]);
    show::record(&FORMAT, contract, out)?;
    // Formats that bring their types have none of these.
    if ["csv", "ndjson", "xlsx"].iter().any(|text| contract["format"] == *text) {
        show::record(&TEXT, contract, out)?;
    }
    show::record(&[("set aside", "quarantined_count")], result, out)?;
    if let Some(columns) = result["schema"].as_array() {
        show::list(&[("COLUMN", "name"), ("TYPE", "type"), ("NULLABLE", "nullable")], columns, out)?;
    }
    for warning in result["warnings"].as_array().into_iter().flatten() {
        out.remark(format_args!("warning: {}", show::text(warning)));
    }
    Ok(())
}
