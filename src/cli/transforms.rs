//! `shirabe transforms`: keep files of SQL and Python as transforms, run them, and watch.
//!
//! Why `save` takes a file: who keeps transforms in a repository saves and runs them from there, again and again. It
//! must not know how a transform runs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::failure::{ApiFailure, Failure};
use super::import::unreadable;
use super::out::Out;
use super::{datasets, interrupted, show};
use crate::ids::TransformId;

/// How long one look at an execution waits for its end.
const WAIT_MS: &str = "30000";
/// Executions that are listed.
const EXECUTIONS_MAX: u64 = 100;

#[derive(Debug, Subcommand)]
pub(super) enum TransformsCommand {
    /// List transforms, newest first
    List {
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one transform and its code
    Show {
        transform: String,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a file of SQL or Python as a transform, or its code as that of the transform of this name
    Save(SaveArgs),
    /// Run a transform and wait for its end; what it prints is shown meanwhile. Ctrl-C cancels it
    Run(RunArgs),
    /// List the executions of a transform, newest first
    Executions {
        transform: String,
        /// How many, 1 to 100
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=EXECUTIONS_MAX))]
        limit: u64,
        /// Print the API's JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what an execution printed, by default the newest; while it runs, line by line
    Log { transform: String, execution: Option<String> },
    /// Stop what runs
    Cancel { transform: String },
    /// Let the clock not start it any more
    Pause { transform: String },
    /// Let the clock start it again
    Resume { transform: String },
    /// Delete a transform; the dataset that it made stays
    Delete { transform: String },
}

impl TransformsCommand {
    /// What `shirabe transforms` alone means.
    pub(super) const LIST: Self = Self::List { json: false };

    /// Whether Ctrl-C is its own business.
    pub(super) fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// A statement in `*.sql`, or `def transform(inputs, params)` in `*.py`
    file: PathBuf,
    /// By default the file's name without its ending
    #[arg(long)]
    name: Option<String>,
    /// A dataset that Python reads, by name or id, and what else it is to be called in `inputs`
    #[arg(short, long = "input", value_name = "DATASET[=ALIAS]")]
    inputs: Vec<String>,
    /// A value of `params`, of `$NAME` in SQL; JSON, or else text
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// The name of the dataset that it makes; by default that of the transform
    #[arg(long, value_name = "NAME")]
    output_name: Option<String>,
    /// When to run it, from now on: five fields of cron
    #[arg(long, value_name = "FIELDS")]
    cron: Option<String>,
    /// In which the fields are meant, such as `Asia/Tokyo`
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Also where it breaks what reads its dataset
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    transform: String,
    /// A value of `params` for this time; JSON, or else text
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Make all rows anew, also where rows would be added
    #[arg(long)]
    full_rebuild: bool,
    /// Print the API's JSON of the execution
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: TransformsCommand, client: &Client, out: &mut Out) -> Result<(), Failure> {
    use TransformsCommand as C;
    if client.shares_disk() && matches!(command, C::Save(_) | C::Run(_)) {
        let message = "a transform runs by the rights of its owner, and nobody has signed in here: name a server with \
                       --server and somebody's key with --api-key";
        return Err(Failure::Usage(message.to_owned()));
    }
    match command {
        C::List { json } => list(client, json, out).await,
        C::Show { transform, json } => show_one(client, &find(client, &transform).await?, json, out).await,
        C::Save(args) => save(args, client, out).await,
        C::Run(args) => execute(args, client, out).await,
        C::Executions { transform, limit, json } => {
            let found = executions(client, &find(client, &transform).await?, limit).await?;
            show::list_or_json(&EXECUTION_COLUMNS, found, json, out)
        }
        C::Log { transform, execution } => {
            let id = find(client, &transform).await?;
            let execution = match execution {
                Some(execution) => execution,
                None => newest(client, &id, &transform).await?,
            };
            log(client, &id, &execution, out).await
        }
        C::Cancel { transform } => {
            let id = find(client, &transform).await?;
            let execution = newest(client, &id, &transform).await?;
            cancel(client, &id, &execution).await
        }
        C::Pause { transform } => enable(client, &transform, false).await,
        C::Resume { transform } => enable(client, &transform, true).await,
        C::Delete { transform } => client.delete(&["transforms", &find(client, &transform).await?]).await,
    }
}

