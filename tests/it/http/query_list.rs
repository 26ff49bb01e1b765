//! `/api/queries`: who sees which queries, what is told of them, and how they are cancelled.

use std::time::Duration;

use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::TestApp;

const ENDLESS: &str = "select value from range(1, 1000000000000) where value % 3 = 0";

#[tokio::test]
async fn a_query_is_told_of_to_its_owner_and_to_administrators() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let admin = app.person("eva", Role::Admin).await;
    app.dataset(&ana, "cities", "id,city\n1,東京\n2,Oslo\n").await;
    let reply = app.query(&ana, "select city from cities where id > 1").await;
    let id = reply.header("x-query-id").to_owned();
    let path = format!("/api/queries/{id}");

    let told = app.get(&path).by(&ana).send().await.data(200);
    assert_eq!(told["query_id"], id);
    assert_eq!(told["user_id"], ana.id);
    assert_eq!(
        (&told["kind"], &told["outcome"], &told["cache"]),
        (&json!("query"), &json!("complete"), &json!("miss"))
    );
    assert_eq!((&told["rows"], &told["files_total"], &told["files_read"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(told["tables"][0]["name"], "cities");
    assert_eq!(told["tables"][0]["version"], 1);
    for time in ["total_us", "queue_us", "plan_us", "encode_us", "scan_us", "compute_us"] {
        assert!(told[time].is_u64(), "{time}: {told}");
    }
    assert!(told["ended_at"].is_string());
    assert_eq!(app.get(&path).by(&admin).send().await.data(200)["query_id"], id);
    app.get(&path).by(&ben).send().await.refused(404, "NOT_FOUND");

    app.query(&ben, "select nothing").await.refused(400, "UNKNOWN_NAME");
    let (of_ben, page) = app.get("/api/queries").by(&ben).send().await.list();
    assert_eq!(page, json!({ "total": 1, "limit": 50, "offset": 0, "has_next": false }));
    assert_eq!(of_ben[0]["error"]["code"], "UNKNOWN_NAME");
    let (all, page) = app.get("/api/queries?limit=1&offset=1").by(&admin).send().await.list();
    assert_eq!(page, json!({ "total": 2, "limit": 1, "offset": 1, "has_next": false }));
    assert_eq!(all[0]["query_id"], id);
    let (live, _) = app.get("/api/queries?state=live").by(&admin).send().await.list();
    assert_eq!(live, Vec::<Value>::new());
    app.get("/api/queries?state=other").by(&admin).send().await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn previews_and_exports_are_told_of_as_well() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "cities", "id,city\n1,東京\n2,Oslo\n").await;
    for look in ["preview", "columns/city/values", "columns/city/profile", "export"] {
        assert_eq!(
            app.get(&format!("/api/datasets/{id}/{look}")).by(&ana).send().await.status,
            200,
            "{look}"
        );
    }
    let (told, _) = app.get("/api/queries?state=ended").by(&ana).send().await.list();
    let mut kinds: Vec<_> = told.iter().map(|query| query["kind"].as_str().unwrap()).collect();
    kinds.dedup();
    assert_eq!(kinds, ["export", "profile", "values", "preview"]);
    assert_eq!(told[0]["statement"], format!("SELECT * FROM {id}"));
    assert_eq!(told[0]["rows"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_is_found_and_cancelled() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let reader = app.read_only(&ana).await;
    let asking = {
        let call = app.post("/api/query?format=csv").by(&ana).json(&json!({ "sql": ENDLESS }));
        shirabe::tasks::spawn(call.broken_off())
    };
    // So many rows are more than a short answer, which would have a status of its own, holds.
    let found = async {
        loop {
            let (live, _) = app.get("/api/queries?state=live").by(&ana).send().await.list();
            // Before its first rows it would be cancelled with a status of its own.
            let streams = |query: &&Value| query["rows"].as_u64() > Some(500_000) && query["rows"] != 0;
            if let Some(running) = live.iter().find(streams) {
                return running["query_id"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let id = tokio::time::timeout(Duration::from_secs(120), found).await.unwrap();
    let path = format!("/api/queries/{id}");
    app.delete(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
    app.delete(&path).by(&reader).send().await.refused(403, "FORBIDDEN");
    app.delete(&path).by(&ana).send().await.no_content();
    let broken = tokio::time::timeout(Duration::from_secs(120), asking).await.unwrap().unwrap();
    assert!(broken, "the transfer is broken off, not ended");
    let told = app.get(&path).by(&ana).send().await.data(200);
    assert_eq!((&told["outcome"], &told["error"]["code"]), (&json!("cancelled"), &json!("CANCELLED")));
    // One that has ended stays as it is.
    app.delete(&path).by(&ana).send().await.no_content();
}

#[tokio::test]
async fn the_history_survives_a_restart() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.query(&ana, "select 42").await.data(200);
    app.state.engine.store_history().await.unwrap();
    let app = TestApp::on(app.close(), &[("QUERY_HISTORY_MAX", "0")]);
    let rows = app.rows(&ana, "select statement from system.queries where outcome = 'complete'").await;
    assert_eq!(rows, json!([["select 42"]]));
    app.state.engine.store_history().await.unwrap();
    assert_eq!(app.state.engine.trim_history().await.unwrap(), 2);
    let (_, page) = app.get("/api/queries").by(&ana).send().await.list();
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn a_cost_is_told_before_a_row_is_read() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "cities", "id,city\n1,東京\n2,Oslo\n").await;
    let explain = async |sql: &str, parameters: Value| {
        let body = json!({ "sql": sql, "parameters": parameters });
        app.post("/api/query/explain").by(&ana).json(&body).send().await
    };
    let told = explain("select city from cities where id > $id", json!({ "id": 1 })).await.data(200);
    let scan = &told["scans"][0];
    assert_eq!((&scan["table"], &scan["columns"]), (&json!("cities"), &json!(["city", "id"])));
    assert_eq!(scan["files"], json!({ "total": 1, "read": 1 }));
    let told = explain("select city from cities where id > $id", json!({ "id": 5 })).await.data(200);
    assert_eq!(told["scans"][0]["files"], json!({ "total": 1, "read": 0 }));
    assert_eq!(told["joins"], json!([]));
    explain("select nothing from cities", json!({})).await.refused(400, "UNKNOWN_NAME");
    // What was only explained is no query.
    let (queries, _) = app.get("/api/queries").by(&ana).send().await.list();
    assert_eq!(queries, Vec::<Value>::new());
}
