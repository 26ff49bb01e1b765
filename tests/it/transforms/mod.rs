//! Transforms as their authors meet them: over HTTP, on real data.

mod basics;
mod depends;
mod diff;
mod gate;
mod incremental;
mod python;
mod runs;

use serde_json::{Value, json};

use crate::support::{Person, Reply, TestApp};

/// Trips of two cities.
pub(super) const TRIPS: &str =
    "city,day,fare\nOslo,2024-01-01,10\nBergen,2024-01-01,20\nOslo,2024-01-02,30\n";

/// The statement that most tests keep as a transform.
pub(super) const BY_CITY: &str = "select city, sum(fare) as total from trips group by city order by city";

/// Makes a transform; its view.
pub(super) async fn make(app: &TestApp, by: &Person, body: &Value) -> Value {
    app.post("/api/transforms").by(by).json(body).send().await.data(201)
}

/// Makes a transform in SQL; its id.
pub(super) async fn sql(app: &TestApp, by: &Person, name: &str, code: &str) -> String {
    let body = json!({ "name": name, "language": "sql", "code": code });
    id(&make(app, by, &body).await)
}

pub(super) fn id(view: &Value) -> String {
    view["transform_id"].as_str().unwrap().to_owned()
}

pub(super) async fn execute(app: &TestApp, by: &Person, id: &str, body: &Value) -> Reply {
    app.post(&format!("/api/transforms/{id}/execute")).by(by).json(body).send().await
}

/// Runs a transform that has to succeed; its execution.
pub(super) async fn run(app: &TestApp, by: &Person, id: &str) -> Value {
    execute(app, by, id, &json!({})).await.data(200)
}

pub(super) async fn change(app: &TestApp, by: &Person, id: &str, body: &Value) -> Reply {
    app.put(&format!("/api/transforms/{id}")).by(by).json(body).send().await
}

pub(super) async fn reimport(app: &TestApp, by: &Person, dataset: &str, csv: &str) -> Reply {
    let form = crate::support::Form::new().file("trips.csv", csv);
    app.post(&format!("/api/datasets/{dataset}/reimport")).by(by).form(form).send().await
}
