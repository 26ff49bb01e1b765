//! Make, run, look at, change, remove; and what is refused before it is kept.

use serde_json::{Value, json};
use shirabe::auth::Role;

use super::{BY_CITY, TRIPS, change, execute, make, run, sql};
use crate::support::TestApp;

#[tokio::test]
async fn a_statement_becomes_a_dataset() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips = app.dataset(&ana, "trips", TRIPS).await;
    let made = make(&app, &ana, &json!({ "name": "by city", "language": "sql", "code": BY_CITY })).await;
    assert_eq!(made["input_dataset_ids"], json!([trips]));
    assert_eq!(made["inputs"][0]["alias"], "trips");
    assert_eq!((&made["schedule_enabled"], &made["next_runs"]), (&json!(false), &json!([])));
    let id = made["transform_id"].as_str().unwrap();
    app.query(&ana, r#"select * from "by city""#).await.refused(400, "UNKNOWN_NAME");

    let execution = run(&app, &ana, id).await;
    assert_eq!(execution["status"], "success");
    assert_eq!((&execution["triggered_by"], &execution["attempt"]), (&json!("manual"), &json!(1)));
    assert_eq!((&execution["output_row_count"], &execution["output_version"]), (&json!(2), &json!(1)));
    assert_eq!(execution["output_dataset_id"], made["output_dataset_id"]);
    assert_eq!(execution["inputs"], json!([{ "dataset_id": trips, "version": 1 }]));
    assert!(execution["duration_ms"].as_i64().unwrap() >= 0 && execution["finished_at"].is_string());
    assert!(execution["log"].as_str().unwrap().contains("reads `trips` version 1: 3 rows"));
    assert_eq!(
        app.rows(&ana, r#"select * from "by city" order by city"#).await,
        json!([["Bergen", 20], ["Oslo", 40]])
    );
    let output = execution["output_dataset_id"].as_str().unwrap();
    let dataset = app.get(&format!("/api/datasets/{output}")).by(&ana).send().await.data(200);
    assert_eq!((&dataset["source_type"], &dataset["version"]), (&json!("transform"), &json!(1)));

    // Again: a version more, with the name that the dataset has by now.
    app.put(&format!("/api/datasets/{output}"))
        .by(&ana)
        .json(&json!({ "name": "totals" }))
        .send()
        .await
        .data(200);
    app.put(&format!("/api/datasets/{trips}"))
        .by(&ana)
        .json(&json!({ "name": "journeys" }))
        .send()
        .await
        .data(200);
    assert_eq!(run(&app, &ana, id).await["output_version"], 2);
    assert_eq!(app.rows(&ana, "select count(*) from totals").await, json!([[2]]));

    let path = format!("/api/transforms/{id}/executions");
    let (executions, pagination) = app.get(&path).by(&ana).send().await.list();
    assert_eq!((executions.len(), &pagination["total"], &pagination["limit"]), (2, &json!(2), &json!(20)));
    assert_eq!(executions[0]["output_version"], 2);
    let one = format!("{path}/{}", executions[1]["execution_id"].as_str().unwrap());
    assert_eq!(app.get(&one).by(&ana).send().await.data(200), execution);
    let log = app.get(&format!("{one}/log")).by(&ana).send().await;
    assert!(log.text().contains("reads `trips`"), "{}", log.text());

    app.delete(&format!("/api/transforms/{id}")).by(&ana).send().await.no_content();
    app.get(&format!("/api/transforms/{id}")).by(&ana).send().await.refused(404, "NOT_FOUND");
    assert_eq!(app.rows(&ana, "select count(*) from totals").await, json!([[2]]));
}

#[tokio::test]
async fn what_is_wrong_is_told_before_it_is_kept() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips = app.dataset(&ana, "trips", TRIPS).await;
    let sql = |code: &str| json!({ "name": "t", "language": "sql", "code": code });
    let python =
        |code: &str, inputs: Value| json!({ "name": "t", "code": code, "input_dataset_ids": inputs });
    let good = "def transform(inputs, params):\n    return inputs['trips']";
    for (body, code, expected) in [
        (sql("select frae from trips"), "UNKNOWN_NAME", "no column `frae`"),
        (sql("select * from tripz"), "UNKNOWN_NAME", "no dataset `tripz`"),
        (sql("select 1 as one"), "VALIDATION_ERROR", "reads no dataset"),
        (sql("drop table trips"), "NOT_SUPPORTED", "`DROP`"),
        (sql("select * from system.queries"), "NOT_SUPPORTED", "of the service's own"),
        (sql("select * from trips where fare > $least"), "VALIDATION_ERROR", "`$least`"),
        (sql(" "), "VALIDATION_ERROR", "`code` is empty"),
        (python(good, json!([])), "VALIDATION_ERROR", "at least one input"),
        (python(good, json!(["ds_000000000000"])), "VALIDATION_ERROR", "no dataset `ds_000000000000`"),
        (python(good, json!([trips, trips])), "VALIDATION_ERROR", "is an input twice"),
        (python("x = 1", json!([trips])), "VALIDATION_ERROR", "no function `transform`"),
        (json!({ "language": "sql", "code": "select 1" }), "VALIDATION_ERROR", "name"),
        (json!({ "name": "t", "language": "perl" }), "VALIDATION_ERROR", "`language`: unknown variant"),
        (json!({ "name": "t", "sql": "select 1" }), "VALIDATION_ERROR", "unknown field `sql`"),
    ] {
        let reply = app.post("/api/transforms").by(&ana).json(&body).send().await;
        let message = reply.refused(400, code);
        assert!(message.contains(expected), "{body}: {message}");
    }
    let (all, _) = app.get("/api/transforms").by(&ana).send().await.list();
    assert!(all.is_empty());
}

