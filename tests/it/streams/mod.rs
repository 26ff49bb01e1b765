//! How an answer ends, as readers that others use see it: over a real connection, read by pyarrow, pandas, DuckDB and
//! curl.
//!
//! `./dev test` installs the readers and names their interpreter in `SHIRABE_READERS`. Without it the tests here say that
//! they tried nothing, but for CI, where they fail.

mod clients;
mod wire;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Person, TestApp, serving};

/// Each reader, the format that it reads, and whether it sees by itself that a limit cut rows off of an answer that is
/// too long to be known before its first byte.
const READERS: &[(&str, &str, bool)] = &[
    ("pyarrow arrow", "arrow", true),
    ("pyarrow parquet", "parquet", true),
    ("pandas csv", "csv", false),
    ("pandas json", "json", true),
    ("pandas ndjson", "ndjson", true),
    ("pandas xlsx", "xlsx", true),
    ("duckdb csv", "csv", false),
    ("duckdb parquet", "parquet", false),
    ("curl arrow", "arrow", false),
    ("curl csv", "csv", false),
    ("curl xlsx", "xlsx", false),
];

/// More than is known before the first byte: some 3 MB, whose texts do not repeat.
const LONG: &str = "select value, md5(cast(value as varchar)) as text from range(0, 60000)";
/// The same, which meets a division by zero far behind its first rows.
const FAILING: &str =
    "select value / (value - 50000) as value, md5(cast(value as varchar)) as text from range(0, 60000)";
/// As many as are known to be made before it stalls; some of the last may wait for others.
const ROWS: u64 = 32_768;
/// Some 2 MB of the same, and then nothing for a long time.
const STALLING: &str = "select value, md5(cast(value as varchar)) as text from range(0, 42000) union all \
    select count(*), 'x' from range(0, 1000000) a, range(0, 1000000) b where (a.value * b.value) % 7 = 3";

/// The process in which the readers are.
#[derive(Clone)]
struct Readers(Arc<Mutex<Process>>);

