//! Macros: make, see, call, change, remove, and who may.

use serde_json::{Value, json};
use shirabe::auth::Role;

use crate::support::{Person, TestApp};

async fn make(app: &TestApp, by: &Person, name: &str, expression: &str) -> Value {
    let body = json!({ "name": name, "parameters": [{ "name": "x" }], "expression": expression });
    app.post("/api/macros").by(by).json(&body).send().await.data(201)
}

async fn share(app: &TestApp, by: &Person, name: &str, expression: &str) -> Value {
    let body =
        json!({ "name": name, "parameters": [{ "name": "x" }], "expression": expression, "shared": true });
    app.post("/api/macros").by(by).json(&body).send().await.data(201)
}

#[tokio::test]
async fn a_macro_lives_from_its_making_to_its_end() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let body = json!({
        "name": "margin",
        "parameters": [{ "name": "sales", "type": "DECIMAL(18, 2)" }, { "name": "cost" }],
        "expression": "safe_divide(sales - cost, sales)",
        "description": "粗利率",
    });
    let reply = app.post("/api/macros").by(&ana).json(&body).send().await;
    let made = reply.data(201);
    let id = made["macro_id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/api/macros/{id}"));
    for (field, expected) in body.as_object().unwrap() {
        assert_eq!(&made[field], expected);
    }
    assert_eq!((&made["shared"], &made["owner_id"]), (&json!(false), &json!(ana.id)));
    assert_eq!(made["created_at"], made["updated_at"]);
    for place in [id, "margin", "MARGIN"] {
        assert_eq!(app.get(&format!("/api/macros/{place}")).by(&ana).send().await.data(200), made);
    }
    assert_eq!(app.get("/api/macros").by(&ana).send().await.data(200), json!([made]));

    let rows = app.rows(&ana, "select margin(80, 60), margin(sum(x), 1) from (values (1), (3)) t(x)").await;
    assert_eq!(rows[0][0], "0.25000000");
    assert_eq!(rows[0][1], "0.75000000");

    let change = json!({ "expression": "sales - cost" });
    let changed = app.put(&format!("/api/macros/{id}")).by(&ana).json(&change).send().await.data(200);
    assert_eq!((&changed["expression"], &changed["name"]), (&json!("sales - cost"), &json!("margin")));
    assert_eq!(app.rows(&ana, "select margin(80, 60)").await[0][0], "20.00");

    assert_eq!(app.delete("/api/macros/margin").by(&ana).send().await.status, 204);
    app.delete("/api/macros/margin").by(&ana).send().await.refused(404, "NOT_FOUND");
    app.query(&ana, "select margin(80, 60)").await.refused(400, "UNKNOWN_NAME");
}

