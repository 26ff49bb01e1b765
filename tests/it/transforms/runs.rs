//! Executions while they run: one at a time, asynchronous, cancelled, and told of afterwards.

use serde_json::{Value, json};
use shirabe::auth::Role;

use super::{TRIPS, execute, sql};
use crate::support::TestApp;

/// Takes as long as it is let.
const ENDLESS: &str = "select sum(a.x * b.x % 7) as s from trips, (select value as x from generate_series(1, 100000)) a, (select value as x from generate_series(1, 10000000)) b";

#[tokio::test]
async fn one_runs_at_a_time_and_can_be_stopped() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let id = sql(&app, &ana, "endless", ENDLESS).await;
    let path = format!("/api/transforms/{id}/execute");
    let begun = app.post(&path).by(&ana).header("prefer", "respond-async").json(&json!({})).send().await;
    let execution = begun.data(202);
    assert_eq!((&execution["status"], &execution["finished_at"]), (&json!("running"), &Value::Null));
    let place = begun.header("location").to_owned();
    assert_eq!(begun.header("preference-applied"), "respond-async");

    let second = execute(&app, &ana, &id, &json!({})).await;
    second.refused(409, "CONFLICT");
    assert_eq!(second.details()["execution_id"], execution["execution_id"]);

    let cancelled = app.post(&format!("{place}/cancel")).by(&ana).send().await.data(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["failure"]["code"]),
        (&json!("failed"), &json!("CANCELLED"))
    );
    app.post(&format!("{place}/cancel")).by(&ana).send().await.refused(409, "CONFLICT");
    app.query(&ana, "select * from endless").await.refused(400, "UNKNOWN_NAME");
    // It lets the next one begin.
    let next = app.post(&path).by(&ana).header("prefer", "respond-async").json(&json!({})).send().await;
    let place = format!("{}/cancel", next.header("location"));
    next.data(202);
    app.post(&place).by(&ana).send().await.data(200);
}

#[tokio::test]
async fn a_run_ends_by_its_deadline() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let body = json!({ "name": "slow", "language": "sql", "code": ENDLESS, "timeout_s": 1 });
    let id = super::id(&super::make(&app, &ana, &body).await);
    let message = execute(&app, &ana, &id, &json!({})).await.refused(408, "EXECUTION_TIMEOUT");
    assert_eq!(message, "it ran longer than 1 s and was stopped");
}

#[tokio::test]
async fn inputs_stay_and_whoever_may_not_sign_in_runs_nothing() {
    let app = TestApp::new();
    let (ana, admin) = (app.ana().await, app.person("ada", Role::Admin).await);
    app.dataset(&ana, "trips", TRIPS).await;
    let other = app.dataset(&ana, "more", "x\n1\n").await;
    let id = sql(&app, &ana, "t", "select * from trips, more").await;
    app.delete(&format!("/api/datasets/{other}")).by(&ana).send().await.refused(409, "CONFLICT");
    let off = json!({ "disabled": true });
    app.put(&format!("/api/users/{}", ana.id)).by(&admin).json(&off).send().await.data(200);
    execute(&app, &ana, &id, &json!({})).await.refused(401, "INVALID_TOKEN");
    let on = json!({ "disabled": false });
    app.put(&format!("/api/users/{}", ana.id)).by(&admin).json(&on).send().await.data(200);
    assert_eq!(super::run(&app, &ana, &id).await["status"], "success");
}
