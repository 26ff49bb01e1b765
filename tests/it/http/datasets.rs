//! Datasets as a whole: upload, list, look, change, delete.

use serde_json::{Value, json};
use shirabe::auth::Role;
use shirabe::catalog::name::NameKey;
use shirabe::catalog::record::DatasetRecord;
use shirabe::catalog::store::{Change, Commit};
use shirabe::ids::{CommitId, DatasetId, UserId};

use crate::support::{Form, TestApp, fields};

const SALES: &str = "day,shop,amount\n2024-01-05,本店,100\n2024-01-06,支店,\n2024-01-05,本店,50\n";

#[tokio::test]
async fn an_upload_answers_with_the_fields_of_the_contract() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let form = Form::new()
        .text("name", "売上")
        .text("has_header", "true")
        .text("delimiter", ",")
        .text("encoding", "utf-8")
        .text("partition_column", "day")
        .file("sales.csv", SALES);
    let reply = app.post("/api/datasets").by(&ana).form(form).send().await;
    let data = reply.data(201);
    for name in [
        "dataset_id",
        "name",
        "source_type",
        "schema",
        "row_count",
        "column_count",
        "s3_path",
        "partition_column",
        "owner",
        "created_at",
        "last_import_at",
    ] {
        assert!(data.get(name).is_some(), "no `{name}`: {data}");
    }
    let id = data["dataset_id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/datasets/{id}"));
    let redacted = &reply.redacted()["data"];
    assert_eq!(redacted["name"], "売上");
    assert_eq!(redacted["source_type"], "local_csv");
    assert_eq!((&redacted["row_count"], &redacted["column_count"]), (&json!(3), &json!(3)));
    assert_eq!(redacted["partition_column"], "day");
    assert_eq!(redacted["owner"], json!({ "user_id": "[user]", "name": "ana" }));
    assert_eq!((&redacted["created_at"], &redacted["last_import_at"]), (&json!("[time]"), &json!("[time]")));
    assert!(redacted["s3_path"].as_str().unwrap().starts_with("datasets/[ds]/"), "{redacted}");
    assert_eq!(
        redacted["schema"],
        json!([
            { "name": "day", "type": "date", "nullable": false },
            { "name": "shop", "type": "string", "nullable": false },
            { "name": "amount", "type": "int64", "nullable": true },
        ])
    );
    let mut got = app.get(&format!("/api/datasets/{id}")).by(&ana).send().await.data(200);
    let mut made = data.clone();
    made.as_object_mut().unwrap().remove("warnings");
    got.as_object_mut().unwrap().remove("warnings");
    assert_eq!(got, made, "reading it back gives what the upload said");
    assert_eq!(app.spooled().len(), 0);

    let again = app.upload(&ana, "売上.csv", SALES).await;
    again.refused(409, "DUPLICATE_ERROR");
    let wide = app.upload(&ana, "ＳＡＬＥＳ.csv", SALES).await;
    wide.data(201);
    app.upload(&ana, "sales.csv", SALES).await.refused(409, "DUPLICATE_ERROR");
}

#[tokio::test]
async fn a_list_comes_in_pages_newest_first() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let admin = app.person("admin", Role::Admin).await;
    for n in 1..=3 {
        app.dataset(&ana, &format!("t{n}"), "a\n1\n").await;
    }
    app.dataset(&ben, "other", "a\n1\n").await;
    let list = async |query: &str, by| {
        let (items, pagination) = app.get(&format!("/api/datasets{query}")).by(by).send().await.list();
        let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        (names.join(" "), pagination)
    };
    let page = |total, limit, offset, has_next| json!({ "total": total, "limit": limit, "offset": offset, "has_next": has_next });
    assert_eq!(list("", &ana).await, ("t3 t2 t1".to_owned(), page(3, 50, 0, false)));
    assert_eq!(list("?limit=2", &ana).await, ("t3 t2".to_owned(), page(3, 2, 0, true)));
    assert_eq!(list("?limit=2&offset=2", &ana).await, ("t1".to_owned(), page(3, 2, 2, false)));
    assert_eq!(list("?offset=9", &ana).await, (String::new(), page(3, 50, 9, false)));
    assert_eq!(list("?name=t2", &ana).await.0, "t2");
    assert_eq!(list("?name=other", &ana).await, (String::new(), page(0, 50, 0, false)));
    assert_eq!(list("", &admin).await.0, "other t3 t2 t1");
    assert_eq!(list("?owner=me", &admin).await.0, "");
    assert_eq!(list("?owner=me", &ben).await.0, "other");
    for query in ["?limit=0", "?limit=101", "?limit=x", "?offset=-1", "?owner=ben"] {
        let reply = app.get(&format!("/api/datasets{query}")).by(&ana).send().await;
        reply.refused(400, "VALIDATION_ERROR");
    }
}

