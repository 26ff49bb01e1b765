//! `POST /api/query`: every format, exact numbers, names, and errors that say where.

use std::io::Cursor;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::{Form, Person, TestApp};

const CITIES: &str = "id,city,people\n1,東京,14000000\n2,\"Nara, Japan\",\n3,=1+1,5\n";

/// A service with one dataset, `cities`.
async fn cities() -> (TestApp, Person, String) {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "cities", CITIES).await;
    (app, ana, id)
}

#[tokio::test]
async fn json_says_what_the_columns_are_and_whether_it_is_all() {
    let (app, ana, _) = cities().await;
    let reply = app.query(&ana, "select id, city, people from cities order by id").await;
    assert_eq!(
        reply.redacted(),
        json!({
            "data": {
                "query_id": "[q]",
                "columns": [
                    { "name": "id", "type": "int64", "json": "integer_or_string" },
                    { "name": "city", "type": "string", "json": "string" },
                    { "name": "people", "type": "int64", "json": "integer_or_string" },
                ],
                "rows": [[1, "東京", 14_000_000], [2, "Nara, Japan", null], [3, "=1+1", 5]],
                "row_count": 3, "truncated": false, "complete": true,
            },
            "meta": { "request_id": "[req]" },
        })
    );
    assert_eq!(reply.header("x-query-id"), reply.data(200)["query_id"]);
    assert_eq!(reply.header("content-type"), "application/json");

    let few = json!({ "sql": "select id from cities order by id", "limit": 2 });
    let few = app.post("/api/query").by(&ana).json(&few).send().await.data(200);
    assert_eq!((&few["rows"], &few["truncated"]), (&json!([[1], [2]]), &json!(true)));
    let none = app.query(&ana, "select id from cities where id > 9").await.data(200);
    assert_eq!((&none["rows"], &none["row_count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn each_format_is_had_by_accept_and_by_parameter() {
    let (app, ana, _) = cities().await;
    let body = json!({ "sql": "select id, city, people from cities order by id" });
    for (name, media) in [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("parquet", "application/vnd.apache.parquet"),
    ] {
        let accepted = app.post("/api/query").by(&ana).header("accept", media).json(&body).send().await;
        // The parameter goes before the header.
        let path = format!("/api/query?format={name}");
        let named = app.post(&path).by(&ana).header("accept", "text/html").json(&body).send().await;
        for reply in [accepted, named] {
            assert_eq!(reply.status, 200, "{name}: {}", String::from_utf8_lossy(&reply.bytes));
            assert!(reply.header("content-type").starts_with(media), "{name}");
            assert!(reply.header("x-query-id").starts_with("q_"), "{name}");
            match name {
                "csv" => assert_eq!(
                    reply.text(),
                    "id,city,people\r\n1,東京,14000000\r\n2,\"Nara, Japan\",\r\n3,'=1+1,5\r\n"
                ),
                "ndjson" => assert_eq!(
                    lines(reply.text()),
                    [
                        json!({ "id": 1, "city": "東京", "people": 14_000_000 }),
                        json!({ "id": 2, "city": "Nara, Japan", "people": null }),
                        json!({ "id": 3, "city": "=1+1", "people": 5 }),
                        json!({ "done": { "rows": 3, "truncated": false } }),
                    ]
                ),
                "arrow" => check_batches(StreamReader::try_new(Cursor::new(reply.bytes), None).unwrap()),
                "parquet" => {
                    let reader = ParquetRecordBatchReaderBuilder::try_new(reply.bytes).unwrap();
                    check_batches(reader.build().unwrap());
                }
                _ => assert_eq!(reply.data(200)["row_count"], 3),
            }
        }
    }
    let none = app.post("/api/query").by(&ana).header("accept", "text/html").json(&body).send().await;
    none.refused(400, "NOT_SUPPORTED");
    app.post("/api/query?format=xml").by(&ana).json(&body).send().await.refused(400, "VALIDATION_ERROR");
    let bare = app.post("/api/query?format=csv&formula_guard=false").by(&ana).json(&body).send().await;
    assert!(bare.text().contains("\r\n3,=1+1,5\r\n"), "{}", bare.text());
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_batches(batches: impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>) {
    let batches: Vec<_> = batches.map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let all = arrow::compute::concat_batches(&schema, &batches).unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Int64);
    assert_eq!(all.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    let cities = arrow::compute::cast(all.column(1), &DataType::Utf8).unwrap();
    assert_eq!(
        cities.as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["東京", "Nara, Japan", "=1+1"]
    );
    assert_eq!(all.column(2).null_count(), 1);
}

#[tokio::test]
async fn numbers_are_exact() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let csv = "big,price,code\n9007199254740993,0.10,007\n-9223372036854775808,12345678901234.56,012\n\
               9007199254740991,-0.01,7\n";
    let form = Form::new().text("types", r#"{"price": "decimal(18,2)"}"#).file("exact.csv", csv);
    app.post("/api/datasets").by(&ana).form(form).send().await.data(201);
    assert_eq!(
        app.rows(&ana, "select big, price, code from exact").await,
        json!([
            ["9007199254740993", "0.10", "007"],
            ["-9223372036854775808", "12345678901234.56", "012"],
            [9_007_199_254_740_991_i64, "-0.01", "7"],
        ])
    );
    let sums =
        app.query(&ana, "select sum(price) as total, sum(big) as n from exact where big > 0").await.data(200);
    assert_eq!(sums["rows"], json!([["0.09", "18014398509481984"]]));
    assert_eq!(sums["columns"][0]["json"], "string");
    assert_eq!(sums["columns"][1]["json"], "integer_or_string");
}

#[tokio::test]
async fn a_dataset_is_called_by_name_or_id_in_any_script() {
    let (app, ana, id) = cities().await;
    app.dataset(&ana, "売上", "店舗,金額\n本店,100\n支店,50\n").await;
    app.dataset(&ana, "My Sales-2024", "Item,Order\na,1\n").await;
    for sql in [
        "select count(*) from cities",
        "select count(*) from CITIES",
        "select count(*) from \"cities\"",
        &format!("select count(*) from {id}"),
        &format!("select count(*) from \"{id}\" as c"),
        "with c as (select * from cities) select count(*) from c",
    ] {
        assert_eq!(app.rows(&ana, sql).await, json!([[3]]), "{sql}");
    }
    let sql = "select 店舗, sum(金額) as 合計 from 売上 group by 店舗 order by 合計 desc";
    assert_eq!(app.rows(&ana, sql).await, json!([["本店", 100], ["支店", 50]]));
    let sql = "select s.\"Item\", s.\"Order\" from \"my sales-2024\" s";
    assert_eq!(app.rows(&ana, sql).await, json!([["a", 1]]));
    let sql = "select c.city from cities c join \"My Sales-2024\" s on s.\"Order\" = c.id";
    assert_eq!(app.rows(&ana, sql).await, json!([["東京"]]));
}

#[tokio::test]
async fn an_error_says_where_and_what_was_meant() {
    let (app, ana, _) = cities().await;
    let table = app.query(&ana, "select *\nfrom   citys").await;
    table.refused(400, "UNKNOWN_NAME");
    assert_eq!(table.details(), json!({ "line": 2, "column": 8, "suggestions": ["cities"] }));
    let column = app.query(&ana, "select id,\n  peopel from cities").await;
    assert!(column.refused(400, "UNKNOWN_NAME").contains("`peopel`"), "{}", column.text());
    assert_eq!(column.details(), json!({ "line": 2, "column": 3, "suggestions": ["people"] }));
    let syntax = app.query(&ana, "select id\nfrom cities\nwhere ) 1").await;
    syntax.refused(400, "INVALID_SQL");
    assert_eq!(syntax.details()["line"], 3, "{}", syntax.text());
    let function = app.query(&ana, "select uper(city) from cities").await;
    function.refused(400, "UNKNOWN_NAME");
    assert_eq!(function.details()["suggestions"][0], "upper", "{}", function.text());
    let data = app.query(&ana, "select cast(city as bigint) from cities").await;
    data.refused(422, "BAD_DATA");
    app.query(&ana, "").await.refused(400, "INVALID_SQL");
    app.query(&ana, &"(".repeat(10_000)).await.fault();
    app.query(&ana, &format!("select {}", "1+".repeat(40_000))).await.refused(422, "OVER_LIMIT");
    assert_eq!(app.rows(&ana, "select count(*) from cities").await, json!([[3]]));
}

#[tokio::test]
async fn only_one_statement_that_reads_is_run() {
    let (app, ana, id) = cities().await;
    let two = app.query(&ana, "select 1; select 2").await;
    assert!(two.refused(400, "INVALID_SQL").contains("expected one statement, got 2"));
    let secret = app.path().join("secret.key");
    for sql in [
        "create table x as select 1".to_owned(),
        "create view v as select 1".to_owned(),
        "create external table t stored as csv location '/etc/passwd'".to_owned(),
        "drop table cities".to_owned(),
        "insert into cities values (9, 'x', 1)".to_owned(),
        "update cities set id = 0".to_owned(),
        "delete from cities".to_owned(),
        "truncate table cities".to_owned(),
        format!("copy cities to '{}'", app.path().join("out.csv").display()),
        "copy (select 1) to '/tmp/shirabe-out.parquet'".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "prepare p as select 1".to_owned(),
        "explain analyze select * from cities".to_owned(),
        "explain insert into cities values (9, 'x', 1)".to_owned(),
        "begin".to_owned(),
    ] {
        let reply = app.query(&ana, &sql).await;
        assert_eq!(reply.fault(), "NOT_SUPPORTED", "{sql}: {}", reply.text());
    }
    for sql in [
        format!("select * from '{}'", secret.display()),
        format!("select * from \"{}\"", secret.display()),
        "select * from information_schema.tables".to_owned(),
        "select * from '/etc/passwd'".to_owned(),
        "select * from 'https://evil.example/x.parquet'".to_owned(),
        "with x as (delete from cities returning *) select * from x".to_owned(),
    ] {
        let reply = app.query(&ana, &sql).await;
        reply.fault();
    }
    assert!(!app.path().join("out.csv").exists());
    let view = app.get(&format!("/api/datasets/{id}")).by(&ana).send().await.data(200);
    assert_eq!((&view["version"], &view["row_count"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn a_dataset_of_somebody_else_is_unknown_to_sql() {
    let (app, _, id) = cities().await;
    let ben = app.person("ben", Role::User).await;
    let theirs = app.query(&ben, "select * from cities").await;
    let absent = app.query(&ben, "select * from nowhere").await;
    let (theirs_message, absent_message) =
        (theirs.refused(400, "UNKNOWN_NAME"), absent.refused(400, "UNKNOWN_NAME"));
    assert_eq!(theirs_message.replace("cities", "nowhere"), absent_message);
    assert_eq!(theirs.details(), absent.details());
    app.query(&ben, &format!("select * from {id}")).await.refused(400, "UNKNOWN_NAME");
    let near = app.query(&ben, "select * from citiez").await;
    near.refused(400, "UNKNOWN_NAME");
    assert_eq!(near.details()["suggestions"], json!([]), "a near name would tell that it is there");

    let admin = app.person("admin", Role::Admin).await;
    assert_eq!(app.rows(&admin, "select count(*) from cities").await, json!([[3]]));
}

#[tokio::test]
async fn an_old_version_is_read_by_its_number_or_its_time() {
    let (app, ana, id) = cities().await;
    let view = app.get(&format!("/api/datasets/{id}")).by(&ana).send().await.data(200);
    let first = view["last_import_at"].as_str().unwrap();
    let form = Form::new().file("cities.csv", "id,city,people\n1,東京,1\n");
    app.post(&format!("/api/datasets/{id}/reimport")).by(&ana).form(form).send().await.data(200);
    let ask = async |as_of: &str| {
        let body = json!({ "sql": "select count(*) from cities", "as_of": as_of });
        app.post("/api/query").by(&ana).json(&body).send().await
    };
    assert_eq!(app.rows(&ana, "select count(*) from cities").await, json!([[1]]));
    assert_eq!(ask("1").await.data(200)["rows"], json!([[3]]));
    assert_eq!(ask("2").await.data(200)["rows"], json!([[1]]));
    assert_eq!(ask(first).await.data(200)["rows"], json!([[3]]));
    ask("9").await.fault();
    ask("2001-01-01T00:00:00Z").await.fault();
    ask("yesterday").await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_query_ends_at_its_deadline() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let sql = "select count(*) from range(1, 100000) a, range(1, 100000) b where a.value % 7 = b.value % 11";
    let body = json!({ "sql": sql, "timeout_ms": 200 });
    let reply = app.post("/api/query").by(&ana).json(&body).send().await;
    reply.refused(504, "QUERY_TIMEOUT");
    let zero = json!({ "sql": "select 1", "timeout_ms": 0 });
    app.post("/api/query").by(&ana).json(&zero).send().await.refused(400, "VALIDATION_ERROR");
    assert_eq!(app.rows(&ana, "select 1").await, json!([[1]]));
}
