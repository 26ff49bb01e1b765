//! Questions with parameters, in a body and behind the question mark, and answers that a caller has already.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Form, Person, Reply, TestApp};

async fn cities() -> (TestApp, Person, String) {
    let app = TestApp::new();
    let ana = app.ana().await;
    let csv =
        "id,city,people,since\n1,東京,14000000,2024-01-01\n2,O'Hare,5,2024-02-01\n3,Oslo,700000,2024-03-01\n";
    let id = app.dataset(&ana, "cities", csv).await;
    (app, ana, id)
}

async fn ask(app: &TestApp, by: &Person, sql: &str, parameters: Value) -> Reply {
    app.post("/api/query").by(by).json(&json!({ "sql": sql, "parameters": parameters })).send().await
}

#[tokio::test]
async fn values_come_beside_the_statement() {
    let (app, ana, _) = cities().await;
    let check = async |condition: &str, parameters: Value, expected: Value| {
        let sql = format!("select id from cities where {condition} order by id");
        assert_eq!(ask(&app, &ana, &sql, parameters).await.data(200)["rows"], expected, "{condition}");
    };
    check("city = $name", json!({ "name": "O'Hare" }), json!([[2]])).await;
    check("since >= $from", json!({ "from": { "type": "date", "value": "2024-02-01" } }), json!([[2], [3]]))
        .await;
    check("id in ($ids)", json!({ "ids": [1, 3] }), json!([[1], [3]])).await;
    check("city = any($names)", json!({ "names": ["Oslo", "東京"] }), json!([[1], [3]])).await;
    check("people > $n and true", json!({ "n": 1e6 }), json!([[1]])).await;
    check("city = $name or $all", json!({ "name": null, "all": false }), json!([])).await;
    let big =
        ask(&app, &ana, "select $n as n, $n + 1 as next", json!({ "n": 9_007_199_254_740_993_i64 })).await;
    assert_eq!(big.data(200)["rows"], json!([["9007199254740993", "9007199254740994"]]));
    let body = json!({ "sql": "select to_char(now(), '%z')", "time_zone": "+09:30" });
    app.post("/api/query").by(&ana).json(&body).send().await.data(200);
}

#[tokio::test]
async fn what_is_wrong_with_a_parameter_is_named() {
    let (app, ana, _) = cities().await;
    let check = async |sql: &str, parameters: Value, expected: &str| {
        let reply = ask(&app, &ana, sql, parameters).await;
        let message = reply.refused(400, "VALIDATION_ERROR");
        assert_eq!(message, expected);
        reply.details()
    };
    let details = check(
        "select $a, $b",
        json!({ "b": 1, "c": 2 }),
        "the statement asks for `$a`, which `parameters` does not hold; `parameters` holds `$c`, which the statement \
         does not ask for",
    )
    .await;
    assert_eq!(details, json!({ "field": "parameters", "missing": ["a"], "unused": ["c"] }));
    let details = check(
        "select $day",
        json!({ "day": { "type": "date", "value": "31.1.2024" } }),
        "the parameter `day` is `31.1.2024`: expected a date such as `2024-01-31`, as its type is `date`",
    )
    .await;
    assert_eq!(details["parameter"], "day");
    let body = json!({ "sql": "select 1", "time_zone": "Asia/Tokio" });
    let reply = app.post("/api/query").by(&ana).json(&body).send().await;
    assert_eq!(
        reply.refused(400, "VALIDATION_ERROR"),
        "`time_zone` is `Asia/Tokio`: expected a name such as `Asia/Tokyo`, or an offset such as `+09:00`"
    );
    let twice = r#"{"sql": "select $a", "parameters": {"a": 1, "a": 2}}"#;
    let reply = app.post("/api/query").by(&ana).typed("application/json", twice).send().await;
    assert!(reply.refused(400, "VALIDATION_ERROR").contains("`a` is given twice"));
}

/// The path of a question behind the question mark.
fn link(sql: &str, more: &[(&str, &str)]) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new("/api/query?".to_owned());
    pairs.append_pair("sql", sql).extend_pairs(more).finish()
}

