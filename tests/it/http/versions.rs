//! Imports after the first: versions, schema changes and their confirmation, quarantine, jobs.

use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::{Form, Person, Reply, TestApp};

async fn reimport(app: &TestApp, by: &Person, id: &str, csv: &str, force: bool) -> Reply {
    let form = Form::new().text("force", &force.to_string()).file("t.csv", csv);
    app.post(&format!("/api/datasets/{id}/reimport")).by(by).form(form).send().await
}

#[tokio::test]
async fn each_import_is_a_version_and_old_ones_come_back() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "t", "a,b\n1,x\n2,y\n").await;
    let done = reimport(&app, &ana, &id, "a,b\n3,z\n", false).await.data(200);
    assert_eq!((&done["import_status"], &done["version"]), (&json!("completed"), &json!(2)));
    assert_eq!((&done["row_count"], &done["schema_changes"]), (&json!(1), &json!([])));

    let path = format!("/api/datasets/{id}");
    let (versions, pagination) = app.get(&format!("{path}/versions")).by(&ana).send().await.list();
    let rows: Vec<_> = versions.iter().map(|v| (v["version"].clone(), v["row_count"].clone())).collect();
    assert_eq!(rows, [(json!(2), json!(1)), (json!(1), json!(2))]);
    assert_eq!(pagination["total"], 2);
    assert_eq!(versions[0]["created_by"], ana.id);
    let first = app.get(&format!("{path}/versions/1")).by(&ana).send().await.data(200);
    assert_eq!((&first["parent"], &first["row_count"]), (&Value::Null, &json!(2)));
    assert_eq!(first["files"][0]["row_count"], 2);
    assert_eq!(first["files"][0]["blake3"].as_str().unwrap().len(), 64);
    let old = app.get(&format!("{path}/preview?as_of=1")).by(&ana).send().await.data(200);
    assert_eq!(old["rows"], json!([[1, "x"], [2, "y"]]));
    let old = app.get(&format!("{path}/export?as_of=1")).by(&ana).send().await;
    assert_eq!(old.text(), "a,b\r\n1,x\r\n2,y\r\n");

    let restored = app.post(&format!("{path}/versions/1/restore")).by(&ana).send().await.data(200);
    assert_eq!((&restored["version"], &restored["row_count"]), (&json!(3), &json!(2)));
    assert_eq!(app.rows(&ana, "select a from t order by a").await, json!([[1], [2]]));
    let third = app.get(&format!("{path}/versions/3")).by(&ana).send().await.data(200);
    assert_eq!((&third["parent"], &third["restored_from"]), (&json!(2), &json!(1)));
    for number in ["0", "9", "18446744073709551615", "x", "-1"] {
        let get = app.get(&format!("{path}/versions/{number}")).by(&ana).send().await;
        get.refused(404, "NOT_FOUND");
        let restore = app.post(&format!("{path}/versions/{number}/restore")).by(&ana).send().await;
        restore.refused(404, "NOT_FOUND");
    }
    assert_eq!(app.findings().await, json!([]));
}

#[tokio::test]
async fn a_changed_schema_waits_for_a_yes() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "t", "a,b,c\n1,x,1\n2,y,2\n").await;
    let newer = "a,c,d\n1,one,2024-01-05\n";
    let changes = json!([
        { "type": "column_removed", "column": "b", "old_type": "string" },
        { "type": "type_changed", "column": "c", "old_type": "int64", "new_type": "string" },
        { "type": "column_added", "column": "d", "new_type": "date" },
    ]);
    let dry = app.post(&format!("/api/datasets/{id}/reimport/dry-run")).by(&ana);
    let dry = dry.form(Form::new().file("t.csv", newer)).send().await.data(200);
    assert_eq!(dry["has_schema_changes"], true);
    assert_eq!(dry["changes"], changes);
    assert_eq!((&dry["new_row_count"], &dry["new_column_count"]), (&json!(1), &json!(3)));

    let pending = reimport(&app, &ana, &id, newer, false).await.data(200);
    assert_eq!(pending["import_status"], "pending_confirmation");
    assert_eq!(pending["schema_changes"], changes);
    let view = app.get(&format!("/api/datasets/{id}")).by(&ana).send().await.data(200);
    assert_eq!((&view["version"], &view["row_count"]), (&json!(1), &json!(2)), "nothing was written");

    let done = reimport(&app, &ana, &id, newer, true).await.data(200);
    assert_eq!((&done["import_status"], &done["version"]), (&json!("completed"), &json!(2)));
    let compared = app.get(&format!("/api/datasets/{id}/versions/compare?from=1&to=2")).by(&ana).send().await;
    let compared = compared.data(200);
    assert_eq!(compared["schema_changes"], changes);
    assert_eq!(
        (&compared["from_row_count"], &compared["to_row_count"], &compared["row_count_change"]),
        (&json!(2), &json!(1), &json!(-1))
    );
    let wrong = app.get(&format!("/api/datasets/{id}/versions/compare?from=1")).by(&ana).send().await;
    wrong.refused(400, "VALIDATION_ERROR");
    let absent = app.get(&format!("/api/datasets/{id}/versions/compare?from=1&to=9")).by(&ana).send().await;
    absent.refused(404, "NOT_FOUND");
    assert_eq!(app.spooled().len(), 0);
}