#[tokio::test]
async fn schedules_and_parameters_are_checked_too() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let with = |more: Value| {
        let mut body = json!({ "name": "t", "language": "sql", "code": "select * from trips" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, field) in [
        (json!({ "schedule_cron": "61 * * * *" }), "schedule_cron"),
        (json!({ "schedule_cron": "0 0 31 2 *" }), "schedule_cron"),
        (json!({ "schedule_cron": "0 6 * * *", "schedule_time_zone": "Tokyo" }), "schedule_time_zone"),
        (json!({ "schedule_enabled": true }), "schedule_enabled"),
        (json!({ "params": [1] }), "params"),
        (json!({ "params": { "high_water": 1 } }), "params"),
        (json!({ "params_schema": { "type": "nothing" } }), "params_schema"),
        (json!({ "retries": { "max": 11, "backoff_s": 1 } }), "retries"),
        (json!({ "timeout_s": 0 }), "timeout_s"),
        (json!({ "timeout_s": 301 }), "timeout_s"),
        (json!({ "memory_mb": 1 }), "memory_mb"),
        (json!({ "checks": [{ "kind": "unique", "columns": [] }] }), "checks"),
        (json!({ "write": { "mode": "append", "high_water": "" } }), "write"),
    ] {
        let reply = app.post("/api/transforms").by(&ana).json(&with(more.clone())).send().await;
        reply.refused(400, "VALIDATION_ERROR");
        assert_eq!(reply.details()["field"], field, "{more}: {}", reply.text());
    }
    let zone = json!({ "schedule_cron": "30 6 * * 1-5", "schedule_time_zone": "Asia/Tokyo", "schedule_enabled": true });
    let made = make(&app, &ana, &with(zone)).await;
    let next = made["next_runs"].as_array().unwrap();
    assert_eq!(next.len(), 5);
    assert!(next.iter().all(|time| time.as_str().unwrap().contains("T21:30:00")), "{next:?}");
    let next = app.get("/api/schedules/next?cron=0+0+1+1+*").by(&ana).send().await.data(200);
    assert!(next["next_runs"][0].as_str().unwrap().ends_with("-01-01T00:00:00.000000Z"), "{next}");
}

#[tokio::test]
async fn parameters_of_an_execution_go_over_those_of_the_transform() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let body = json!({
        "name": "dear", "language": "sql", "code": "select * from trips where fare >= $least",
        "params": { "least": 20 },
        "params_schema": { "type": "object", "properties": { "least": { "type": "integer", "minimum": 0 } } },
    });
    let id = super::id(&make(&app, &ana, &body).await);
    assert_eq!(run(&app, &ana, &id).await["output_row_count"], 2);
    let execution = execute(&app, &ana, &id, &json!({ "params": { "least": 30 } })).await.data(200);
    assert_eq!((&execution["output_row_count"], &execution["params"]["least"]), (&json!(1), &json!(30)));
    let reply = execute(&app, &ana, &id, &json!({ "params": { "least": -1 } })).await;
    assert!(reply.refused(400, "VALIDATION_ERROR").contains("minimum"), "{}", reply.text());
}