/// 50 datasets of three people: the stores are asked as often as for one.
#[tokio::test]
async fn a_list_asks_the_stores_a_fixed_number_of_times() {
    let (app, calls) = TestApp::counted();
    let admin = app.person("admin", Role::Admin).await;
    let people = [app.ana().await, app.person("ben", Role::User).await, app.person("eve", Role::User).await];
    let id = app.dataset(&people[0], "t", "a\n1\n").await;
    let list = async |count: usize| {
        calls.take();
        let (items, _) = app.get("/api/datasets?limit=50").by(&admin).send().await.list();
        assert_eq!(items.len(), count);
        (items, calls.take())
    };
    let (_, for_one) = list(1).await;
    // Who asks, the page, and the names.
    assert_eq!(for_one, 3);
    let first = app.state.catalog.lookup(&[DatasetId::parse(&id).unwrap()], &[]).await.unwrap().remove(0);
    for n in 1..50 {
        let mut copy = DatasetRecord { id: DatasetId::random(), name: format!("t{n}"), ..first.clone() };
        copy.name_key = NameKey::of(&copy.name);
        copy.owner_id = UserId::parse(&people[n % 3].id).unwrap();
        copy.current.dataset_id = copy.id.clone();
        copy.revision = 0;
        let commit =
            Commit { id: CommitId::random(), change: Change::Create(copy), audit: None, execution: None };
        app.state.catalog.commit(commit).await.unwrap();
    }
    let (items, for_all) = list(50).await;
    assert_eq!(for_all, for_one);
    for name in ["ana", "ben", "eve"] {
        assert!(items.iter().filter(|item| item["owner"]["name"] == name).count() >= 16, "{name}");
    }
    // Who asks, the record, and the name.
    calls.take();
    app.get(&format!("/api/datasets/{id}")).by(&people[0]).send().await.data(200);
    assert_eq!(calls.take(), 3);
}

#[tokio::test]
async fn a_dataset_is_renamed_described_and_deleted() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "sales", SALES).await;
    app.dataset(&ana, "taken", "a\n1\n").await;
    let path = format!("/api/datasets/{id}");
    let put = async |body: Value| app.put(&path).by(&ana).json(&body).send().await;
    let changed = put(json!({ "name": "売上 2024", "description": "by day" })).await.data(200);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("売上 2024"), &json!("by day")));
    assert_eq!(put(json!({ "partition_column": "day" })).await.data(200)["partition_column"], "day");
    assert_eq!(put(json!({ "description": "x" })).await.data(200)["partition_column"], "day");
    assert_eq!(put(json!({ "partition_column": null })).await.data(200)["partition_column"], Value::Null);
    put(json!({ "name": "TAKEN" })).await.refused(409, "DUPLICATE_ERROR");
    put(json!({ "name": "  " })).await.refused(400, "VALIDATION_ERROR");
    put(json!({ "partition_column": "nowhere" })).await.fault();
    put(json!({ "partition_column": "shop" })).await.fault();
    put(json!({ "name": 5 })).await.refused(400, "VALIDATION_ERROR");

    app.delete(&path).by(&ana).send().await.no_content();
    app.get(&path).by(&ana).send().await.refused(404, "NOT_FOUND");
    app.delete(&path).by(&ana).send().await.refused(404, "NOT_FOUND");
    app.query(&ana, "select * from \"売上 2024\"").await.refused(400, "UNKNOWN_NAME");
    app.dataset(&ana, "売上 2024", "a\n1\n").await;
    assert_eq!(app.findings().await, json!([]));
}

