//! A whole dataset as a file, read back by the libraries that others would use.

use std::io::Cursor;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::support::{Form, Person, Reply, TestApp};

const ROWS: i64 = 20_000;

/// More rows than one batch holds, in an order that shows.
fn csv() -> String {
    let rows: String = (0..ROWS).map(|n| format!("{n},{},2024-01-{:02}\n", n * 3, n % 28 + 1)).collect();
    format!("id,value,day\n{rows}")
}

async fn table() -> (TestApp, Person, String) {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "売上 1", &csv()).await;
    (app, ana, id)
}

async fn export(app: &TestApp, by: &Person, id: &str, query: &str) -> Reply {
    let reply = app.get(&format!("/api/datasets/{id}/export{query}")).by(by).send().await;
    assert_eq!(reply.status, 200, "{query}");
    reply
}

fn check(batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>) {
    let batches: Vec<_> = batches.map(Result::unwrap).collect();
    assert_eq!(batches[0].schema().field(2).data_type(), &DataType::Date32);
    let mut ids: Vec<i64> = Vec::new();
    for batch in &batches {
        ids.extend(batch.column(0).as_primitive::<Int64Type>().values());
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..ROWS), "{} rows", ids.len());
}

#[tokio::test]
async fn arrow_and_parquet_are_read_back_whole() {
    let (app, ana, id) = table().await;
    let arrow = export(&app, &ana, &id, "?format=arrow").await;
    assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
    assert_eq!(
        arrow.header("content-disposition"),
        "attachment; filename*=UTF-8''%E5%A3%B2%E4%B8%8A%201.arrow"
    );
    check(StreamReader::try_new(Cursor::new(arrow.bytes), None).unwrap());
    let parquet = export(&app, &ana, &id, "?format=parquet").await;
    assert_eq!(parquet.header("content-type"), "application/vnd.apache.parquet");
    check(ParquetRecordBatchReaderBuilder::try_new(parquet.bytes).unwrap().build().unwrap());
}

#[tokio::test]
async fn text_formats_are_read_back_whole() {
    let (app, ana, id) = table().await;
    let text = export(&app, &ana, &id, "").await;
    assert!(text.header("content-type").starts_with("text/csv"));
    let mut lines: Vec<_> = text.text().lines().collect();
    assert_eq!(lines.remove(0), "id,value,day");
    lines.sort_by_key(|line| line.split(',').next().unwrap().parse::<i64>().unwrap());
    let expected = csv();
    assert!(lines.iter().copied().eq(expected.lines().skip(1)));

    let ndjson = export(&app, &ana, &id, "?format=ndjson").await;
    let last: Value = serde_json::from_str(ndjson.text().lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({ "done": { "rows": ROWS, "truncated": false } }));
    assert_eq!(ndjson.text().lines().count() as i64, ROWS + 1);
    let whole = export(&app, &ana, &id, "?format=json").await.json()["data"].clone();
    assert_eq!((&whole["row_count"], &whole["complete"]), (&json!(ROWS), &json!(true)));
    assert_eq!(whole["rows"].as_array().unwrap().len() as i64, ROWS);
}

#[tokio::test]
async fn what_was_exported_can_be_imported() {
    let (app, ana, id) = table().await;
    for format in ["csv", "arrow", "parquet"] {
        let file = export(&app, &ana, &id, &format!("?format={format}")).await;
        let name = format!("back_{format}");
        let form = Form::new().text("name", &name).file(&format!("t.{format}"), file.bytes.to_vec());
        app.post("/api/datasets").by(&ana).form(form).send().await.data(201);
        let sql = format!("select count(*), sum(id), sum(value), max(day) from {name}");
        let sum = ROWS * (ROWS - 1) / 2;
        assert_eq!(app.rows(&ana, &sql).await, json!([[ROWS, sum, sum * 3, "2024-01-28"]]), "{format}");
    }
}

#[tokio::test]
async fn text_that_a_spreadsheet_would_run_is_guarded() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "t", "name,n\n=1+1,-5\n@x,-6\nplain,7\n").await;
    let guarded = export(&app, &ana, &id, "").await;
    assert_eq!(guarded.text(), "name,n\r\n'=1+1,-5\r\n'@x,-6\r\nplain,7\r\n");
    let bare = export(&app, &ana, &id, "?formula_guard=false").await;
    assert_eq!(bare.text(), "name,n\r\n=1+1,-5\r\n@x,-6\r\nplain,7\r\n");
    app.get(&format!("/api/datasets/{id}/export?format=ods"))
        .by(&ana)
        .send()
        .await
        .refused(400, "VALIDATION_ERROR");
}
