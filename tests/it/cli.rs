//! The command line against a data folder that no server runs on: arguments in, output and exit code out.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use insta::assert_snapshot;
use shirabe::cli::{self, Cli, Out};
use shirabe::embedded::Embedded;

use crate::support::{TestApp, serving};

/// What a command wrote.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs one command on `folder`, and returns its result, its remarks, and whether it ended with `code`.
async fn run(folder: &tempfile::TempDir, args: &[&str], code: u8) -> (String, String) {
    let data = folder.path().join("data");
    run_at(&["--data-dir", data.to_str().unwrap()], args, code).await
}

/// The same, where `place` says.
async fn run_at(place: &[&str], args: &[&str], code: u8) -> (String, String) {
    let cli = Cli::try_parse_from([&["shirabe"], place, args].concat()).unwrap();
    let (results, remarks) = (Paper::default(), Paper::default());
    let out = Out::to(Box::new(results.clone()), Box::new(remarks.clone()));
    let ended = cli::run(cli, &Embedded, out).await;
    assert_eq!(ended, ExitCode::from(code), "{args:?}: {}{}", results.text(), remarks.text());
    (results.text(), remarks.text())
}

/// A folder with the dataset `売上`.
async fn sales() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("売上.csv");
    std::fs::write(&file, "id,名前,amount\n1,太郎,10.5\n2,花子,7\n").unwrap();
    run(&folder, &["import", file.to_str().unwrap()], 0).await;
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_csv() {
    let folder = sales().await;
    let (rows, remarks) =
        run(&folder, &["query", r#"select "名前", amount from "売上" order by id"#], 0).await;
    assert_snapshot!(rows, @r#"
    名前,amount
    太郎,10.5
    花子,7.0
    "#);
    assert_eq!(remarks, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_result_is_what_it_says() {
    let folder = sales().await;
    let query = r#"select id, "名前" from "売上" order by id"#;
    let (table, _) = run(&folder, &["query", query, "--format", "table"], 0).await;
    assert_snapshot!(table, @r#"
    id  名前
     1  太郎
     2  花子
    "#);
    let (lines, _) = run(&folder, &["query", query, "--format", "ndjson"], 0).await;
    assert!(lines.lines().last().unwrap().starts_with(r#"{"done""#), "{lines}");
    let (json, _) = run(&folder, &["query", query, "--format", "json"], 0).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["data"]["complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_the_form_of_their_ending() {
    let folder = sales().await;
    for (ending, magic) in [("parquet", &b"PAR1"[..]), ("arrow", b"\xff\xff\xff\xff"), ("csv", b"id,")] {
        let file = folder.path().join(format!("result.{ending}"));
        let path = file.to_str().unwrap();
        run(&folder, &["query", r#"select * from "売上""#, "-o", path], 0).await;
        assert!(std::fs::read(&file).unwrap().starts_with(magic), "a query as {ending}");
        run(&folder, &["export", "売上", "-o", path], 0).await;
        assert!(std::fs::read(&file).unwrap().starts_with(magic), "an export as {ending}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_exit_codes_and_point_at_the_place() {
    let folder = sales().await;
    let (_, remarks) = run(&folder, &["query", "select id,\n  \"名前\", amuont from \"売上\""], 1).await;
    assert_snapshot!(remarks, @r#"
    error[UNKNOWN_NAME]: no column `amuont`; did you mean `amount`?
      |
    2 |   "名前", amuont from "売上"
      |           ^
    "#);
    run(&folder, &["datasets", "show", "nope"], 4).await;
    run(&folder, &["datasets", "rename", "売上", "売上"], 0).await;
    let file = folder.path().join("売上.csv");
    run(&folder, &["import", file.to_str().unwrap()], 5).await;
    run(&folder, &["import", "/nowhere/x.csv"], 1).await;
    run(&folder, &["query", "select 1", "-o", "x.txt"], 2).await;
    run(&folder, &["keys", "list"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_can_be_undone() {
    let folder = sales().await;
    let file = folder.path().join("売上.csv");
    std::fs::write(&file, "id,名前,amount\n3,次郎,1\n").unwrap();
    run(&folder, &["import", file.to_str().unwrap(), "--replace"], 0).await;
    let count = ["query", r#"select count(*) as n from "売上""#];
    assert_eq!(run(&folder, &count, 0).await.0, "n\r\n1\r\n");
    run(&folder, &["datasets", "restore", "売上", "1"], 0).await;
    assert_eq!(run(&folder, &count, 0).await.0, "n\r\n2\r\n");
    run(&folder, &["check"], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_options_and_can_be_tried() {
    let folder = sales().await;
    let file = folder.path().join("売上.csv");
    let (sjis, _, _) = encoding_rs::SHIFT_JIS.encode("id;名前;amount\n007;ソフト;1.5\n");
    std::fs::write(&file, sjis).unwrap();
    let path = file.to_str().unwrap();
    let given =
        ["import", path, "--replace", "--encoding", "shift_jis", "--delimiter", ";", "--type", "id=string"];
    let (tried, _) = run(&folder, &[&given[..], &["--dry-run"]].concat(), 0).await;
    assert!(tried.contains("a new version of `売上` would have 1 rows, and 0 set aside"), "{tried}");
    let (pending, remarks) = run(&folder, &given, 5).await;
    assert_snapshot!(pending, @r"
    CHANGE        COLUMN  WAS    IS
    type_changed  id      int64  string
    ");
    assert!(remarks.contains("`--force` goes on"), "{remarks}");
    run(&folder, &[&given[..], &["--force"]].concat(), 0).await;
    let query = ["query", r#"select id, "名前" from "売上""#];
    assert_eq!(run(&folder, &query, 0).await.0, "id,名前\r\n007,ソフト\r\n");
    // What was said is kept.
    run(&folder, &["import", path, "--replace"], 0).await;
    assert_eq!(run(&folder, &query, 0).await.0, "id,名前\r\n007,ソフト\r\n");
    let other = folder.path().join("other.csv");
    std::fs::write(&other, "a\n1\n").unwrap();
    let (first, _) = run(&folder, &["import", other.to_str().unwrap(), "--replace", "--dry-run"], 0).await;
    assert!(first.contains("no dataset `other` yet"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_import_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("a.csv"), folder.path().join("v1.2 b.csv"));
    std::fs::write(&good, "a,b\n1,2\n").unwrap();
    std::fs::write(&bad, "a,b\n1\n").unwrap();
    let (done, remarks) = run(&folder, &["import", good.to_str().unwrap(), bad.to_str().unwrap()], 1).await;
    assert!(done.starts_with("a: 1 rows, 2 columns, version 1 (ds_"), "{done}");
    let last: Vec<_> = remarks.lines().rev().take(2).collect();
    assert!(last[1].starts_with("v1.2 b: failed after "), "{remarks}");
    assert!(
        last[0].starts_with("error[VALIDATION_ERROR]: `") && last[0].contains("v1.2 b.csv`: CSV parse error"),
        "{remarks}"
    );
    assert!(!remarks.contains("v1.2 b: finished"), "{remarks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_is_can_be_read_at_a_glance() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.csv");
    let (sjis, _, _) =
        encoding_rs::SHIFT_JIS.encode("品名;数量;日付\n表計算ソフト;7;2024/1/5\n能;;2024/1/6\n");
    std::fs::write(&file, sjis).unwrap();
    let path = file.to_str().unwrap();
    let (shown, _) = run(&folder, &["inspect", path], 0).await;
    assert_snapshot!(shown.replace(path, "t.csv"), @r"
    file:      t.csv
    format:    csv
    encoding:  shift_jis
    delimiter: ;
    header:    the first row

     COLUMN  TYPE
     品名    string
     数量    int64
     日付    date

     品名          数量  日付
     表計算ソフト     7  2024/1/5
     能            NULL  2024/1/6
    ");
    let (json, _) = run(&folder, &["inspect", path, "--json"], 0).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["contract"]["encoding"], "shift_jis");

    let (_, remarks) = run(&folder, &["inspect", folder.path().to_str().unwrap()], 1).await;
    assert!(remarks.contains("is a folder: name a file"), "{remarks}");
    let (_, remarks) = run(&folder, &["import", "/nowhere/x.csv"], 1).await;
    assert_eq!(remarks, "error: `/nowhere/x.csv` cannot be read: there is no such file\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_its_end_is_shown_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let (_, remarks) = run(&folder, &["query", "select 1 +"], 1).await;
    assert_snapshot!(remarks, @r"
    error[INVALID_SQL]: expected: an expression, found: the end of the statement
      |
    1 | select 1 +
      |           ^
    ");
    run(&folder, &["query", " "], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_can_be_had_as_json() {
    let folder = sales().await;
    for command in [
        &["datasets", "list"][..],
        &["datasets", "show", "売上"],
        &["datasets", "versions", "売上"],
        &["datasets", "profile", "売上"],
        &["datasets", "compare", "売上", "1", "1"],
        &["datasets", "quarantine", "売上"],
        &["users", "list"],
    ] {
        let (text, _) = run(&folder, &[command, &["--json"]].concat(), 0).await;
        let read: Result<serde_json::Value, _> = serde_json::from_str(&text);
        assert!(read.is_ok(), "{command:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (list, _) = run(&folder, &["functions", "fiscal_"], 0).await;
    assert_snapshot!(list, @r"
    CALL                                 KIND
    fiscal_period(date[, start_month])   scalar
    fiscal_quarter(date[, start_month])  scalar
    fiscal_year(date[, start_month])     scalar
    ");
    let (one, _) = run(&folder, &["functions", "hiragana_to_katakana"], 0).await;
    for line in ["Call:  hiragana_to_katakana(text)", "  text: Any text.", "| ヒラガナト漢字 |"] {
        assert!(one.contains(line), "{one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_sql_is_kept_as_a_transform_and_run() {
    let (app, folder) = (TestApp::new(), tempfile::tempdir().unwrap());
    let ana = app.ana().await;
    app.dataset(&ana, "売上", "id,amount\n1,10.5\n2,7\n").await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    let server = format!("http://{address}");
    let at = ["--server", &server, "--api-key", &ana.token];
    let file = folder.path().join("totals.sql");
    let path = file.to_str().unwrap();
    let write = |sql: &str| std::fs::write(&file, sql).unwrap();

    write("select sum(amount) as total, nothing from \"売上\" where id >= $from");
    let (_, told) = run_at(&at, &["transforms", "save", path, "--param", "from=1"], 1).await;
    assert!(told.contains("totals.sql`: no column `nothing`") && told.contains("^"), "{told}");
    write("select sum(amount) as total from \"売上\" where id >= $from");
    let (made, _) = run_at(&at, &["transforms", "save", path, "--param", "from=1"], 0).await;
    assert!(made.starts_with("totals: made, tf_"), "{made}");
    let (ended, _) = run_at(&at, &["transforms", "run", "totals"], 0).await;
    assert!(ended.starts_with("totals: 1 rows, version 1, "), "{ended}");
    run_at(&at, &["transforms", "run", "totals", "--param", "from=2"], 0).await;
    let (rows, _) = run_at(&at, &["query", "select total from totals"], 0).await;
    assert_eq!(rows, "total\r\n7.0\r\n");

    // The same file again is the same transform.
    write("select max(amount) as total from \"売上\" where id >= $from");
    let args = ["transforms", "save", path, "--cron", "0 6 * * *", "--time-zone", "Asia/Tokyo"];
    let (changed, _) = run_at(&at, &args, 0).await;
    assert!(changed.starts_with("totals: changed, tf_"), "{changed}");
    let (listed, _) = run_at(&at, &["transforms"], 0).await;
    assert!(
        listed.contains("totals") && listed.contains("0 6 * * *") && listed.contains("T21:00:00"),
        "{listed}"
    );
    run_at(&at, &["transforms", "pause", "totals"], 0).await;
    let (shown, _) = run_at(&at, &["transforms", "show", "totals"], 0).await;
    assert!(shown.contains("select max(amount)") && !shown.contains("next run"), "{shown}");
    let (shown, _) = run_at(&at, &["transforms", "show", "totals", "--json"], 0).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["params"]["from"], &shown["schedule_enabled"]), (&1.into(), &false.into()));

    let (executions, _) = run_at(&at, &["transforms", "executions", "totals", "--json"], 0).await;
    let executions: Vec<serde_json::Value> = serde_json::from_str(&executions).unwrap();
    assert_eq!(executions.len(), 2, "{executions:?}");
    let (log, _) = run_at(&at, &["transforms", "log", "totals"], 0).await;
    assert_eq!(log, "[shirabe] reads `売上` version 1: 2 rows\n");

    run_at(&at, &["transforms", "run", "totals", "--param", "from"], 2).await;
    let (_, told) = run_at(&at, &["transforms", "run", "totals", "--param", "from=one"], 1).await;
    assert!(told.contains("one"), "{told}");
    run_at(&at, &["transforms", "run", "nothing"], 4).await;
    run_at(&at, &["transforms", "save", folder.path().to_str().unwrap()], 2).await;
    run_at(&at, &["transforms", "delete", "totals"], 0).await;
    run_at(&at, &["transforms", "run", "totals"], 4).await;
    // On the data folder nobody has signed in.
    run(&folder, &["transforms", "save", path], 2).await;
}