#[tokio::test]
async fn columns_are_called_as_they_were_asked_for() {
    let app = TestApp::new();
    let ana = app.ana().await;
    make(&app, &ana, "twice", "x + x").await;
    let reply = app.query(&ana, "select twice(4), twice(5) as ten, 1 + twice(6) as more").await.data(200);
    let names: Vec<_> =
        reply["columns"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
    assert_eq!(names, ["twice(4)", "ten", "more"]);
    assert_eq!(reply["rows"], json!([[8, 10, 13]]));
}

#[tokio::test]
async fn everybody_sees_what_is_shared_and_nobody_sees_anothers() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", Role::User).await);
    let admin = app.person("admin", Role::Admin).await;
    let reader = app.read_only(&ben).await;
    let mine = make(&app, &ana, "rate", "x * 2").await;
    let id = mine["macro_id"].as_str().unwrap();
    for path in [format!("/api/macros/{id}"), "/api/macros/rate".to_owned()] {
        app.get(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
        app.put(&path).by(&ben).json(&json!({ "expression": "x" })).send().await.refused(404, "NOT_FOUND");
        app.delete(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
    }
    app.query(&ben, "select rate(1)").await.refused(400, "UNKNOWN_NAME");
    assert_eq!(app.get(&format!("/api/macros/{id}")).by(&admin).send().await.data(200), mine);

    let body = json!({ "name": "f", "expression": "1", "shared": true });
    app.post("/api/macros").by(&ana).json(&body).send().await.refused(403, "FORBIDDEN");
    let change = json!({ "shared": true });
    app.put(&format!("/api/macros/{id}")).by(&ana).json(&change).send().await.refused(403, "FORBIDDEN");
    let body = json!({ "name": "f", "expression": "1" });
    app.post("/api/macros").by(&reader).json(&body).send().await.refused(403, "FORBIDDEN");

    let shared = share(&app, &admin, "rate", "x * 3").await;
    assert_eq!(app.rows(&ben, "select rate(1)").await, json!([[3]]));
    assert_eq!(app.rows(&reader, "select rate(1)").await, json!([[3]]));
    assert_eq!(app.rows(&ana, "select rate(1)").await, json!([[2]]), "one's own comes first");
    let shared_id = shared["macro_id"].as_str().unwrap();
    let path = format!("/api/macros/{shared_id}");
    app.put(&path).by(&ben).json(&json!({ "expression": "x" })).send().await.refused(403, "FORBIDDEN");
    app.delete(&path).by(&ben).send().await.refused(403, "FORBIDDEN");
    let listed = app.get("/api/macros").by(&ana).send().await.data(200);
    assert_eq!((&listed[0]["macro_id"], &listed[1]["macro_id"]), (&json!(id), &json!(shared_id)));
    assert_eq!(app.delete(&path).by(&admin).send().await.status, 204);
    app.query(&ben, "select rate(1)").await.refused(400, "UNKNOWN_NAME");
}

#[tokio::test]
async fn what_would_break_a_macro_is_refused_and_named() {
    let app = TestApp::new();
    let ana = app.ana().await;
    make(&app, &ana, "inner_one", "x + 1").await;
    make(&app, &ana, "outer_one", "inner_one(x)").await;
    let refused = app.delete("/api/macros/inner_one").by(&ana).send().await;
    let message = refused.refused(409, "CONFLICT");
    assert_eq!(message, "`inner_one` cannot be removed: `outer_one` calls it");
    assert_eq!(refused.details()["called_by"], json!(["outer_one"]));
    for change in [json!({ "name": "other" }), json!({ "parameters": [], "expression": "1" })] {
        app.put("/api/macros/inner_one").by(&ana).json(&change).send().await.refused(409, "CONFLICT");
    }
    let change = json!({ "expression": "x + 2", "parameters": [{ "name": "x", "type": "INTEGER" }] });
    app.put("/api/macros/inner_one").by(&ana).json(&change).send().await.data(200);
    assert_eq!(app.rows(&ana, "select outer_one(1)").await, json!([[3]]));
    let cycle = json!({ "expression": "outer_one(x)" });
    let error = app.put("/api/macros/inner_one").by(&ana).json(&cycle).send().await;
    let message = error.refused(400, "INVALID_SQL");
    assert!(message.contains("`inner_one` calls `outer_one` calls `inner_one`"), "{message}");

    assert_eq!(app.delete("/api/macros/outer_one").by(&ana).send().await.status, 204);
    assert_eq!(app.delete("/api/macros/inner_one").by(&ana).send().await.status, 204);
}

#[tokio::test]
async fn bad_bodies_are_refused_with_their_reason() {
    let app = TestApp::new();
    let ana = app.ana().await;
    make(&app, &ana, "taken", "x").await;
    let check = async |body: Value, status: u16, code: &str| {
        app.post("/api/macros").by(&ana).json(&body).send().await.refused(status, code);
    };
    check(json!({ "name": "f" }), 400, "VALIDATION_ERROR").await;
    check(json!({ "name": "f", "expression": "1", "sql": "1" }), 400, "VALIDATION_ERROR").await;
    check(json!({ "name": "sum", "expression": "1" }), 409, "DUPLICATE_ERROR").await;
    check(json!({ "name": "Taken", "expression": "1" }), 409, "DUPLICATE_ERROR").await;
    check(json!({ "name": "f", "expression": "y" }), 400, "INVALID_SQL").await;
    check(json!({ "name": "f", "expression": "(select 1)" }), 400, "INVALID_SQL").await;
    check(json!({ "name": "f", "expression": "nothing()" }), 400, "UNKNOWN_NAME").await;
    check(json!({ "name": "f", "expression": "x".repeat(5_000) }), 422, "OVER_LIMIT").await;
    check(
        json!({ "name": "f", "expression": "1", "description": "x".repeat(2_001) }),
        400,
        "VALIDATION_ERROR",
    )
    .await;
    app.query(&ana, "create function f(int) returns int return $1 + 1").await.refused(400, "NOT_SUPPORTED");
}
