//! `shirabe copy`: an installation goes to other stores and back, and is the same service there.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};
use shirabe::auth::Role;
use shirabe::catalog::store::{Begun, RecordsPlace, Stores, every};
use shirabe::catalog::transform::{ExecutionRecord, Reason, TransformRecord};
use shirabe::cli::Host as _;
use shirabe::config::Config;
use shirabe::embedded::Embedded;
use shirabe::error::{Code, Error};
use shirabe::ids::{DatasetId, UserId};
use tempfile::TempDir;

use crate::dynamo;
use crate::s3::TestBucket;
use crate::support::records::{at, ended, execution, transform};
use crate::support::{Form, Person, TestApp};

type Settings = Vec<(String, String)>;

/// What a copy counted, by what.
type Counts = HashMap<&'static str, u64>;

fn folder(path: &Path) -> Settings {
    vec![("DATA_DIR".to_owned(), path.to_str().unwrap().to_owned())]
}

async fn copy(from: &Settings, to: &Settings) -> Result<Counts, Error> {
    let [from, to] = [from, to].map(|settings| {
        let find = |name: &str| settings.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        Config::from_lookup(&find).unwrap()
    });
    Ok(Embedded.copy(from, to, true).await?.into_iter().collect())
}

/// A folder with a user, a macro, and a dataset of two versions.
async fn installation() -> (TempDir, Person, String) {
    let app = TestApp::new();
    let ana = app.ana().await;
    let form = Form::new().file("sales.csv", "shop,amount\nGinza,1\nNamba,2\n");
    let id = app.post("/api/datasets").by(&ana).form(form).send().await.data(201)["dataset_id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let form = Form::new().file("sales.csv", "shop,amount\nGinza,1\nNamba,2\nUmeda,4\n");
    app.post(&format!("/api/datasets/{id}/reimport")).by(&ana).form(form).send().await.data(200);
    let body = json!({ "name": "doubled", "parameters": [{ "name": "n" }], "expression": "n * 2" });
    app.post("/api/macros").by(&ana).json(&body).send().await.data(201);
    (app.close(), ana, id)
}

/// The records of a folder that no service has open.
fn records(of: &TempDir) -> Stores {
    RecordsPlace::File(of.path().join("shirabe.db")).open().unwrap().stores().clone()
}

/// What the folder has of one transform, revisions apart: how often something was changed is its own.
async fn of_transform(stores: &Stores, record: &TransformRecord) -> (TransformRecord, Vec<ExecutionRecord>) {
    let found = stores.transforms.lookup(std::slice::from_ref(&record.id)).await.unwrap().remove(0);
    let executions = &stores.executions;
    let listed = every(|page| async move { Ok(executions.list(&record.id, page).await?.0) }).await.unwrap();
    let listed = listed.into_iter().map(|found| ExecutionRecord { revision: 0, ..found });
    (TransformRecord { revision: 0, ..found }, listed.collect())
}

/// A transform with an execution by the clock, one by hand, and one that runs.
async fn transformed(folder: &TempDir, owner: &Person) -> (TransformRecord, Vec<ExecutionRecord>) {
    let stores = records(folder);
    let record = transform(&UserId::parse(&owner.id).unwrap(), at(0));
    stores.transforms.put(record.clone()).await.unwrap();
    let due =
        ExecutionRecord { reason: Reason::Due, scheduled_at: Some(at(60)), ..execution(&record.id, at(61)) };
    let made = vec![execution(&record.id, at(63)), ended(&execution(&record.id, at(62))), ended(&due)];
    for execution in made.iter().rev() {
        assert_eq!(stores.executions.begin(execution.clone()).await.unwrap(), Begun::Yes);
    }
    (record, made)
}

/// That `app` is what was installed: the same key, rows of both versions, macro and log, and all files as they were.
async fn check(app: &TestApp, ana: &Person) {
    let total = "select count(*) as n, sum(doubled(amount)) as total from sales";
    assert_eq!(app.rows(ana, total).await, json!([[3, 14]]));
    let first = json!({ "sql": "select count(*) as n from sales", "as_of": "1" });
    let first = app.post("/api/query").by(ana).json(&first).send().await.data(200);
    assert_eq!(first["rows"], json!([[2]]), "{first}");
    assert_eq!(app.findings().await, json!([]));
    let listed = app.get("/api/datasets").by(ana).send().await.data(200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let asked: Value = app.get("/api/queries?limit=100").by(ana).send().await.data(200);
    assert!(asked.as_array().is_some_and(|asked| !asked.is_empty()), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_copied_once() {
    let (source, ana, _) = installation().await;
    let target = tempfile::tempdir().unwrap();
    let (from, to) = (folder(source.path()), folder(target.path()));
    let first = copy(&from, &to).await.unwrap();
    for (what, count) in
        [("users", 1), ("keys", 1), ("macros", 1), ("datasets", 1), ("versions", 2), ("objects", 4)]
    {
        assert_eq!(first[what], count, "{what}: {first:?}");
    }
    assert!(first["audit records"] > 0, "{first:?}");
    let again = copy(&from, &to).await.unwrap();
    for what in ["users", "keys", "macros", "datasets", "versions", "objects", "bytes"] {
        assert_eq!(again[what], 0, "{what}: {again:?}");
    }
    assert_eq!(again["objects verified"], 4, "{again:?}");
    check(&TestApp::on(target, &[]), &ana).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_follows() {
    let (source, ana, id) = installation().await;
    let target = tempfile::tempdir().unwrap();
    copy(&folder(source.path()), &folder(target.path())).await.unwrap();
    let app = TestApp::on(source, &[]);
    let form = Form::new().file("sales.csv", "shop,amount\nGinza,7\n");
    app.post(&format!("/api/datasets/{id}/reimport")).by(&ana).form(form).send().await.data(200);
    app.put(&format!("/api/datasets/{id}")).by(&ana).json(&json!({ "name": "sold" })).send().await.data(200);
    let source = app.close();
    let next = copy(&folder(source.path()), &folder(target.path())).await.unwrap();
    assert_eq!((next["datasets"], next["versions"], next["users"]), (0, 1, 0), "{next:?}");
    let app = TestApp::on(target, &[]);
    assert_eq!(app.rows(&ana, "select sum(amount) as total from sold").await, json!([[7]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_nothing_shows_it() {
    let (source, ana, id) = installation().await;
    let target = tempfile::tempdir().unwrap();
    // The file of the second version.
    let data = source.path().join("objects/datasets").join(&id).join("data");
    let mut labels: Vec<_> = data.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    labels.sort();
    let file = labels.last().unwrap().join("part-0000.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = copy(&folder(source.path()), &folder(target.path())).await.unwrap_err();
    assert_eq!(error.code(), Code::StorageDamaged, "{error}");
    assert!(error.to_string().contains("part-0000.parquet"), "{error}");
    let app = TestApp::on(target, &[]);
    assert_eq!(app.rows(&ana, "select count(*) as n from sales").await, json!([[2]]), "the version before");
    assert_eq!(app.findings().await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_has_is_not_taken_over() {
    let (source, ana, _) = installation().await;
    let other = TestApp::new();
    other.ana().await;
    let target = other.close();
    let error = copy(&folder(source.path()), &folder(target.path())).await.unwrap_err();
    assert_eq!(error.code(), Code::DuplicateError, "{error}");
    assert!(error.to_string().contains(&format!("another user `{}`", ana.email)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_left_alone() {
    let app = TestApp::new();
    app.person("root", Role::Admin).await;
    let target = tempfile::tempdir().unwrap();
    let error = copy(&folder(app.path()), &folder(target.path())).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transforms_go_along_and_what_runs_when_it_has_ended() {
    let (source, ana, _) = installation().await;
    let (record, executions) = transformed(&source, &ana).await;
    let target = tempfile::tempdir().unwrap();
    let (from, to) = (folder(source.path()), folder(target.path()));
    let first = copy(&from, &to).await.unwrap();
    assert_eq!((first["transforms"], first["executions"]), (1, 2), "{first:?}");
    let found = of_transform(&records(&target), &record).await;
    assert_eq!(found, (record.clone(), executions[1..].to_vec()));
    let again = copy(&from, &to).await.unwrap();
    assert_eq!((again["transforms"], again["executions"]), (0, 0), "{again:?}");

    // It reads something else now, its last run has ended, and of one before it less is kept.
    let mut changed = TransformRecord { revision: 1, ..record.clone() };
    let before = std::mem::replace(&mut changed.inputs[0].dataset_id, DatasetId::random());
    let last = ended(&executions[0]);
    let shorter = ExecutionRecord { log: String::new(), ..executions[1].clone() };
    let stores = records(&source);
    stores.transforms.put(changed.clone()).await.unwrap();
    for execution in [&last, &shorter] {
        stores.executions.put(ExecutionRecord { revision: 1, ..execution.clone() }).await.unwrap();
    }
    drop(stores);
    let next = copy(&from, &to).await.unwrap();
    assert_eq!((next["transforms"], next["executions"]), (1, 2), "{next:?}");
    let stores = records(&target);
    let expected = vec![last, shorter, executions[2].clone()];
    assert_eq!(of_transform(&stores, &record).await, (TransformRecord { revision: 0, ..changed }, expected));
    assert_eq!(stores.transforms.readers(&before).await.unwrap(), []);
    assert_eq!(stores.executions.last_due(&record.id).await.unwrap(), Some(at(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_that_the_target_has_run_itself_is_not_taken_over() {
    let (source, ana, _) = installation().await;
    let (record, executions) = transformed(&source, &ana).await;
    let target = tempfile::tempdir().unwrap();
    let (from, to) = (folder(source.path()), folder(target.path()));
    let own = ExecutionRecord { scheduled_at: Some(at(60)), ..execution(&record.id, at(64)) };
    records(&target).executions.begin(ended(&own)).await.unwrap();
    let error = copy(&from, &to).await.unwrap_err();
    assert_eq!(error.code(), Code::DuplicateError, "{error}");
    let expected = format!(
        "another execution of the transform `{}`, started at {}",
        record.id, executions[2].started_at
    );
    assert!(error.to_string().contains(&expected), "{error}");
}

/// To the stores of production, and back into a folder: a backup, and its restore.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_goes_to_the_cloud_and_back() {
    let Some(bucket) = TestBucket::new().await else { return };
    let Some(server) = dynamo::server() else { return };
    let region = dynamo::region();
    dynamo::make_tables(&server, &region).await;
    let (source, ana, _) = installation().await;
    let (record, executions) = transformed(&source, &ana).await;
    let expected = (record.clone(), executions[1..].to_vec());
    let spool = tempfile::tempdir().unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut cloud: Settings = bucket.settings().iter().map(owned).collect();
    cloud.extend(
        [("DYNAMODB_ENDPOINT", server.as_str()), ("DYNAMODB_REGION", region.as_str())].iter().map(owned),
    );
    cloud.extend(folder(spool.path()));
    let up = copy(&folder(source.path()), &cloud).await.unwrap();
    assert_eq!((up["versions"], up["objects"], up["objects verified"]), (2, 4, 4), "{up:?}");
    assert_eq!((up["transforms"], up["executions"]), (1, 2), "{up:?}");
    assert_eq!(of_transform(&dynamo::stores(&server, &region), &record).await, expected);
    let again = copy(&folder(source.path()), &cloud).await.unwrap();
    assert_eq!((again["versions"], again["transforms"], again["executions"]), (0, 0, 0), "{again:?}");

    let settings: Vec<_> = cloud.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let service = TestApp::on(spool, &settings);
    check(&service, &ana).await;
    // While the service runs: its stores are shared.
    let backup = tempfile::tempdir().unwrap();
    let down = copy(&cloud, &folder(backup.path())).await.unwrap();
    assert_eq!((down["users"], down["versions"], down["objects"]), (1, 2, 4), "{down:?}");
    assert_eq!((down["transforms"], down["executions"]), (1, 2), "{down:?}");
    assert_eq!(of_transform(&records(&backup), &record).await, expected);
    check(&TestApp::on(backup, &[]), &ana).await;
}