struct Process {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Readers {
    /// Starts it; `None` where nobody has installed the readers.
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests are told by the environment where the readers are, which are programs of their own"
    )]
    fn start() -> Option<Self> {
        let found = std::env::var("SHIRABE_READERS").ok();
        assert!(
            found.is_some() || std::env::var_os("CI").is_none(),
            "`SHIRABE_READERS` is not set: see `./dev test`"
        );
        let mut command = Command::new(found?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/streams/read.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self(Arc::new(Mutex::new(Process { child, answers }))))
    }

    /// What a reader says of the answer to a query.
    async fn read(&self, reader: &str, address: SocketAddr, by: &Person, query: &str) -> Value {
        let format = READERS.iter().find(|(name, ..)| *name == reader).unwrap().1;
        let url = format!("http://{address}/api/query?format={format}&{query}");
        let (process, ask) = (Arc::clone(&self.0), format!("{reader}\t{url}\t{}\n", by.token));
        let said = shirabe::tasks::blocking(move || {
            let mut process = process.lock().unwrap();
            process.child.stdin.as_mut().unwrap().write_all(ask.as_bytes()).unwrap();
            let mut said = String::new();
            process.answers.read_line(&mut said).unwrap();
            Ok::<_, shirabe::error::Error>(said)
        });
        let said = said.await.unwrap();
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{reader} said: {said}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which the wait tells.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn query(sql: &str, more: &str) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    format!("{}{more}", pairs.append_pair("sql", sql).finish())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_knows_a_whole_answer_from_one_that_failed() {
    let Some(readers) = Readers::start() else { return };
    let app = TestApp::new();
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    for (reader, _, sees_truncation) in READERS {
        let ask = async |sql: &str, more: &str| readers.read(reader, address, &ana, &query(sql, more)).await;

        let whole = ask(LONG, "").await;
        assert_eq!(whole["error"], Value::Null, "{reader}: {whole}");
        let counts = !reader.starts_with("curl");
        assert!(!counts || whole["rows"] == 60_000, "{reader}: {whole}");

        let cut = ask(LONG, "&limit=50000").await;
        assert_eq!(cut["error"], Value::Null, "{reader}: {cut}");
        assert!(!counts || cut["rows"] == 50_000, "{reader}: {cut}");
        if *sees_truncation {
            assert_eq!(
                (&whole["truncated"], &cut["truncated"]),
                (&"false".into(), &"true".into()),
                "{reader}"
            );
        }

        for (cause, sql, more, code) in [
            ("failed", FAILING, "", "BAD_DATA"),
            ("ran out of time", STALLING, "&timeout_ms=3000", "QUERY_TIMEOUT"),
        ] {
            // Each format once: it takes as long as its deadline.
            if sql == STALLING && !first_of_its_format(reader) {
                continue;
            }
            broke_off(reader, cause, code, &ask(sql, more).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_tells_a_cancelled_answer_and_one_that_grew_too_large() {
    let Some(readers) = Readers::start() else { return };
    let app = TestApp::with(&[("QUERY_RESULT_MB", "2")]);
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    for (reader, ..) in READERS.iter().filter(|(reader, ..)| first_of_its_format(reader)) {
        let large = readers.read(reader, address, &ana, &query(LONG, "")).await;
        broke_off(reader, "grew too large", "OVER_LIMIT", &large);

        let stalling = query(STALLING, "");
        let asking = readers.read(reader, address, &ana, &stalling);
        let (cancelled, ()) = tokio::join!(asking, cancel_behind_first_rows(&app, &ana));
        broke_off(reader, "was cancelled", "CANCELLED", &cancelled);
    }
}

/// Waits until the one query that runs has made its rows and stalls, and cancels it.
async fn cancel_behind_first_rows(app: &TestApp, by: &Person) {
    let found = async {
        loop {
            let (live, _) = app.get("/api/queries?state=live").by(by).send().await.list();
            if let Some(stalling) = live.iter().find(|query| query["rows"].as_u64() >= Some(ROWS)) {
                return stalling["query_id"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let id = tokio::time::timeout(Duration::from_secs(120), found).await.expect("it makes its first rows");
    app.delete(&format!("/api/queries/{id}")).by(by).send().await.no_content();
}

/// One reader for each format, for what takes long.
fn first_of_its_format(reader: &str) -> bool {
    reader.starts_with("pyarrow") || reader.starts_with("pandas")
}

/// Checks that the reader took the answer for one that broke off, and was told why where its format can say it.
fn broke_off(reader: &str, cause: &str, code: &str, said: &Value) {
    let error = said["error"].as_str().unwrap_or_else(|| panic!("{reader} took what {cause} for whole"));
    let told = match reader {
        "pandas json" | "pandas ndjson" => code,
        "duckdb parquet" => "InvalidInputException",
        // Nothing of it has left before its first group of rows is whole, so there is a status to tell.
        "pyarrow parquet" | "pandas parquet" | "pandas xlsx" if error.contains("HTTP Error") => match code {
            "QUERY_TIMEOUT" => "HTTP Error 504",
            "CANCELLED" => "HTTP Error 499",
            _ => "HTTP Error 422",
        },
        name if name.starts_with("curl") || name.starts_with("duckdb") => "curl exited with 18",
        _ => "IncompleteRead",
    };
    assert!(error.contains(told), "{reader}, which {cause}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_says_in_its_head_how_it_ended() {
    let Some(readers) = Readers::start() else { return };
    let app = TestApp::new();
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    for (more, truncated) in [("", "false"), ("&limit=2", "true")] {
        let sql = query("select * from range(0, 3)", more);
        let said = readers.read("pandas csv", address, &ana, &sql).await;
        assert_eq!((&said["error"], &said["truncated"]), (&Value::Null, &truncated.into()), "{said}");
    }
    let sql = query("select 1 / (value - 2) from range(0, 3)", "");
    let said = readers.read("pandas csv", address, &ana, &sql).await;
    assert_eq!(said["error"], "HTTPError: HTTP Error 422: Unprocessable Entity");
}
