//! SQL behaviour: every record of `tests/slt/`, run through the engine and through HTTP. Two doors, one answer.
//!
//! A record is a statement and what it has to answer, or how it has to fail, in the format of SQLite's logic tests; one file
//! a topic, a sentence above each case, what must fail beside what must work. Why not in Rust: a new version of DataFusion
//! changes answers in places nobody thought of, and then `./dev slt --complete` writes the new ones into the files, to be
//! read as a diff. Column types are part of the answer: `I` integer, `R` float, `N` exact decimal, `T` text, `B` boolean,
//! `D` date, `P` point in time, `?` anything else. Values are compared letter by letter.
//!
//! The tables are those of `sample/` (without the flights, which are many) and of `tests/data/slt/`. This folder must not
//! know what any statement means.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqllogictest::{AsyncDB, MakeConnection, Record, Runner, default_validator, strict_column_validator};

use crate::support::{Form, TestApp};
use doors::{EngineDoor, HttpDoor};
use text::Kind;

mod doors;
mod text;

/// What `./dev slt --complete` sets.
const COMPLETE: &str = "SLT_COMPLETE";

/// Tables of ours, and the types that are not to be found out.
const TABLES: &[(&str, &str)] = &[
    ("extremes", r#"{"money": "decimal(18,2)"}"#),
    ("ledger", r#"{"amount": "decimal(18,2)"}"#),
    ("shops", "{}"),
];

#[tokio::test]
async fn the_engine_answers_as_written() {
    let app = with_tables().await;
    if asked_to_complete() {
        complete(&EngineDoor(app)).await;
    } else {
        check(&EngineDoor(app)).await;
    }
}

#[tokio::test]
async fn http_answers_as_written() {
    check(&HttpDoor(with_tables().await)).await;
}

#[tokio::test]
async fn what_is_answered_is_traced() {
    let door = EngineDoor(with_tables().await);
    let mut failures = Vec::new();
    for file in files() {
        for record in sqllogictest::parse_file::<Kind>(&file).unwrap() {
            let Record::Query { sql, .. } = record else { continue };
            failures.extend(door.untraced(&sql).await.map(|wrong| format!("{sql}\n{wrong}")));
        }
    }
    assert!(failures.is_empty(), "{} statements are not traced:\n\n{}", failures.len(), failures.join("\n"));
}

/// Runs all files, and shows every record that fails, not only the first.
async fn check<D: AsyncDB<ColumnType = Kind> + Clone + Send + Sync>(door: &D) {
    let mut failures = Vec::new();
    for file in files() {
        let mut runner = runner(door);
        for record in sqllogictest::parse_file::<Kind>(&file).unwrap() {
            // Each would end or delay the run in silence.
            assert!(!matches!(record, Record::Halt { .. } | Record::Sleep { .. }), "{}", file.display());
            if let Err(failure) = runner.run_async(record).await {
                failures.push(failure.to_string());
            }
        }
    }
    assert!(failures.is_empty(), "{} records fail:\n\n{}", failures.len(), failures.join("\n"));
}

/// Writes the answers of `door` into the files.
async fn complete<D: AsyncDB<ColumnType = Kind> + Clone + Send + Sync>(door: &D) {
    for file in files() {
        let mut runner = runner(door);
        let update =
            runner.update_test_file(&file, " ", default_validator, verbatim, strict_column_validator);
        update.await.unwrap();
    }
}

/// A fresh runner: nothing that one file sets reaches the next.
fn runner<D: AsyncDB<ColumnType = Kind> + Clone + Send + Sync>(
    door: &D,
) -> Runner<D, impl MakeConnection<Conn = D, MakeFuture: Send> + Send> {
    let door = door.clone();
    let mut runner = Runner::new(move || std::future::ready(Ok(door.clone())));
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(verbatim);
    runner
}

#[expect(clippy::ptr_arg, reason = "the type of the crate's normalizers")]
fn verbatim(text: &String) -> String {
    text.clone()
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("tests/slt")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "expected the files of tests/slt, found {files:?}");
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "a test has no other arguments")]
fn asked_to_complete() -> bool {
    std::env::var_os(COMPLETE).is_some()
}

async fn with_tables() -> Arc<TestApp> {
    let app = TestApp::new();
    let operator = app.operator();
    for name in ["airlines", "airports", "planes", "weather"] {
        let file = format!("{name}.parquet");
        let bytes = fs::read(root().join("sample").join(&file)).unwrap();
        app.upload(&operator, &file, bytes).await.data(201);
    }
    for (name, types) in TABLES {
        let file = format!("{name}.csv");
        let bytes = fs::read(root().join("tests/data/slt").join(&file)).unwrap();
        let form = Form::new().text("types", types).file(&file, bytes);
        app.post("/api/datasets").by(&operator).form(form).send().await.data(201);
    }
    Arc::new(app)
}
