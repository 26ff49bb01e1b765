//! `shirabe query`: one statement, from the arguments, a file or standard input.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::failure::Failure;
use super::format::{CsvArgs, Format};
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
    /// The value of a `$NAME` in the statement; text, unless a type such as `date` is named. One that comes several
    /// times is a list
    #[arg(short, long = "param", value_name = "NAME[:TYPE]=VALUE")]
    params: Vec<String>,
    /// The zone of times without one, such as `Asia/Tokyo` or `+09:00`
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Form of the result; by default a table in a terminal, and CSV in a pipe
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the result to a file, whose ending tells the form
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    csv: CsvArgs,
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
    let body = json!({
        "sql": statement,
        "as_of": args.as_of,
        "parameters": parameters(&args.params)?,
        "time_zone": args.time_zone,
    });
    let request = client.request(Method::POST, &["query"]).query(&[("format", wire.api_name())]);
    let request = request.query(&args.csv.query(format)?).json(&body);
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

/// Values with their types, as the API takes them.
fn parameters(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut parameters: Map<String, Value> = Map::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("`--param {text}`: expected NAME=VALUE or NAME:TYPE=VALUE")));
        };
        let (name, data_type) = name.split_once(':').unwrap_or((name, "string"));
        match parameters.get_mut(name) {
            None => {
                parameters.insert(name.to_owned(), json!({ "type": data_type, "value": value }));
            }
            Some(known) if known["type"] != data_type => {
                return Err(Failure::Usage(format!(
                    "`--param {text}`: all values of `{name}` have one type"
                )));
            }
            Some(known) => match &mut known["value"] {
                Value::Array(values) => values.push(json!(value)),
                one => *one = json!([one.take(), value]),
            },
        }
    }
    Ok(parameters)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_text_unless_it_has_a_type() {
        let read = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
            parameters(&given).map(Value::Object)
        };
        let found =
            read(&["city=O'Hare=x", "from:date=2024-01-31", "ids:int64=1", "ids:int64=2", "ids:int64=3"]);
        let expected = json!({
            "city": { "type": "string", "value": "O'Hare=x" },
            "from": { "type": "date", "value": "2024-01-31" },
            "ids": { "type": "int64", "value": ["1", "2", "3"] },
        });
        assert_eq!(found.unwrap(), expected);
        assert!(
            matches!(read(&["x"]), Err(Failure::Usage(message)) if message.contains("expected NAME=VALUE"))
        );
        assert!(
            matches!(read(&["x=1", "x:int64=2"]), Err(Failure::Usage(message)) if message.contains("one type"))
        );
    }
}
