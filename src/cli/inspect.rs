//! `shirabe inspect`: what an import would find in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::import::{ImportOptions, absolute, file_form, in_s3, readable};
use super::out::Out;
use super::progress::Progress;
use super::read_options::ReadArgs;
use super::show;

/// Rows that are shown; enough to see what columns hold.
const ROWS_SHOWN: usize = 5;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    file: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: InspectArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let options = ImportOptions::reading(args.read.options()?);
    if args.json {
        let inspection = ask(client, &args.file, &options, out).await?;
        return show::json(&inspection, out);
    }
    show_file(client, &args.file, &options, out).await
}

/// Shows what would be found; nothing is written.
pub(super) async fn show_file(
    client: &Client,
    file: &Path,
    options: &ImportOptions,
    out: &mut Out,
) -> Result<(), Failure> {
    let inspection = ask(client, file, options, out).await?;
    found(Some(file), &inspection, out)?;
    let columns = inspection["schema"].as_array().into_iter().flatten();
    let columns: Vec<_> = columns.map(|it| (show::text(&it["name"]), show::text(&it["type"]))).collect();
    let rows = inspection["sample_rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = &rows[..rows.len().min(ROWS_SHOWN)];
    if rows.is_empty() || columns.is_empty() {
        return Ok(());
    }
    out.line("")?;
    show::head(&columns, rows, out)
}

async fn ask(client: &Client, file: &Path, options: &ImportOptions, out: &mut Out) -> Result<Value, Failure> {
    readable(file)?;
    let request = client.request(Method::POST, &["datasets", "inspect"]);
    let request = if client.shares_disk() || in_s3(file).is_some() {
        request.json(&json!({ "path": absolute(file)?, "options": options }))
    } else {
        let progress = Progress::start("inspect", out);
        request.multipart(file_form(file, options, &progress).await?)
    };
    client.fetch(request).await
}

/// Encoding, delimiter, types, warnings: shown after every import, too.
pub(super) fn found(file: Option<&Path>, result: &Value, out: &mut Out) -> Result<(), Failure> {
    let contract = result.get("contract").unwrap_or(&result["read_contract"]["found"]);
    let mut facts = facts(contract, result);
    facts.insert(0, ("file", file.map_or_else(String::new, |file| file.display().to_string())));
    show::facts(&facts, out)?;
    if let Some(columns) = result["schema"].as_array() {
        out.line("")?;
        show::list(&[("COLUMN", "name"), ("TYPE", "type")], columns, out)?;
    }
    for warning in result["warnings"].as_array().into_iter().flatten() {
        out.remark(format_args!("warning: {}", show::text(warning)));
    }
    Ok(())
}

/// What was found, in words. What is as it nearly always is, is not worth a line.
fn facts(contract: &Value, result: &Value) -> Vec<(&'static str, String)> {
    let unless = |field: &str, usual: Value| match &contract[field] {
        value if *value == usual => String::new(),
        value => show::text(value),
    };
    let format = match &contract["compression"] {
        Value::String(compression) if compression != "none" => {
            format!("{}, compressed with {compression}", show::text(&contract["format"]))
        }
        _ => show::text(&contract["format"]),
    };
    let mut facts = vec![("format", format)];
    let is_csv = contract["format"] == "csv";
    if is_csv || contract["format"] == "ndjson" {
        facts.push(("encoding", show::text(&contract["encoding"])));
    }
    if is_csv {
        let delimiter =
            if contract["delimiter"] == "\t" { "tab".to_owned() } else { show::text(&contract["delimiter"]) };
        facts.extend([("delimiter", delimiter), ("quote", unless("quote", json!("\"")))]);
    }
    if is_csv || contract["format"] == "xlsx" {
        let header = if contract["has_header"] == true { "the first row" } else { "none" };
        facts.extend([
            ("sheet", show::text(&contract["sheet"])),
            ("skipped lines", unless("skip_rows", json!(0))),
            ("header", header.to_owned()),
        ]);
    }
    if result["quarantined_count"].as_u64().is_some_and(|count| count > 0) {
        facts.push(("rows set aside", show::text(&result["quarantined_count"])));
    }
    facts
}