#[tokio::test]
async fn only_its_owner_runs_a_transform() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let admin = app.person("ada", Role::Admin).await;
    app.dataset(&ana, "trips", TRIPS).await;
    let id = sql(&app, &ana, "by city", BY_CITY).await;
    execute(&app, &ben, &id, &json!({})).await.refused(404, "NOT_FOUND");
    execute(&app, &admin, &id, &json!({})).await.refused(403, "FORBIDDEN");
    let reader = app.read_only(&ana).await;
    execute(&app, &reader, &id, &json!({})).await.refused(403, "FORBIDDEN");
    app.get(&format!("/api/transforms/{id}")).by(&reader).send().await.data(200);
    change(&app, &ben, &id, &json!({ "name": "mine" })).await.refused(404, "NOT_FOUND");
    // Ben does not see ana's dataset, so a statement of his cannot read it.
    let body = json!({ "name": "spy", "language": "sql", "code": "select * from trips" });
    app.post("/api/transforms").by(&ben).json(&body).send().await.refused(400, "UNKNOWN_NAME");
    let (of_ben, _) = app.get("/api/transforms").by(&ben).send().await.list();
    assert!(of_ben.is_empty());
    for (path, by, expected) in [
        ("?name=by%20city", &ana, 1),
        ("?name=by%20city&owner=me", &admin, 0),
        ("?name=by%20city", &admin, 1),
        ("?name=by%20city", &ben, 0),
        ("?name=by", &ana, 0),
        ("?name=by%20city&offset=1", &ana, 0),
    ] {
        let (found, _) = app.get(&format!("/api/transforms{path}")).by(by).send().await.list();
        assert_eq!(found.len(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_preview_reads_a_sample_and_keeps_nothing() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let preview = async |body: Value| app.post("/api/transforms/preview").by(&ana).json(&body).send().await;
    let transform =
        json!({ "language": "sql", "code": "select city, count(*) as n from trips group by city" });
    let first =
        preview(json!({ "transform": transform, "sample": { "kind": "first", "rows": 1 } })).await.data(200);
    assert_eq!((&first["row_count"], &first["rows"]), (&json!(1), &json!([["Oslo", 1]])));
    assert_eq!(first["columns"][1], json!({ "name": "n", "type": "int64", "nullable": false }));
    let condition = json!({ "kind": "where", "condition": "fare > 15 -- dear ones" });
    let found = preview(json!({ "transform": transform, "sample": condition })).await.data(200);
    assert_eq!(found["row_count"], 2);
    let random =
        preview(json!({ "transform": transform, "sample": { "kind": "random", "share": 1.0 } })).await;
    assert_eq!(random.data(200)["row_count"], 2);
    for wrong in [json!({ "kind": "random", "share": 0.0 }), json!({ "kind": "first", "rows": 0 })] {
        preview(json!({ "transform": transform, "sample": wrong })).await.refused(400, "VALIDATION_ERROR");
    }
    let wrong = preview(json!({ "transform": { "language": "sql", "code": "select x from trips" } })).await;
    assert!(wrong.refused(400, "UNKNOWN_NAME").contains("`x`"));
    let (datasets, _) = app.get("/api/datasets").by(&ana).send().await.list();
    assert_eq!(datasets.len(), 1);
}