#[tokio::test]
async fn an_upload_leaves_no_source_to_read_again() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "t", "a\n1\n").await;
    for path in ["import", "reimport", "reimport/dry-run"] {
        let reply = app.post(&format!("/api/datasets/{id}/{path}")).by(&ana).send().await;
        reply.refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_file_on_the_server_is_imported_by_the_operator_and_read_again() {
    let app = TestApp::new();
    let (ana, operator) = (app.person("admin", Role::Admin).await, app.operator());
    let path = app.path().join("source.csv");
    std::fs::write(&path, "a\n1\n").unwrap();
    let body = json!({ "path": path, "name": "t" });
    let import = |by: &Person, body: &Value| app.post("/api/datasets/path-import").by(by).json(body).send();
    import(&ana, &body).await.refused(403, "FORBIDDEN");
    let made = import(&operator, &body).await.data(201);
    let id = made["dataset_id"].as_str().unwrap();
    import(&operator, &json!({ "path": "source.csv", "name": "u" })).await.refused(400, "VALIDATION_ERROR");
    import(&operator, &json!({ "path": "/nowhere/x.csv", "name": "u" }))
        .await
        .refused(400, "VALIDATION_ERROR");

    std::fs::write(&path, "a\n1\n2\n").unwrap();
    let again = app.post(&format!("/api/datasets/{id}/import")).by(&operator);
    let again = again.json(&json!({ "force": false })).send().await.data(200);
    assert_eq!((&again["import_status"], &again["row_count"]), (&json!("completed"), &json!(2)));
    std::fs::remove_file(&path).unwrap();
    let gone = app.post(&format!("/api/datasets/{id}/import")).by(&operator).json(&json!({})).send().await;
    gone.refused(400, "VALIDATION_ERROR");
    assert_eq!(app.rows(&operator, "select count(*) from t").await, json!([[2]]));
}

#[tokio::test]
async fn wrong_rows_are_set_aside_and_can_be_read() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let csv = "id,name\n1,a\n2,b,extra\n3\n4,d\n";
    let form = |bad_rows: &str| Form::new().text("max_bad_rows", bad_rows).file("t.csv", csv);
    let few = app.post("/api/datasets").by(&ana).form(form("1")).send().await;
    let message = few.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("line 3") && message.contains("more than the accepted 1"), "{message}");
    let made = app.post("/api/datasets").by(&ana).form(form("2")).send().await.data(201);
    assert_eq!((&made["row_count"], &made["quarantined_count"]), (&json!(2), &json!(2)));

    let id = made["dataset_id"].as_str().unwrap();
    let path = format!("/api/datasets/{id}/versions/1/quarantine");
    let (rows, pagination) = app.get(&path).by(&ana).send().await.list();
    let told: Vec<_> = rows.iter().map(|row| (row["line"].clone(), row["raw"].clone())).collect();
    assert_eq!(told, [(json!(3), json!("2,b,extra")), (json!(4), json!("3"))]);
    assert!(rows[0]["reason"].as_str().unwrap().contains('3'), "{rows:?}");
    assert_eq!(pagination["total"], 2);
    let (second, _) = app.get(&format!("{path}?limit=1&offset=1")).by(&ana).send().await.list();
    assert_eq!(second, rows[1..]);
    let absent = app.get(&format!("/api/datasets/{id}/versions/9/quarantine")).by(&ana).send().await;
    absent.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_file_is_inspected_before_its_import() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (bytes, _, _) =
        encoding_rs::SHIFT_JIS.encode("品名;数量;日付\n表計算ソ;007;2024/1/5\n能;012;2024/1/6\n");
    let form = Form::new().file("t.csv", bytes.into_owned());
    let found = app.post("/api/datasets/inspect").by(&ana).form(form).send().await.data(200);
    assert_eq!(
        found["schema"],
        json!([
            { "name": "品名", "type": "string" },
            { "name": "数量", "type": "string" },
            { "name": "日付", "type": "date" },
        ])
    );
    assert_eq!(found["sample_rows"][0], json!(["表計算ソ", "007", "2024/1/5"]));
    assert_eq!(found["contract"]["delimiter"], ";");
    let (items, _) = app.get("/api/datasets").by(&ana).send().await.list();
    assert_eq!((items.len(), app.spooled().len()), (0, 0), "nothing was written");
    let other =
        app.post("/api/datasets/inspect").by(&ana).json(&json!({ "path": "/etc/passwd" })).send().await;
    other.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_long_import_is_watched() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let rows: String = (0..5000).map(|n| format!("{n}\n")).collect();
    let form = Form::new().file("t.csv", format!("n\n{rows}"));
    let call = app.post("/api/datasets").by(&ana).header("prefer", "respond-async").form(form);
    let reply = call.send().await;
    let started = reply.data(202);
    let id = started["import_id"].as_str().unwrap();
    let path = format!("/api/imports/{id}");
    assert_eq!(reply.header("location"), path);
    assert_eq!(reply.header("preference-applied"), "respond-async");

    let ended = app.get(&format!("{path}?wait=30000")).by(&ana).send().await.data(200);
    assert_eq!((&ended["state"], &ended["error"]), (&json!("completed"), &Value::Null), "{ended}");
    assert_eq!((&ended["result"]["name"], &ended["result"]["row_count"]), (&json!("t"), &json!(5000)));
    app.get(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
    app.delete(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
    assert!(app.get("/api/imports").by(&ben).send().await.list().0.is_empty());
    assert_eq!(app.get("/api/imports").by(&ana).send().await.list().0.len(), 1);

    let form = Form::new().file("bad.csv", "a,b\n1\n");
    let call = app.post("/api/datasets").by(&ana).header("prefer", "wait=1, respond-async").form(form);
    let id = call.send().await.data(202)["import_id"].as_str().unwrap().to_owned();
    let failed = app.get(&format!("/api/imports/{id}?wait=30000")).by(&ana).send().await.data(200);
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("failed"), &json!("VALIDATION_ERROR")));
    assert_eq!(app.spooled().len(), 0);
    app.get("/api/imports/imp_0123456789ab").by(&ana).send().await.refused(404, "NOT_FOUND");
}
