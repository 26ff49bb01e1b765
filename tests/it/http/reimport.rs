//! Options that come with a re-import: what is said goes before what was kept, and the rest stays.

use serde_json::{Value, json};

use crate::support::{Form, Person, Reply, TestApp};

/// A new dataset `t` from a form; its id.
async fn create(app: &TestApp, by: &Person, form: Form) -> String {
    let made = app.post("/api/datasets").by(by).form(form.text("name", "t")).send().await.data(201);
    made["dataset_id"].as_str().unwrap().to_owned()
}

async fn reimport(app: &TestApp, by: &Person, id: &str, form: Form) -> Reply {
    app.post(&format!("/api/datasets/{id}/reimport")).by(by).form(form).send().await
}

/// The types of the columns, by name.
fn types(dataset: &Value) -> Vec<(&str, &str)> {
    let columns = dataset["schema"].as_array().unwrap().iter();
    columns.map(|column| (column["name"].as_str().unwrap(), column["type"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn an_encoding_that_is_given_goes_before_the_one_that_was_kept() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (sjis, _, _) = encoding_rs::SHIFT_JIS.encode("品名,数量\n表計算ソフト,1\n");
    let form = Form::new().text("encoding", "shift_jis").file("t.csv", sjis.to_vec());
    let id = create(&app, &ana, form).await;
    let utf8 = "品名,数量\n文書,2\n";
    let wrong = reimport(&app, &ana, &id, Form::new().file("t.csv", utf8)).await;
    assert_ne!(wrong.json()["data"]["import_status"], "completed", "UTF-8 read as Shift_JIS");

    let form = Form::new().text("encoding", "utf-8").file("t.csv", utf8);
    let done = reimport(&app, &ana, &id, form).await.data(200);
    assert_eq!(done["import_status"], "completed", "{done}");
    assert_eq!(done["read_contract"]["options"]["encoding"], "utf-8", "kept from now on");
    assert_eq!(app.rows(&ana, "select \"品名\" from t").await, json!([["文書"]]));
    let again = reimport(&app, &ana, &id, Form::new().file("t.csv", utf8)).await.data(200);
    assert_eq!((&again["import_status"], &again["version"]), (&json!("completed"), &json!(3)));
}

#[tokio::test]
async fn flags_and_numbers_that_are_given_count_even_when_they_are_false_or_nought() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let form = Form::new()
        .text("options", r#"{"skip_rows": 1, "era_dates": true, "has_header": true, "max_bad_rows": 1}"#)
        .file("t.csv", "made by hand\nday,n\nR6.1.5,1\n2,3,4\n");
    let id = create(&app, &ana, form).await;
    let kept =
        reimport(&app, &ana, &id, Form::new().file("t.csv", "note\nday,n\nR6.2.5,2\n")).await.data(200);
    assert_eq!((&kept["import_status"], &kept["row_count"]), (&json!("completed"), &json!(1)));

    let options = r#"{"skip_rows": 0, "era_dates": false, "max_bad_rows": 0}"#;
    let form = Form::new().text("options", options).file("t.csv", "day,n\n2024-01-05,2\n");
    let done = reimport(&app, &ana, &id, form).await.data(200);
    let contract = &done["read_contract"];
    assert_eq!(
        json!([contract["options"]["skip_rows"], contract["options"]["era_dates"], contract["bad_rows_max"]]),
        json!([0, false, 0]),
    );
    assert_eq!(contract["options"]["has_header"], true, "what is not said stays");
    reimport(&app, &ana, &id, Form::new().file("t.csv", "day,n\n1,2,3\n"))
        .await
        .refused(400, "VALIDATION_ERROR");
    let many = Form::new().text("max_bad_rows", "100001").file("t.csv", "day,n\n2024-01-05,2\n");
    reimport(&app, &ana, &id, many).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_type_that_is_given_is_a_change_to_confirm_and_then_kept() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let csv = "code,price\n1,1.5\n2,2.5\n";
    let form = Form::new().text("types", r#"{"price": "decimal(18,2)"}"#).file("t.csv", csv);
    let id = create(&app, &ana, form).await;
    let newer = |force: &str| {
        let given = Form::new().text("types", r#"{"code": "string"}"#).text("force", force);
        given.file("t.csv", "code,price\n007,3\n")
    };
    let pending = reimport(&app, &ana, &id, newer("false")).await.data(200);
    assert_eq!(pending["import_status"], "pending_confirmation");
    assert_eq!(
        pending["schema_changes"],
        json!([{ "type": "type_changed", "column": "code", "old_type": "int64", "new_type": "string" }])
    );
    let done = reimport(&app, &ana, &id, newer("true")).await.data(200);
    assert_eq!(types(&done), [("code", "string"), ("price", "decimal(18,2)")]);
    assert_eq!(app.rows(&ana, "select code from t").await, json!([["007"]]));
    let kept = reimport(&app, &ana, &id, Form::new().file("t.csv", "code,price\n012,1\n")).await.data(200);
    assert_eq!((&kept["import_status"], types(&kept)[0]), (&json!("completed"), ("code", "string")));
}

#[tokio::test]
async fn a_layout_that_is_given_is_that_of_the_new_version() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let csv = "day,n\n2024-01-05,2\n2024-01-06,1\n";
    let id = create(&app, &ana, Form::new().file("t.csv", csv)).await;
    let files = async |form: Form| {
        let done = reimport(&app, &ana, &id, form.file("t.csv", csv)).await.data(200);
        let path = format!("/api/datasets/{id}/versions/{}", done["version"]);
        let version = app.get(&path).by(&ana).send().await.data(200);
        (done["partition_column"].clone(), version["files"].as_array().unwrap().len())
    };
    assert_eq!(files(Form::new().text("partition_column", "day")).await, (json!("day"), 2));
    assert_eq!(files(Form::new()).await, (json!("day"), 2), "kept");
    assert_eq!(files(Form::new().text("options", r#"{"partition_column": ""}"#)).await, (Value::Null, 1));
    assert_eq!(files(Form::new()).await, (Value::Null, 1), "kept, too");
    let nowhere = Form::new().text("sort_column", "nowhere").file("t.csv", csv);
    reimport(&app, &ana, &id, nowhere).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_named_column_that_is_gone_is_a_change_unless_it_is_named_now() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let form = Form::new()
        .text("types", r#"{"code": "string"}"#)
        .text("date_columns", "day")
        .text("datetime_columns", "at")
        .file("t.csv", "code,day,at,n\n1,2024-01-05,2024-01-05 10:00,1\n");
    let id = create(&app, &ana, form).await;
    let newer = |fields: &[(&str, &str)]| {
        let form = fields.iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        form.file("t.csv", "n\n1\n")
    };
    let pending = reimport(&app, &ana, &id, newer(&[])).await.data(200);
    assert_eq!(pending["import_status"], "pending_confirmation");
    let removed: Vec<_> = pending["schema_changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["type"], &one["column"]))
        .collect();
    let gone = json!("column_removed");
    assert_eq!(removed, [(&gone, &json!("code")), (&gone, &json!("day")), (&gone, &json!("at"))]);
    let dry = app.post(&format!("/api/datasets/{id}/reimport/dry-run")).by(&ana).form(newer(&[]));
    assert_eq!(dry.send().await.data(200)["has_schema_changes"], true);

    let named = reimport(&app, &ana, &id, newer(&[("date_columns", "day"), ("force", "true")])).await;
    let message = named.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("no column named `day`"), "{message}");

    let done = reimport(&app, &ana, &id, newer(&[("force", "true")])).await.data(200);
    assert_eq!(types(&done), [("n", "int64")]);
    let options = &done["read_contract"]["options"];
    assert_eq!(
        json!([options["types"], options["date_columns"], options["datetime_columns"]]),
        json!([{}, [], []]),
        "forgotten"
    );
}

#[tokio::test]
async fn a_column_without_values_has_not_changed() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = create(&app, &ana, Form::new().file("t.csv", "day,n,note\n2024-01-05,1,x\n")).await;
    let pending =
        reimport(&app, &ana, &id, Form::new().file("t.csv", "day,n,note\n,many,\n")).await.data(200);
    assert_eq!(
        pending["schema_changes"],
        json!([{ "type": "type_changed", "column": "n", "old_type": "int64", "new_type": "string" }])
    );
    let less = reimport(&app, &ana, &id, Form::new().file("t.csv", "day,n\n,2\n")).await.data(200);
    assert_eq!(
        less["schema_changes"],
        json!([{ "type": "column_removed", "column": "note", "old_type": "string" }])
    );
}

#[tokio::test]
async fn a_reimport_does_not_rename() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = create(&app, &ana, Form::new().text("description", "by day").file("t.csv", "a\n1\n")).await;
    let send = async |field: &str, text: &str| {
        reimport(&app, &ana, &id, Form::new().text(field, text).file("t.csv", "a\n2\n")).await
    };
    let message = send("name", "u").await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("`name` is `u`, but the dataset is called `t`"), "{message}");
    let message = send("description", "by week").await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("does not change the description"), "{message}");
    assert_eq!(send("name", " T ").await.data(200)["import_status"], "completed", "its own name");
    assert_eq!(send("description", "by day").await.data(200)["import_status"], "completed");
}

#[tokio::test]
async fn a_file_on_the_server_takes_options_in_json() {
    let app = TestApp::new();
    let operator = app.operator();
    let path = app.path().join("source.csv");
    std::fs::write(&path, "a;b\n1;2\n").unwrap();
    let body = json!({ "path": path, "name": "t", "options": { "delimiter": "," } });
    let made = app.post("/api/datasets/path-import").by(&operator).json(&body).send().await.data(201);
    assert_eq!(made["column_count"], 1);
    let id = made["dataset_id"].as_str().unwrap();
    let again = app.post(&format!("/api/datasets/{id}/import")).by(&operator);
    let again = again.json(&json!({ "options": { "delimiter": ";", "force": true } })).send().await.data(200);
    assert_eq!((&again["import_status"], &again["column_count"]), (&json!("completed"), &json!(2)));
}

#[tokio::test]
async fn text_after_a_typed_file_is_compared_with_the_types_of_that_file() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = create(&app, &ana, Form::new().file("t.csv", "a,b\n1.5,x\n")).await;
    let parquet = app.get(&format!("/api/datasets/{id}/export?format=parquet")).by(&ana).send().await.bytes;
    let typed = reimport(&app, &ana, &id, Form::new().file("t.parquet", parquet.to_vec())).await.data(200);
    assert_eq!(typed["import_status"], "completed", "{typed}");
    let whole = reimport(&app, &ana, &id, Form::new().file("t.csv", "a,b\n2,y\n")).await.data(200);
    assert_eq!((&whole["import_status"], types(&whole)[0]), (&json!("completed"), ("a", "float64")));
    let typed = reimport(&app, &ana, &id, Form::new().file("t.parquet", parquet.to_vec())).await.data(200);
    assert_eq!(typed["import_status"], "completed", "{typed}");
    let words = reimport(&app, &ana, &id, Form::new().file("t.csv", "a,b\nmany,y\n")).await.data(200);
    assert_eq!(words["import_status"], "pending_confirmation", "{words}");
}
