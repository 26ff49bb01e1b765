//! Files that cannot be imported: each is refused in the envelope, leaves nothing behind, and does not stop the next one.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::support::{Form, Person, Reply, TestApp};

/// A service in which bad files are tried, and somebody who tries them.
struct Trial {
    app: TestApp,
    ana: Person,
}

impl Trial {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::with(settings);
        let ana = app.ana().await;
        Self { app, ana }
    }

    async fn send(&self, form: Form) -> Reply {
        self.app.post("/api/datasets").by(&self.ana).form(form).send().await
    }

    async fn upload(&self, file: &str, bytes: impl Into<Vec<u8>>) -> Reply {
        self.send(Form::new().file(file, bytes)).await
    }

    /// Nothing is left, and the next good file is imported.
    async fn survived(self) {
        let Self { app, ana } = self;
        assert_eq!(app.spooled(), [""; 0].map(std::path::PathBuf::from));
        let before = app.get("/api/datasets").by(&ana).send().await.list().1["total"].clone();
        app.dataset(&ana, "good", "a\n1\n").await;
        assert_eq!(app.rows(&ana, "select a from good").await, json!([[1]]));
        let after = app.get("/api/datasets").by(&ana).send().await.list().1["total"].clone();
        assert_eq!(after.as_u64(), before.as_u64().map(|n| n + 1));
        assert_eq!(app.findings().await, json!([]));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn wrong_encodings_are_named_with_their_place() {
    let trial = Trial::new().await;
    let klingon = Form::new().text("encoding", "klingon").file("t.csv", "a\n1\n");
    assert!(trial.send(klingon).await.refused(400, "VALIDATION_ERROR").contains("encoding"));

    // 0xFF is a byte that UTF-8 does not have; it stands behind `a,b\n1,2\n3,`.
    let bad = Form::new().text("encoding", "utf-8").file("t.csv", b"a,b\n1,2\n3,\xFF\n".to_vec());
    let reply = trial.send(bad).await;
    let message = reply.refused(400, "VALIDATION_ERROR");
    assert!(message.starts_with("Encoding error"), "{message}");
    assert!(message.contains("byte 10") && message.contains("line 3"), "{message}");
    assert_eq!((&reply.details()["offset"], &reply.details()["line"]), (&json!(10), &json!(3)));

    let bad = Form::new().text("encoding", "shift_jis").file("t.csv", b"a\n\x83\x5C\n\x81\x01\n".to_vec());
    let reply = trial.send(bad).await;
    assert!(reply.refused(400, "VALIDATION_ERROR").starts_with("Encoding error"), "{}", reply.text());
    assert_eq!(reply.details()["line"], 3);
    trial.survived().await;
}

#[tokio::test]
async fn broken_csv_is_named_with_its_line() {
    let trial = Trial::new().await;
    for (csv, line) in
        [("a,b\n1,2\n3\n", 3), ("a,b\n1,2,3\n", 2), ("a,b\n\"1\"x,2\n", 2), ("a,b\n1,2\n\"3,4\n5,6\n", 3)]
    {
        let reply = trial.upload("t.csv", csv).await;
        let message = reply.refused(400, "VALIDATION_ERROR");
        assert!(message.starts_with("CSV parse error"), "{message}");
        assert!(message.contains(&format!("line {line}")), "{csv:?}: {message}");
        assert_eq!(reply.details()["line"], line, "{csv:?}");
        assert_eq!(reply.details()["bad_rows"][0]["line"], line, "{csv:?}");
    }
    trial.survived().await;
}

#[tokio::test]
async fn a_file_without_rows_is_no_table_and_one_without_lines_is_refused() {
    let trial = Trial::new().await;
    for bytes in ["", "\u{feff}"] {
        let message = trial.upload("t.csv", bytes).await.refused(400, "VALIDATION_ERROR");
        assert!(message.contains("empty"), "{message}");
    }
    trial.upload("t.csv.gz", gzip(b"")).await.refused(400, "VALIDATION_ERROR");
    let header = trial.upload("header.csv", "day,amount\n").await.data(201);
    assert_eq!((&header["row_count"], &header["column_count"]), (&json!(0), &json!(2)));
    assert_eq!(
        trial.app.rows(&trial.ana, "select count(*), max(amount) from header").await,
        json!([[0, null]])
    );
    trial.survived().await;
}

#[tokio::test]
async fn odd_column_names_are_made_good_and_told() {
    let trial = Trial::new().await;
    let made = trial.upload("t.csv", "id,ID,,name,\n1,2,3,x,5\n").await.data(201);
    let names: Vec<_> =
        made["schema"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "ID_2", "column_3", "name", "column_5"]);
    let warnings = made["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].as_str().unwrap().contains("`ID_2`"), "{warnings:?}");
    assert_eq!(trial.app.rows(&trial.ana, "select \"ID_2\", column_5 from t").await, json!([[2, 5]]));
    trial.survived().await;
}

#[tokio::test]
async fn ten_thousand_columns_are_a_table_and_one_more_is_not() {
    let trial = Trial::new().await;
    let csv = |n: usize| {
        let line = |cell: fn(usize) -> String| (0..n).map(cell).collect::<Vec<_>>().join(",");
        format!("{}\n{}\n", line(|n| format!("c{n}")), line(|n| n.to_string()))
    };
    let more = trial.upload("more.csv", csv(10_001)).await.refused(422, "OVER_LIMIT");
    assert!(more.contains("10000") && more.contains("10001"), "{more}");
    assert_eq!(trial.upload("wide.csv", csv(10_000)).await.data(201)["column_count"], 10_000);
    assert_eq!(trial.app.rows(&trial.ana, "select c0, c9999 from wide").await, json!([[0, 9999]]));
    trial.survived().await;
}

#[tokio::test]
async fn one_field_of_100_mb_is_refused() {
    const PIECE: usize = 1 << 20;
    let trial = Trial::with(&[("IMPORT_UPLOAD_MB", "200")]).await;
    let head = Form::file_head("t.csv") + "a,b\n1,\"";
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = [Bytes::from(head)]
        .into_iter()
        .chain(std::iter::repeat_n(piece, 100))
        .chain([Bytes::from("\"\n".to_owned() + &Form::end())]);
    let body = Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let call = trial.app.post("/api/datasets").by(&trial.ana).typed(&Form::content_type(), body);
    let message = call.send().await.refused(422, "OVER_LIMIT");
    assert!(message.contains("is over the limit: line 2"), "{message}");
    trial.survived().await;
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let trial = Trial::new().await;
    // 160 MiB from a few hundred kB: one small member over and over, as gzip allows.
    let line = format!("{}\n", "a".repeat((64 << 10) - 1));
    let member = gzip(line.repeat(16).as_bytes());
    let bomb: Vec<u8> = [gzip(b"name\n"), member.repeat(160)].concat();
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    let message = trial.upload("t.csv.gz", bomb).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert!(message.contains("the compression ratio"), "{message}");
    trial.upload("t.csv.gz", gzip(b"a\n1\n")[..12].to_vec()).await.fault();
    trial.upload("t.csv.gz", b"a\n1\n".to_vec()).await.data(201);
    trial.survived().await;
}

fn parquet() -> Vec<u8> {
    let ids = Arc::new(Int64Array::from_iter_values(0..1000));
    let names = Arc::new(StringArray::from_iter_values((0..1000).map(|n| format!("name {n}"))));
    let batch = RecordBatch::try_from_iter([("id", ids as _), ("name", names as _)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn parquet_that_is_cut_or_lies_is_refused() {
    let trial = Trial::new().await;
    let whole = parquet();
    let mut hostile: Vec<(String, Vec<u8>)> = [5, 12, whole.len() / 2, whole.len() - 4, whole.len() - 1]
        .map(|length| (format!("cut to {length}"), whole[..length].to_vec()))
        .into();
    hostile.push(("a footer of 4 GB".to_owned(), b"PAR1\xFF\xFF\xFF\xFFPAR1".to_vec()));
    hostile.push(("a footer of nothing".to_owned(), b"PAR1\0\0\0\0PAR1".to_vec()));
    hostile.push(("twice the magic".to_owned(), b"PAR1PAR1".to_vec()));
    let mut no_footer = whole.clone();
    let end = no_footer.len() - 8;
    no_footer[end - 100..end].fill(0xFF);
    hostile.push(("a footer of noise".to_owned(), no_footer));
    let mut no_pages = whole.clone();
    no_pages[4..2000].fill(0xFF);
    hostile.push(("pages of noise".to_owned(), no_pages));
    for (name, bytes) in hostile {
        let reply = trial.upload("t.parquet", bytes).await;
        assert!(matches!(reply.status, 400 | 422), "{name}: {} {}", reply.status, reply.text());
        reply.fault();
    }
    assert_eq!(trial.upload("whole.parquet", whole).await.data(201)["row_count"], 1000);
    trial.survived().await;
}

#[tokio::test]
async fn a_file_above_the_limit_is_too_large() {
    let trial = Trial::with(&[("IMPORT_UPLOAD_MB", "1")]).await;
    let form = || Form::new().file("big.csv", "a\n".repeat(600_000));
    let message = trial.send(form()).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert!(message.starts_with("File too large") && message.contains("1048576"), "{message}");
    let id = trial.app.dataset(&trial.ana, "t", "a\n1\n").await;
    for path in ["/api/datasets/inspect", &format!("/api/datasets/{id}/reimport")] {
        trial.app.post(path).by(&trial.ana).form(form()).send().await.refused(413, "PAYLOAD_TOO_LARGE");
    }
    let text = Form::new().text("description", &"x".repeat(300 << 10)).file("t.csv", "a\n1\n");
    trial.send(text).await.refused(413, "PAYLOAD_TOO_LARGE");
    let json = json!({ "sql": "x".repeat(2 << 20) });
    let long = trial.app.post("/api/query").by(&trial.ana).json(&json).send().await;
    long.refused(413, "PAYLOAD_TOO_LARGE");
    trial.survived().await;
}

#[tokio::test]
async fn broken_forms_are_refused() {
    let trial = Trial::new().await;
    let (app, ana) = (&trial.app, &trial.ana);
    let cut = Form::file_head("t.csv") + "a\n1\n";
    for path in ["/api/datasets", "/api/datasets/inspect"] {
        let post = |content_type: &str, body: String| app.post(path).by(ana).typed(content_type, body).send();
        post(&Form::content_type(), cut.clone()).await.refused(400, "VALIDATION_ERROR");
        post(&Form::content_type(), String::new()).await.refused(400, "VALIDATION_ERROR");
        post(&Form::content_type(), "no form at all".to_owned()).await.refused(400, "VALIDATION_ERROR");
        post("multipart/form-data", cut.clone()).await.refused(400, "VALIDATION_ERROR");
        post("multipart/form-data; boundary=other", cut.clone()).await.refused(400, "VALIDATION_ERROR");
        post("text/csv", "a\n1\n".to_owned()).await.fault();
        let none = app.post(path).by(ana).form(Form::new().text("name", "t")).send().await;
        assert!(none.refused(400, "VALIDATION_ERROR").contains("`file`"));
        let two = Form::new().file("a.csv", "a\n1\n").file("b.csv", "a\n1\n");
        app.post(path).by(ana).form(two).send().await.refused(400, "VALIDATION_ERROR");
    }
    app.post("/api/datasets").by(ana).send().await.refused(400, "VALIDATION_ERROR");
    for (field, value) in [
        ("has_header", "perhaps"),
        ("delimiter", ",;"),
        ("skip_rows", "-1"),
        ("max_bad_rows", "many"),
        ("types", "{\"a\": \"text\"}"),
        ("types", "{\"a\":"),
        ("types", "{\"nowhere\": \"int64\"}"),
        ("partition_column", "nowhere"),
        ("sort_column", "nowhere"),
        ("date_columns", "nowhere"),
        ("options", "[]"),
        ("delimeter", ","),
        ("name", "\u{0}"),
        ("name", "/"),
    ] {
        let form = Form::new().text(field, value).file("t.csv", "a\n1\n");
        let reply = trial.send(form).await;
        // A name may be nearly anything; what matters is that it names no file.
        if (field, value) == ("name", "/") {
            assert!(matches!(reply.status, 201 | 400), "{}", reply.text());
            continue;
        }
        assert_eq!(reply.fault(), "VALIDATION_ERROR", "{field}={value}: {}", reply.text());
    }
    trial.survived().await;
}

#[tokio::test]
async fn broken_json_is_refused_with_its_place() {
    let trial = Trial::new().await;
    let (app, ana) = (&trial.app, &trial.ana);
    let post = |body: Vec<u8>| app.post("/api/query").by(ana).typed("application/json", body).send();
    let cut = post(b"{\"sql\":\n \"select 1\"".to_vec()).await;
    cut.refused(400, "VALIDATION_ERROR");
    assert_eq!(cut.details()["line"], 2, "{}", cut.text());
    let wrong = post(b"{\"sql\": 1}".to_vec()).await;
    assert!(wrong.refused(400, "VALIDATION_ERROR").contains("`sql`"));
    for body in [
        &b""[..],
        b"[]",
        b"null",
        b"{}",
        b"{\"sql\": \"select 1\"} trailing",
        b"{\"sql\": \"\xFF\"}",
        b"{\"sql\": \"select 1\", \"limit\": -1}",
        b"{\"sql\": \"select 1\", \"as_of\": {}}",
        "[".repeat(100_000).as_bytes(),
    ] {
        assert_eq!(
            post(body.to_vec()).await.fault(),
            "VALIDATION_ERROR",
            "{:.40}",
            String::from_utf8_lossy(body)
        );
    }
    trial.survived().await;
}

#[tokio::test]
async fn ids_that_are_paths_name_nothing() {
    let trial = Trial::new().await;
    let (app, ana) = (&trial.app, &trial.ana);
    let own = app.dataset(ana, "t", "a\n1\n").await;
    let long = format!("ds_{}", "a".repeat(8000));
    for id in [
        "..%2Fsecret.key",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "%2e%2e%2fshirabe.db",
        "%252e%252e%252fshirabe.db",
        "..%5c..%5cshirabe.db",
        "ds_0123456789ab%00",
        "%00",
        "%23123",
        "ds_0123456789ab%23123",
        "%c0%ae%c0%ae%c0%af",
        "%ff%fe",
        "ds_",
        "ds_0123456789AB%20",
        "user_0123456789abcdef0123456789abcdef",
        "%EF%BD%84%EF%BD%93_0123456789ab",
        &long,
    ] {
        for path in [
            format!("/api/datasets/{id}"),
            format!("/api/datasets/{id}/preview"),
            format!("/api/datasets/{id}/export"),
            format!("/api/datasets/{id}/versions/1"),
            format!("/api/datasets/{own}/columns/{id}/values"),
            format!("/api/datasets/{own}/versions/{id}"),
            format!("/api/imports/{id}"),
            format!("/api/docs/{id}"),
        ] {
            let reply = app.get(&path).by(ana).send().await;
            assert_eq!(reply.fault(), "NOT_FOUND", "{path:.100}: {}", reply.text());
        }
        let reply = app.delete(&format!("/api/datasets/{id}")).by(ana).send().await;
        assert_eq!(reply.fault(), "NOT_FOUND", "{id:.100}");
        let named = Form::new().file(&id.replace("%2F", "/"), "a\n1\n").text("name", &format!("n {id:.50}"));
        let made = app.post("/api/datasets").by(ana).form(named).send().await;
        assert!(matches!(made.status, 201 | 400), "{}", made.text());
    }
    let outside: Vec<_> = std::fs::read_dir(app.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let known = [
        "audit-retry.ndjson",
        "cache",
        "objects",
        "run",
        "secret.key",
        "shirabe.db",
        "shirabe.lock",
        "spill",
        "tmp",
    ];
    let known = |name: &str| known.contains(&name) || name.starts_with("shirabe.db-");
    assert!(outside.iter().all(|name| known(name.to_str().unwrap())), "{outside:?}");
    let list: Value = app.get("/api/datasets").by(ana).send().await.json();
    assert_eq!(list["data"].as_array().unwrap().last().unwrap()["dataset_id"], own.as_str());
    trial.survived().await;
}

#[tokio::test]
async fn a_file_is_called_as_its_sender_calls_it() {
    let trial = Trial::new().await;
    let message = trial.upload("帳票.xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec()).await;
    let message = message.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("`帳票.xls`"), "{message}");
    // Its ending counts, too: without it, a bracket would begin a CSV file.
    let message = trial.upload("t.jsonl", "[1]\n").await.fault();
    assert_eq!(message, "VALIDATION_ERROR");
    trial.survived().await;
}
