//! The gate before publishing: a failed check keeps the old version in force, and says why.

use serde_json::{Value, json};

use super::{TRIPS, change, execute, make, reimport, run};
use crate::support::TestApp;

const COPY: &str = "select * from trips";

#[tokio::test]
async fn each_check_passes_and_fails() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips = app.dataset(&ana, "trips", TRIPS).await;
    let checks = json!([
        { "kind": "not_null", "column": "city" },
        { "kind": "unique", "columns": ["city", "day"] },
        { "kind": "accepted_values", "column": "city", "values": ["Oslo", "Bergen"] },
        { "kind": "range", "column": "fare", "min": 0, "max": 100 },
        { "kind": "range", "column": "day", "min": "2024-01-01" },
        { "kind": "row_count", "min": 1, "max": 10 },
        { "kind": "row_count_change", "max_decrease": 0.5, "max_increase": 0.5 },
        { "kind": "schema" },
        { "kind": "sql", "name": "no free rides", "sql": "select city, fare from candidate where fare = 0" },
    ]);
    let body = json!({ "name": "copy", "language": "sql", "code": COPY, "checks": checks });
    let id = super::id(&make(&app, &ana, &body).await);
    let passed = run(&app, &ana, &id).await;
    let results = passed["checks"].as_array().unwrap();
    assert_eq!(results.len(), 9);
    assert!(results.iter().all(|result| result["passed"] == true), "{results:?}");

    for (csv, failed) in [
        (
            "city,day,fare\nOslo,2024-01-01,1\n,2024-01-02,2\nOslo,2024-01-03,2\n",
            "not_null(city): 1 rows have no `city`",
        ),
        (
            "city,day,fare\nOslo,2024-01-01,1\nOslo,2024-01-01,2\nBergen,2024-01-01,2\n",
            "unique(city, day): 2 rows share",
        ),
        (
            "city,day,fare\nRome,2024-01-01,1\nOslo,2024-01-01,2\nOslo,2024-01-03,2\n",
            "accepted_values(city): 1 rows",
        ),
        ("city,day,fare\nOslo,2024-01-01,101\nOslo,2024-01-02,1\nOslo,2024-01-03,2\n", "range(fare): 1 rows"),
        ("city,day,fare\nOslo,2023-12-31,11\nOslo,2024-01-02,1\nOslo,2024-01-03,2\n", "range(day): 1 rows"),
        ("city,day,fare\nOslo,2024-01-01,1\n", "row_count_change: 3 rows before, 1 now: a change of -66.7 %"),
        (
            "city,day,fare\nOslo,2024-01-01,1\nOslo,2024-01-02,0\nOslo,2024-01-03,2\n",
            "sql(no free rides): the statement found rows, the first of which is city = Oslo, fare = 0",
        ),
    ] {
        reimport(&app, &ana, &trips, csv).await.data(200);
        let reply = execute(&app, &ana, &id, &json!({})).await;
        let message = reply.refused(412, "PRECONDITION_FAILED");
        assert!(message.contains(failed) && message.contains("version 1 stays in force"), "{message}");
        assert_eq!(app.rows(&ana, "select count(*) from copy").await, json!([[3]]));
    }
    let path = format!("/api/transforms/{id}/executions?limit=1");
    let (last, _) = app.get(&path).by(&ana).send().await.list();
    assert_eq!(
        (&last[0]["status"], &last[0]["failure"]["code"]),
        (&json!("failed"), &json!("PRECONDITION_FAILED"))
    );
    assert_eq!(last[0]["output_version"], Value::Null);
}

#[tokio::test]
async fn a_check_that_cannot_be_asked_has_not_passed() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let body = json!({ "name": "copy", "language": "sql", "code": COPY });
    let id = super::id(&make(&app, &ana, &body).await);
    for (check, expected) in [
        (json!({ "kind": "not_null", "column": "town" }), "there is no column `town`"),
        (json!({ "kind": "sql", "name": "x", "sql": "select * from secrets" }), "it cannot be asked"),
        (json!({ "kind": "sql", "name": "x", "sql": "delete from candidate" }), "it cannot be asked"),
        (json!({ "kind": "freshness", "column": "day", "max_age_hours": 24 }), "more than 24 hours old"),
        (json!({ "kind": "row_count", "min": 4 }), "expected at least 4 rows, got 3"),
    ] {
        change(&app, &ana, &id, &json!({ "checks": [check] })).await.data(200);
        let message = execute(&app, &ana, &id, &json!({})).await.refused(412, "PRECONDITION_FAILED");
        assert!(message.contains(expected) && message.contains("nothing was published"), "{message}");
        app.query(&ana, "select * from copy").await.refused(400, "UNKNOWN_NAME");
    }
}

#[tokio::test]
async fn a_schema_that_breaks_readers_does_not_pass_and_an_old_version_comes_back() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let body = json!({ "name": "copy", "language": "sql", "code": COPY, "checks": [{ "kind": "schema" }] });
    let id = super::id(&make(&app, &ana, &body).await);
    run(&app, &ana, &id).await;
    change(&app, &ana, &id, &json!({ "code": "select city, cast(fare as varchar) as fare from trips" }))
        .await
        .data(200);
    let message = execute(&app, &ana, &id, &json!({})).await.refused(412, "PRECONDITION_FAILED");
    assert!(message.contains("`day` is gone, `fare` was int64 and is string"), "{message}");
    change(&app, &ana, &id, &json!({ "code": "select *, fare * 2 as twice from trips", "checks": [] }))
        .await
        .data(200);
    let second = run(&app, &ana, &id).await;
    assert_eq!(second["output_version"], 2);
    let output = second["output_dataset_id"].as_str().unwrap();
    let restored =
        app.post(&format!("/api/datasets/{output}/versions/1/restore")).by(&ana).send().await.data(200);
    assert_eq!((&restored["version"], &restored["column_count"]), (&json!(3), &json!(3)));
}
