//! `shirabe query`: one statement, from the arguments, a file or standard input.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::format::Format;
use super::import::unreadable;
use super::out::Out;
use super::results;
use super::sink::Sink;

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// The statement; without one, or with `-`, it is read from standard input
    #[arg(conflicts_with = "file")]
    sql: Option<String>,
    /// Read the statement from a file; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the datasets as they were: a version number or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
    /// Form of the result; by default a table in a terminal, and CSV in a pipe
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the result to a file, whose ending tells the form
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl QueryArgs {
    /// Reads the statement from where it is, so that `sql` holds it.
    pub(super) fn read_statement(&mut self) -> Result<(), Failure> {
        if self.sql.as_deref().is_none_or(|sql| sql == "-") {
            self.sql = Some(statement(self.file.as_deref().filter(|file| *file != Path::new("-")))?);
        }
        match self.sql.as_deref() {
            Some(sql) if !sql.trim().is_empty() => Ok(()),
            _ => Err(Failure::Usage("the statement is empty".to_owned())),
        }
    }
}

pub(super) async fn run(args: QueryArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let format = Format::choose(args.format, args.output.as_deref(), out.is_terminal())?;
    let statement = args.sql.unwrap_or_default();
    let wire = if format == Format::Parquet { Format::Arrow } else { format };
    let body = json!({ "sql": statement, "as_of": args.as_of });
    let request = client.request(Method::POST, &["query"]).query(&[("format", wire.api_name())]).json(&body);
    let response = client.send(request).await.map_err(|failure| failure.about(&statement))?;
    let written = match format {
        Format::Table if args.output.is_none() => results::table(response, out).await,
        Format::Table => {
            return Err(Failure::Usage("a table is only for reading: choose another form".to_owned()));
        }
        Format::Parquet => results::parquet(response, Sink::open(args.output.as_deref(), out)?).await,
        _ => results::copy(response, format, Sink::open(args.output.as_deref(), out)?).await,
    };
    written.map_err(|failure| failure.about(&statement))
}

fn statement(file: Option<&Path>) -> Result<String, Failure> {
    if let Some(file) = file {
        let bytes = std::fs::read(file).map_err(|cause| unreadable(file, &cause))?;
        let text = String::from_utf8(bytes);
        return text.map_err(|_| Failure::File(format!("`{}` is not text in UTF-8", file.display())));
    }
    if std::io::stdin().is_terminal() {
        let message = "no statement: give one as an argument, with -f FILE, or through a pipe";
        return Err(Failure::Usage(message.to_owned()));
    }
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .map_err(|cause| Failure::File(format!("standard input cannot be read: {cause}")))?;
    Ok(sql)
}