const EXECUTION_COLUMNS: [show::Column; 7] = [
    ("STARTED", "started_at"),
    ("STATUS", "status"),
    ("MS", "duration_ms"),
    ("ROWS", "output_row_count"),
    ("VERSION", "output_version"),
    ("ERROR", "error"),
    ("ID", "execution_id"),
];

async fn list(client: &Client, json: bool, out: &mut Out) -> Result<(), Failure> {
    let found = client.list(&["transforms"], &[]).await?;
    let columns = [
        ("NAME", "name"),
        ("LANGUAGE", "language"),
        ("OUTPUT", "output_name"),
        ("SCHEDULE", "schedule_cron"),
        ("NEXT", "next_runs.0"),
        ("ID", "transform_id"),
    ];
    show::list_or_json(&columns, found, json, out)
}

async fn show_one(client: &Client, id: &str, json: bool, out: &mut Out) -> Result<(), Failure> {
    let transform: Value = client.get(&["transforms", id]).await?;
    if json {
        return show::json(&transform, out);
    }
    let fields = [
        ("name", "name"),
        ("id", "transform_id"),
        ("description", "description"),
        ("owner", "owner.name"),
        ("language", "language"),
        ("makes", "output_name"),
        ("schedule", "schedule_cron"),
        ("time zone", "schedule_time_zone"),
        ("next run", "next_runs.0"),
        ("changed", "updated_at"),
    ];
    show::record(&fields, &transform, out)?;
    out.line("")?;
    let mut lines = Vec::new();
    show::lines(transform["code"].as_str().unwrap_or_default(), |line| lines.push(line));
    lines.iter().try_for_each(|line| out.line(line))
}

async fn save(args: SaveArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let language = language_of(&args.file)?;
    let code = std::fs::read_to_string(&args.file).map_err(|cause| unreadable(&args.file, &cause))?;
    let name = match args.name {
        Some(name) => name,
        None => args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let mut body = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("language".to_owned(), json!(language)),
        ("code".to_owned(), json!(code)),
    ]);
    // What is not said stays as it is.
    let mut say = |field: &str, value: Value| body.insert(field.to_owned(), value);
    if !args.inputs.is_empty() {
        let mut inputs = Vec::new();
        for input in &args.inputs {
            let (dataset, alias) =
                input.split_once('=').map_or((input.as_str(), None), |(d, a)| (d, Some(a)));
            let id = datasets::find(client, dataset).await?;
            inputs.push(json!({ "dataset_id": id, "alias": alias }));
        }
        say("inputs", Value::Array(inputs));
    }
    if !args.params.is_empty() {
        say("params", Value::Object(params(&args.params)?));
    }
    if args.cron.is_some() {
        say("schedule_enabled", Value::Bool(true));
    }
    for (field, value) in [
        ("output_name", args.output_name),
        ("schedule_cron", args.cron),
        ("schedule_time_zone", args.time_zone),
    ] {
        if let Some(value) = value {
            say(field, Value::String(value));
        }
    }
    let known = find_any(client, &name).await?;
    let outcome: Result<Value, Failure> = match &known {
        Some(id) => {
            body.insert("force".to_owned(), Value::Bool(args.force));
            client.put(&["transforms", id], &Value::Object(body)).await
        }
        None => client.post(&["transforms"], &Value::Object(body)).await,
    };
    let failure_of = |failure: Failure| match language {
        "sql" => failure.about(&code).with_file(&args.file),
        _ => failure.with_file(&args.file),
    };
    let saved = outcome.map_err(failure_of)?;
    let done = if known.is_some() { "changed" } else { "made" };
    out.line(format_args!("{name}: {done}, {}", show::text(&saved["transform_id"])))
}

async fn execute(args: RunArgs, client: &Client, out: &mut Out) -> Result<(), Failure> {
    let id = find(client, &args.transform).await?;
    let body = json!({ "params": params(&args.params)?, "full_rebuild": args.full_rebuild });
    let request = client.request(Method::POST, &["transforms", &id, "execute"]).json(&body);
    let started: Value = client.fetch(request.header("prefer", "respond-async")).await?;
    let execution = show::text(&started["execution_id"]);
    let ended = tokio::select! {
        biased;
        () = interrupted() => {
            cancel(client, &id, &execution).await?;
            return Err(Failure::Interrupted);
        }
        ended = follow(client, &id, &execution, out) => ended?,
    };
    if args.json {
        show::json(&ended, out)?;
    }
    let failure = &ended["failure"];
    if !failure.is_null() {
        show::lines(failure["traceback"].as_str().unwrap_or_default(), |line| out.remark(line));
        return Err(Failure::Api(ApiFailure {
            code: show::text(&failure["code"]),
            message: show::text(&failure["message"]),
            details: Value::Null,
            statement: None,
        }));
    }
    if args.json {
        return Ok(());
    }
    let [rows, version, ms] =
        ["output_row_count", "output_version", "duration_ms"].map(|field| show::text(&ended[field]));
    out.line(format_args!("{}: {rows} rows, version {version}, {ms} ms", args.transform))
}

