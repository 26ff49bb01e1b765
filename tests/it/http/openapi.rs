//! The document of the API.

use serde_json::Value;

use crate::support::TestApp;

async fn document() -> Value {
    TestApp::new().get("/api/openapi.json").send().await.json()
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
