//! `shirabe export`: a whole dataset as a file or into a pipe.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;

use super::client::Client;
use super::datasets::find;
use super::failure::Failure;
use super::format::{CsvArgs, Format};
use super::out::Out;
use super::results;
use super::sink::Sink;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Name or id of the dataset
    dataset: String,
    /// Form of the file; by default as its ending tells, or CSV
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The dataset as it was: a version number or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
    #[command(flatten)]
    csv: CsvArgs,
}

pub(super) async fn run(args: ExportArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    // Never a table: an export is for other programs.
    let format = args.format.or(if args.output.is_none() { Some(Format::Csv) } else { None });
    let format = Format::choose(format, args.output.as_deref(), out.is_terminal())?;
    if format == Format::Table {
        return Err(Failure::Usage("an export is not a table: choose another form".to_owned()));
    }
    let id = find(client, &args.dataset).await?;
    let mut request =
        client.request(Method::GET, &["datasets", &id, "export"]).query(&[("format", format.api_name())]);
    if let Some(as_of) = &args.as_of {
        request = request.query(&[("as_of", as_of)]);
    }
    request = request.query(&args.csv.query(format)?);
    let response = client.send(request).await?;
    results::copy(response, format, Sink::open(args.output.as_deref(), out)?).await
}
