//! The list of functions.

use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn functions_are_listed_with_all_that_a_caller_needs() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.get("/api/functions").send().await.refused(401, "UNAUTHORIZED");
    let reply = app.get("/api/functions").by(&ana).send().await;
    let all = reply.data(200);
    let all = all.as_array().unwrap();
    assert!(all.len() > 200, "{}", all.len());
    let names: Vec<&str> = all.iter().map(|function| function["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted());
    for function in all {
        assert!(function["signature"].as_str().unwrap().contains('('), "{function}");
        assert_eq!(function["since"], "0.1.0");
    }
    let found = |name: &str| all.iter().find(|function| function["name"] == name).unwrap();
    let safe_divide = found("safe_divide");
    assert_eq!(safe_divide["kind"], "scalar");
    assert_eq!(safe_divide["signature"], "safe_divide(dividend, divisor)");
    assert_eq!(safe_divide["arguments"][1]["name"], "divisor");
    assert!(safe_divide["example"].as_str().unwrap().contains("> SELECT safe_divide("));
    assert_eq!(found("avg")["kind"], "aggregate");
    assert_eq!(found("avg")["aliases"], json!(["mean"]));
    assert_eq!(found("row_number")["kind"], "window");
}

#[tokio::test]
async fn functions_are_found_by_word_and_kind() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let body = json!({ "name": "margin", "parameters": [{ "name": "s" }, { "name": "c", "type": "INTEGER" }],
        "expression": "s - c", "description": "What is left of sales" });
    app.post("/api/macros").by(&ana).json(&body).send().await.data(201);
    let find = async |query: &str| {
        let found = app.get(&format!("/api/functions?{query}")).by(&ana).send().await.data(200);
        let names = found.as_array().unwrap().iter().map(|function| function["name"].clone());
        Value::from(names.collect::<Vec<_>>())
    };
    let expected = json!(["add_business_days", "business_days_between", "is_business_day"]);
    assert_eq!(find("q=BUSINESS_DAY").await, expected);
    assert_eq!(find("kind=table&q=series").await, json!(["generate_series"]));
    assert_eq!(find("q=left%20of%20sales").await, json!(["margin"]));
    assert_eq!(find("kind=macro").await, json!(["margin"]));
    assert_eq!(find("kind=macro&q=nothing").await, json!([]));
    assert_eq!(find("kind=aggregate&q=approx_distinct").await, json!(["approx_distinct"]));
    app.get("/api/functions?kind=other").by(&ana).send().await.refused(400, "VALIDATION_ERROR");

    let margin = app.get("/api/functions?kind=macro").by(&ana).send().await.data(200)[0].clone();
    assert_eq!(margin["signature"], "margin(s, c)");
    assert_eq!(margin["arguments"][1], json!({ "name": "c", "description": "INTEGER" }));
    let ben = app.person("ben", shirabe::auth::Role::User).await;
    assert_eq!(app.get("/api/functions?kind=macro").by(&ben).send().await.data(200), json!([]));
}