#[tokio::test]
async fn a_preview_shows_the_first_rows() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "sales", SALES).await;
    let preview =
        async |query: &str| app.get(&format!("/api/datasets/{id}/preview{query}")).by(&ana).send().await;
    let data = preview("?limit=2").await.data(200);
    assert_eq!(fields(&data), ["columns", "preview_rows", "rows", "total_rows"]);
    assert_eq!(data["rows"], json!([["2024-01-05", "本店", 100], ["2024-01-06", "支店", null]]));
    assert_eq!((&data["total_rows"], &data["preview_rows"]), (&json!(3), &json!(2)));
    assert_eq!(data["columns"][2], json!({ "name": "amount", "type": "int64", "nullable": true }));
    assert_eq!(preview("").await.data(200)["preview_rows"], 3);
    preview("?limit=1000").await.data(200);
    for query in ["?limit=0", "?limit=1001", "?limit=many", "?as_of=tomorrow"] {
        preview(query).await.refused(400, "VALIDATION_ERROR");
    }
    preview("?as_of=7").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_values_of_a_column_are_listed_for_a_filter() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let numbers: String = (0..1500).map(|n| format!("{n},a/b c\n")).collect();
    let id = app.dataset(&ana, "sales", SALES).await;
    let many = app.dataset(&ana, "many", &format!("n,a b%/?\n{numbers}")).await;
    let values = async |id: &str, column: &str| {
        app.get(&format!("/api/datasets/{id}/columns/{column}/values")).by(&ana).send().await
    };
    let shops = values(&id, "shop").await.data(200);
    assert_eq!((&shops["column"], &shops["truncated"]), (&json!("shop"), &json!(false)));
    let mut names: Vec<_> = shops["values"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["支店", "本店"]);
    assert_eq!(values(&id, "amount").await.data(200)["values"], json!([50, 100]));
    let all = values(&many, "n").await.data(200);
    assert_eq!((all["values"].as_array().unwrap().len(), &all["truncated"]), (1000, &json!(true)));
    assert_eq!(values(&many, "a%20b%25%2F%3F").await.data(200)["values"], json!(["a/b c"]));
    values(&id, "nowhere").await.refused(404, "NOT_FOUND");
    values(&id, "shop%22%20or%201%3D1%20--").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_profile_tells_what_values_are_like() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "sales", SALES).await;
    let path = format!("/api/datasets/{id}");
    let amount = app.get(&format!("{path}/columns/amount/profile")).by(&ana).send().await.data(200);
    assert_eq!(
        fields(&amount),
        [
            "distinct_estimate",
            "frequent",
            "histogram",
            "max",
            "min",
            "name",
            "null_count",
            "null_share",
            "row_count",
            "type",
        ]
    );
    assert_eq!((&amount["row_count"], &amount["null_count"]), (&json!(3), &json!(1)));
    assert!((amount["null_share"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9, "{amount}");
    assert_eq!((&amount["min"], &amount["max"]), (&json!("50"), &json!("100")));
    assert_eq!(amount["distinct_estimate"], 2);
    let bars = amount["histogram"].as_array().unwrap();
    assert_eq!(bars.iter().map(|bar| bar["count"].as_u64().unwrap()).sum::<u64>(), 2, "{amount}");

    let all = app.get(&format!("{path}/profile")).by(&ana).send().await.data(200);
    let names: Vec<_> = all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["day", "shop", "amount"]);
    assert_eq!(all[1]["frequent"][0], json!({ "value": "本店", "count": 2 }));
    assert_eq!((&all[0]["min"], &all[0]["max"]), (&json!("2024-01-05"), &json!("2024-01-06")));
    // Floats have no sketch of their own.
    let id = app.dataset(&ana, "rates", "rate\n0.5\n0.25\n0.5\n").await;
    let rate = app.get(&format!("/api/datasets/{id}/columns/rate/profile")).by(&ana).send().await.data(200);
    assert_eq!((&rate["type"], &rate["distinct_estimate"]), (&json!("float64"), &json!(2)));
    assert_eq!((&rate["min"], &rate["max"]), (&json!("0.25"), &json!("0.5")));
    app.get(&format!("{path}/columns/nowhere/profile")).by(&ana).send().await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn the_column_that_files_are_split_by_may_have_any_name() {
    let app = TestApp::new();
    let ana = app.ana().await;
    for (name, column) in [("one", "計上日"), ("two", "ä / b = 100%"), ("three", "day")] {
        let csv = format!("\"{column}\",amount\n2024-01-05,1\n2024-01-06,2\n");
        let form = Form::new().file("t.csv", csv).text("name", name).text("partition_column", column);
        app.post("/api/datasets").by(&ana).form(form).send().await.data(201);
        let sql = format!("select amount from {name} where \"{column}\" = date '2024-01-06'");
        assert_eq!(app.rows(&ana, &sql).await, json!([[2]]), "{column}");
    }
    assert_eq!(app.findings().await, json!([]));
}
