//! Executions while they run: one at a time, asynchronous, cancelled, and told of afterwards.

use serde_json::{Value, json};
use shirabe::auth::Role;
use shirabe::catalog::record::AuditEvent;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::catalog::store::{Change, Commit, PageRequest, Stores};
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::ids::DatasetId;

use super::{TRIPS, execute, sql};
use crate::crash::server::until;
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

/// Files below a folder, how deep ever.
fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { 1 };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_of_a_cancelled_run_is_removed() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let check = json!({ "kind": "sql", "name": "endless", "sql": ENDLESS.replace("trips", "candidate") });
    let body = json!({ "name": "t", "language": "sql", "code": "select * from trips", "checks": [check] });
    let transform = super::make(&app, &ana, &body).await;
    let stored = app.path().join("objects/datasets").join(transform["output_dataset_id"].as_str().unwrap());
    let path = format!("/api/transforms/{}/execute", super::id(&transform));
    let begun = app.post(&path).by(&ana).header("prefer", "respond-async").json(&json!({})).send().await;
    begun.data(202);
    // Its rows are stored, and its check goes on for ever.
    until(|| files(&stored) > 0).await;
    app.post(&format!("{}/cancel", begun.header("location"))).by(&ana).send().await.data(200);
    until(|| files(&stored) == 0).await;
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

/// What is below a service that has ended.
fn stores(folder: &tempfile::TempDir) -> Stores {
    SqliteStore::open(folder.path().join("shirabe.db")).unwrap().stores()
}

/// The service refuses to delete what a transform reads, but between the trigger and the run another version of it, or
/// somebody at the records, may have done it.
#[tokio::test]
async fn an_input_that_is_gone_is_named() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let trips: DatasetId = app.dataset(&ana, "trips", TRIPS).await.parse().unwrap();
    let id = sql(&app, &ana, "t", "select * from trips").await;
    super::run(&app, &ana, &id).await;
    let folder = app.close();
    let change = Change::Delete { id: trips.clone(), revision: 1, at: SystemClock.now() };
    stores(&folder).datasets.commit(Commit::of(change)).await.unwrap();

    let app = TestApp::on(folder, &[]);
    let message = execute(&app, &ana, &id, &json!({})).await.refused(400, "VALIDATION_ERROR");
    assert_eq!(message, "no dataset `trips`");
    let executions = app.get(&format!("/api/transforms/{id}/executions")).by(&ana).send().await.data(200);
    assert_eq!(executions[0]["status"], "failed", "{executions}");
    assert_eq!(app.rows(&ana, "select count(*) from t").await, json!([[3]]), "the version in force stays");
}

#[tokio::test]
async fn what_ran_is_in_the_audit_log() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "trips", TRIPS).await;
    let good = sql(&app, &ana, "good", "select * from trips").await;
    let bad = sql(&app, &ana, "bad", "select 10 / (fare - fare) as x from trips").await;
    let done = super::run(&app, &ana, &good).await;
    execute(&app, &ana, &bad, &json!({})).await.refused(422, "BAD_DATA");

    let folder = app.close();
    let page = stores(&folder).audit.list(PageRequest::first(100)).await.unwrap();
    let mut events = page.items.iter().filter(|record| record.target_type == "transform");
    let [failed, executed] = [events.next().unwrap(), events.next().unwrap()];
    assert!(events.next().is_none());
    assert_eq!((failed.event, failed.target_id.as_str()), (AuditEvent::TransformFailed, bad.as_str()));
    assert_eq!((executed.event, executed.target_id.as_str()), (AuditEvent::TransformExecuted, good.as_str()));
    assert!(
        [failed, executed]
            .iter()
            .all(|record| record.user_id.as_ref().is_some_and(|id| id.as_str() == ana.id))
    );
    assert_eq!(executed.details["execution_id"], done["execution_id"], "{}", executed.details);
    assert!(failed.details.to_string().contains("BAD_DATA"), "{}", failed.details);
}