/// Shows what an execution prints, and returns it when it has ended.
async fn follow(client: &Client, id: &str, execution: &str, out: &mut Out) -> Result<Value, Failure> {
    let path = ["transforms", id, "executions", execution];
    let mut printed = client.send(client.request(Method::GET, &[&path[..], &["log"]].concat())).await?;
    let mut line = Vec::new();
    while let Some(piece) = printed.chunk().await.map_err(|cause| broken(&cause))? {
        for byte in piece {
            if byte == b'\n' {
                show::lines(&String::from_utf8_lossy(&std::mem::take(&mut line)), |line| out.remark(line));
            } else {
                line.push(byte);
            }
        }
    }
    loop {
        let request = client.request(Method::GET, &path).query(&[("wait", WAIT_MS)]);
        let found: Value = client.fetch(request).await?;
        if found["status"] != "running" {
            return Ok(found);
        }
    }
}

async fn log(client: &Client, id: &str, execution: &str, out: &mut Out) -> Result<(), Failure> {
    let request = client.request(Method::GET, &["transforms", id, "executions", execution, "log"]);
    let mut printed = client.send(request).await?;
    let mut last = b'\n';
    while let Some(piece) = printed.chunk().await.map_err(|cause| broken(&cause))? {
        last = piece.last().copied().unwrap_or(last);
        out.bytes(&piece)?;
    }
    if last == b'\n' { Ok(()) } else { out.line("") }
}

async fn cancel(client: &Client, id: &str, execution: &str) -> Result<(), Failure> {
    let path = ["transforms", id, "executions", execution, "cancel"];
    client.post::<Value>(&path, &json!({})).await.map(drop)
}

async fn enable(client: &Client, transform: &str, enabled: bool) -> Result<(), Failure> {
    let id = find(client, transform).await?;
    let body = json!({ "schedule_enabled": enabled });
    client.put::<Value>(&["transforms", &id], &body).await.map(drop)
}

async fn executions(client: &Client, id: &str, limit: u64) -> Result<Vec<Value>, Failure> {
    let request = client.request(Method::GET, &["transforms", id, "executions"]);
    client.fetch(request.query(&[("limit", limit)])).await
}

/// The id of the newest execution.
async fn newest(client: &Client, id: &str, transform: &str) -> Result<String, Failure> {
    let found = executions(client, id, 1).await?;
    let newest = found.first().map(|execution| show::text(&execution["execution_id"]));
    newest.ok_or_else(|| Failure::Api(ApiFailure::not_found(format!("`{transform}` was never run"))))
}

/// The id of a transform that is given by name or id.
async fn find(client: &Client, transform: &str) -> Result<String, Failure> {
    if TransformId::parse(transform).is_ok() {
        return Ok(transform.to_owned());
    }
    let id = find_any(client, transform).await?;
    id.ok_or_else(|| Failure::Api(ApiFailure::not_found(format!("no transform `{transform}`"))))
}

/// The id of the transform of this name, if there is one. Several may have one name.
async fn find_any(client: &Client, name: &str) -> Result<Option<String>, Failure> {
    let found = client.list(&["transforms"], &[("name", name)]).await?;
    match &found[..] {
        [] => Ok(None),
        [one] => Ok(Some(show::text(&one["transform_id"]))),
        _ => Err(Failure::Usage(format!("several transforms are called `{name}`: name the one by its id"))),
    }
}

fn language_of(file: &Path) -> Result<&'static str, Failure> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("sql") => Ok("sql"),
        Some("py") => Ok("python"),
        _ => Err(Failure::Usage(format!("`{}`: expected a file of `.sql` or `.py`", file.display()))),
    }
}

fn params(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        }
        None => Err(Failure::Usage(format!("`--param {text}`: expected NAME=VALUE"))),
    };
    given.iter().map(pair).collect()
}

fn broken(cause: &reqwest::Error) -> Failure {
    Failure::Connection(format!("the answer ends too early: {cause}"))
}
