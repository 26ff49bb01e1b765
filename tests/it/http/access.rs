//! Who reaches which dataset: every route, every kind of caller, every kind of dataset, against a table of its own.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::json;
use shirabe::auth::Role;

use crate::support::{Call, Form, Person, Reply, TestApp};

const CSV: &str = "a,b\n1,x\n";

/// What a route does to a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Read,
    Write,
    Delete,
}

#[derive(Debug)]
struct Route {
    method: Method,
    path: &'static str,
    does: Does,
    /// The status for who may.
    good: u16,
    body: fn(Call) -> Call,
}

const ID: &str = "{dataset_id}";

fn routes() -> Vec<Route> {
    let route = |method, path, does, good, body| Route { method, path, does, good, body };
    let read = |path| route(Method::GET, path, Does::Read, 200, |call| call);
    let newer = |call: Call| call.form(Form::new().file("t.csv", CSV));
    vec![
        read("/api/datasets/{dataset_id}"),
        read("/api/datasets/{dataset_id}/preview"),
        read("/api/datasets/{dataset_id}/columns/{column}/values"),
        read("/api/datasets/{dataset_id}/columns/{column}/profile"),
        read("/api/datasets/{dataset_id}/profile"),
        read("/api/datasets/{dataset_id}/export"),
        read("/api/datasets/{dataset_id}/versions"),
        read("/api/datasets/{dataset_id}/versions/compare"),
        read("/api/datasets/{dataset_id}/lineage"),
        route(Method::POST, "/api/datasets/{dataset_id}/versions/diff", Does::Read, 200, |call| {
            call.json(&json!({ "from": 1, "to": 1, "keys": ["a"] }))
        }),
        read("/api/datasets/{dataset_id}/versions/{number}"),
        read("/api/datasets/{dataset_id}/versions/{number}/quarantine"),
        route(Method::PUT, "/api/datasets/{dataset_id}", Does::Write, 200, |call| {
            call.json(&json!({ "description": "seen" }))
        }),
        route(Method::POST, "/api/datasets/{dataset_id}/reimport", Does::Write, 200, newer),
        route(Method::POST, "/api/datasets/{dataset_id}/reimport/dry-run", Does::Write, 200, newer),
        // The recorded source of an upload is gone, so who may is told so.
        route(Method::POST, "/api/datasets/{dataset_id}/import", Does::Write, 400, |call| {
            call.json(&json!({ "force": true }))
        }),
        route(Method::POST, "/api/datasets/{dataset_id}/versions/{number}/restore", Does::Write, 200, |c| c),
        route(Method::DELETE, "/api/datasets/{dataset_id}", Does::Delete, 204, |call| call),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    OtherUser,
    Admin,
    OwnersReadOnlyKey,
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Owners,
    SomebodyElses,
    Absent,
}

/// What must come. Written from the contract, not from the code.
fn expected(who: Who, whose: Whose, route: &Route) -> u16 {
    match (who, whose) {
        (Who::Nobody, _) => 401,
        (_, Whose::Absent) => 404,
        (Who::Admin, _) | (Who::Owner, Whose::Owners) => route.good,
        (Who::OwnersReadOnlyKey, Whose::Owners) if route.does == Does::Read => route.good,
        (Who::OwnersReadOnlyKey, Whose::Owners) => 403,
        (Who::OtherUser, Whose::Owners) => 404,
        (Who::Owner | Who::OtherUser | Who::OwnersReadOnlyKey, Whose::SomebodyElses) => 404,
    }
}

/// The service with everybody in it.
struct House {
    app: TestApp,
    people: Vec<(Who, Option<Person>)>,
    owner: Person,
    stranger: Person,
}

impl House {
    async fn new() -> Self {
        let app = TestApp::new();
        let (owner, stranger) = (app.ana().await, app.person("zoe", Role::User).await);
        let people = vec![
            (Who::Nobody, None),
            (Who::OtherUser, Some(app.person("ben", Role::User).await)),
            (Who::OwnersReadOnlyKey, Some(app.read_only(&owner).await)),
            (Who::Owner, Some(owner.clone())),
            (Who::Admin, Some(app.person("admin", Role::Admin).await)),
        ];
        Self { app, people, owner, stranger }
    }

    async fn dataset(&self, whose: Whose) -> String {
        match whose {
            Whose::Owners => self.app.dataset(&self.owner, "owners", CSV).await,
            Whose::SomebodyElses => self.app.dataset(&self.stranger, "strangers", CSV).await,
            Whose::Absent => "ds_ffffffffffffffffffffffffffffffff".to_owned(),
        }
    }

    async fn ask(&self, route: &Route, id: &str, by: Option<&Person>) -> Reply {
        let path = route.path.replace(ID, id).replace("{column}", "a").replace("{number}", "1");
        let path = if path.ends_with("/compare") { format!("{path}?from=1&to=1") } else { path };
        let call = (route.body)(self.app.call(route.method.clone(), &path));
        match by {
            Some(person) => call.by(person).send().await,
            None => call.send().await,
        }
    }
}

/// The whole body of an answer but for the ids in it.
fn told(reply: &Reply, id: &str) -> String {
    let error = &reply.json()["error"];
    error.to_string().replace(id, "[id]")
}

#[tokio::test]
async fn every_cell_of_the_table_of_rights() {
    let house = House::new().await;
    let mut ids = [
        (Whose::Owners, house.dataset(Whose::Owners).await),
        (Whose::SomebodyElses, house.dataset(Whose::SomebodyElses).await),
        (Whose::Absent, house.dataset(Whose::Absent).await),
    ];
    let absent_id = ids[2].1.clone();
    for route in routes() {
        for (who, person) in &house.people {
            let absent = house.ask(&route, &absent_id, person.as_ref()).await;
            for (whose, id) in &mut ids {
                let reply = house.ask(&route, id, person.as_ref()).await;
                let cell = format!("{who:?} {} {} of {whose:?}", route.method, route.path);
                assert_eq!(
                    reply.status,
                    expected(*who, *whose, &route),
                    "{cell}: {}",
                    String::from_utf8_lossy(&reply.bytes)
                );
                if reply.status == 404 {
                    assert_eq!(told(&reply, id), told(&absent, &absent_id), "{cell} tells that it is there");
                }
                if reply.status == 204 {
                    *id = house.dataset(*whose).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn the_table_has_every_route_of_a_dataset() {
    let app = TestApp::new();
    let document = app.get("/api/openapi.json").send().await.json();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        if path.starts_with("/api/datasets/{dataset_id}") {
            let methods = operations.as_object().unwrap().keys();
            let methods =
                methods.filter(|key| matches!(key.as_str(), "get" | "put" | "post" | "delete" | "patch"));
            documented.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
        }
    }
    let tested: BTreeSet<_> =
        routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(tested, documented);
}

#[tokio::test]
async fn names_of_others_are_not_given_away() {
    let house = House::new().await;
    house.dataset(Whose::SomebodyElses).await;
    let (app, owner) = (&house.app, &house.owner);
    let (found, _) = app.get("/api/datasets?name=strangers").by(owner).send().await.list();
    assert!(found.is_empty());
    assert!(!app.get("/api/datasets").by(owner).send().await.text().contains("strangers"));
}