#[tokio::test]
async fn a_link_asks_as_well() {
    let (app, ana, _) = cities().await;
    let get = async |sql: &str, more: &[(&str, &str)]| app.get(&link(sql, more)).by(&ana).send().await;
    let sql = "select city from cities where since >= $from and id in ($ids) and city <> $not order by id";
    let more = [
        ("p.from:date", "2024-01-02"),
        ("p.ids:int64", "1"),
        ("p.ids:int64", "2"),
        ("p.ids:int64", "3"),
        ("p.not", "Oslo"),
        ("limit", "5"),
        ("format", "csv"),
    ];
    let reply = get(sql, &more).await;
    assert_eq!((reply.status, reply.text()), (200, "city\r\nO'Hare\r\n"));
    assert_eq!((reply.header("x-row-count"), reply.header("x-truncated")), ("1", "false"));
    assert_eq!(reply.header("content-length"), "14");
    get("select $a", &[]).await.refused(400, "VALIDATION_ERROR");
    get("select $a", &[("p.a:int64", "x")]).await.refused(400, "VALIDATION_ERROR");
    get("select 1", &[("format", "csv"), ("encoding", "koi8")]).await.refused(400, "VALIDATION_ERROR");
    get("select 1", &[("encoding", "cp932")]).await.refused(400, "VALIDATION_ERROR");
    get("select 1", &[("compression", "lz4")]).await.refused(400, "VALIDATION_ERROR");
    get("select 1", &[("format", "csv"), ("encoding", "cp932"), ("bom", "true")])
        .await
        .refused(400, "VALIDATION_ERROR");
    let cp932 =
        get("select city from cities where id = 1", &[("format", "csv"), ("encoding", "cp932")]).await;
    assert_eq!(cp932.header("content-type"), "text/csv; charset=windows-31j");
    assert_eq!(&cp932.bytes[..], b"city\r\n\x93\x8c\x8b\x9e\r\n");
    let accepted =
        app.get(&link("select '東' as c", &[])).by(&ana).header("accept", "text/csv;charset=Shift_JIS");
    assert_eq!(&accepted.send().await.bytes[..], b"c\r\n\x93\x8c\r\n");
}

#[tokio::test]
async fn an_answer_that_still_holds_is_not_sent_again() {
    let (app, ana, id) = cities().await;
    let path = link("select count(*) from cities where id > $n", &[("p.n:int64", "0")]);
    let first = app.get(&path).by(&ana).send().await;
    assert_eq!(first.data(200)["rows"], json!([[3]]));
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let etag = first.header("etag").to_owned();

    let again = app.get(&path).by(&ana).header("if-none-match", &etag).send().await;
    assert_eq!((again.status, again.text(), again.header("etag")), (304, "", etag.as_str()));
    let head = app.call(Method::HEAD, &path).by(&ana).send().await;
    assert_eq!((head.status, head.text(), head.header("etag")), (200, "", etag.as_str()));
    for other in [
        link("select count(*) from cities where id > $n", &[("p.n:int64", "1")]),
        link("select count(*) from cities where id > $n", &[("p.n", "0")]),
        link("select count(*) from cities where id > $n", &[("p.n:int64", "0"), ("limit", "1")]),
        link("select count(*) from cities where id > $n", &[("p.n:int64", "0"), ("format", "csv")]),
        link("select count(*) from cities where id > $n", &[("p.n:int64", "0"), ("time_zone", "Asia/Tokyo")]),
    ] {
        let reply = app.get(&other).by(&ana).header("if-none-match", &etag).send().await;
        assert_eq!(reply.status, 200, "{other}");
        assert_ne!(reply.header("etag"), etag, "{other}");
    }

    let form = Form::new().file("cities.csv", "id,city,people,since\n1,東京,1,2024-01-01\n");
    app.post(&format!("/api/datasets/{id}/reimport")).by(&ana).form(form).send().await.data(200);
    let renewed = app.get(&path).by(&ana).header("if-none-match", &etag).send().await;
    assert_eq!(renewed.data(200)["rows"], json!([[1]]), "the version is another");
    let old = app.get(&format!("{path}&as_of=1")).by(&ana).header("if-none-match", &etag).send().await;
    assert_eq!(old.status, 304, "the first version is what it was");
}

#[tokio::test]
async fn an_answer_of_the_moment_is_not_kept() {
    let (app, ana, _) = cities().await;
    for sql in [
        "select now()",
        "select NOW()",
        "select current_date",
        "select count(*) from cities where random() > 0.5",
        "select uuid()",
        "select id from cities where since < (select current_timestamp)",
        "explain select 1",
    ] {
        let reply = app.get(&link(sql, &[])).by(&ana).header("if-none-match", "*").send().await;
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
        assert!(reply.headers.get("etag").is_none(), "{sql}");
        assert_eq!(reply.header("cache-control"), "no-store", "{sql}");
    }
    for sql in
        ["select upper(city), count(*) over () from cities", "select 'now()'", "select * from range(0, 2)"]
    {
        let reply = app.get(&link(sql, &[])).by(&ana).send().await;
        assert_eq!(reply.header("cache-control"), "private, no-cache", "{sql}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_failure_within_a_short_answer_has_a_status_of_its_own() {
    let (app, ana, _) = cities().await;
    for format in ["json", "ndjson", "csv", "arrow", "parquet", "xlsx"] {
        let path = link("select 1 / (id - 3) from cities", &[("format", format)]);
        app.get(&path).by(&ana).send().await.refused(422, "BAD_DATA");
    }
}
