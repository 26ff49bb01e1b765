//! The document of the API.

use serde_json::Value;

use crate::support::Door;

async fn document() -> Value {
    Door::open().get("/api/openapi.json", "").await.json()
}

#[tokio::test]
async fn the_document_changes_only_on_purpose() {
    insta::assert_json_snapshot!("openapi", document().await);
}

#[tokio::test]
async fn every_route_has_a_tag_a_summary_and_says_who_may_call() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert_eq!(route["tags"].as_array().map(Vec::len), Some(1), "{place}");
            assert!(route["summary"].as_str().is_some_and(|summary| summary.len() > 3), "{place}");
            let is_open = route["security"] == serde_json::json!([{}]);
            let answers = route["responses"].as_object().unwrap();
            assert!(is_open || answers.keys().any(|status| status.starts_with('4')), "{place}");
        }
    }
}

#[tokio::test]
async fn the_pages_are_there() {
    let door = Door::open();
    let page = door.get("/api/docs/", "").await;
    assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (200, "text/html"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    assert_eq!(door.get("/api/docs/nothing.js", "").await.status, 404);
}
