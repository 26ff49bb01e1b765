//! The line of a request: one for each, and for a query with what it came to.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;

use crate::support::{Person, TestApp};

/// Collects the lines of this thread while it lives.
struct Lines {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn collect() -> Self {
        let written = Written::default();
        let to = written.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || to.clone()).finish();
        Self { written, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines since the last call, without what the machine decides.
    fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.written.0.lock().unwrap());
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let each = lines.map(|line| serde_json::from_slice(line).unwrap());
        each.filter(|line: &Value| line["message"] == "request" || line["message"] == "request failed")
            .collect()
    }
}

async fn ask(app: &TestApp, by: &Person, format: &str, body: Value) -> String {
    let reply = app.post(&format!("/api/query?format={format}")).by(by).json(&body).send().await;
    let id = reply.headers.get("x-query-id");
    id.map_or_else(String::new, |id| id.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_query_has_one_line_with_its_id_and_its_rows() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "t", "a,b\n1,secret-value\n2,x\n3,y\n").await;
    let lines = Lines::collect();
    let id = ask(&app, &ana, "json", json!({ "sql": "select * from t where b <> 'secret-value'" })).await;
    let taken = lines.take();
    let [line] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((&line["level"], &line["route"]), (&json!("INFO"), &json!("/api/query")));
    assert_eq!((&line["query.id"], &line["user_id"]), (&json!(id), &json!(ana.id)));
    assert_eq!(
        (&line["rows"], &line["outcome"], &line["status"]),
        (&json!(2), &json!("complete"), &json!(200))
    );
    assert!(line["ms"].is_f64() && line.get("code").is_none(), "{line}");
    assert!(!line.to_string().contains("secret-value"), "no statement, no row: {line}");
}

#[tokio::test]
async fn the_line_of_a_failed_query_has_the_code_of_the_contract() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let lines = Lines::collect();
    ask(&app, &ana, "json", json!({ "sql": "select * from nowhere" })).await;
    let taken = lines.take();
    let [line] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((&line["code"], &line["status"]), (&json!("UNKNOWN_NAME"), &json!(400)));
    assert!(line["query.id"].as_str().unwrap().starts_with("q_"), "{line}");

    let sql = "select count(*) from range(1, 100000) a, range(1, 100000) b where a.value % 7 = b.value % 11";
    ask(&app, &ana, "json", json!({ "sql": sql, "timeout_ms": 50 })).await;
    let taken = lines.take();
    let [cause, line] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((&cause["level"], &cause["code"]), (&json!("ERROR"), &json!("QUERY_TIMEOUT")));
    assert_eq!((&line["code"], &line["status"]), (&json!("QUERY_TIMEOUT"), &json!(504)));
    for name in ["query.id", "request_id"] {
        assert_eq!(cause[name], line[name], "{name}");
    }
}

/// The head said 200 and the body is complete, yet the query failed.
#[tokio::test]
async fn a_failure_on_the_way_is_no_complete_answer() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let lines = Lines::collect();
    // Many batches of good rows before the one that fails.
    let sql = "select 1 / (value - 900000) from range(1, 1000000)";
    for format in ["json", "ndjson"] {
        ask(&app, &ana, format, json!({ "sql": sql })).await;
        let taken = lines.take();
        let [line] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!((&line["outcome"], &line["status"]), (&json!("failed"), &json!(200)), "{line}");
        assert_eq!(line["code"], "BAD_DATA", "{line}");
        assert!(line["rows"].as_u64().unwrap() > 0, "{line}");
    }
}
