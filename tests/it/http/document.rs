//! The document of the API holds what the contract needs, and the pages that show it come from here.

use crate::support::TestApp;

#[tokio::test]
async fn every_route_of_the_contract_is_in_the_document() {
    let document = TestApp::new().get("/api/openapi.json").send().await.json();
    for (method, path) in [
        ("get", "/api/health"),
        ("get", "/api/health/detail"),
        ("post", "/api/auth/login"),
        ("post", "/api/auth/logout"),
        ("get", "/api/auth/me"),
        ("get", "/api/users"),
        ("get", "/api/datasets"),
        ("post", "/api/datasets"),
        ("get", "/api/datasets/{dataset_id}"),
        ("put", "/api/datasets/{dataset_id}"),
        ("delete", "/api/datasets/{dataset_id}"),
        ("post", "/api/datasets/{dataset_id}/import"),
        ("post", "/api/datasets/{dataset_id}/reimport"),
        ("post", "/api/datasets/{dataset_id}/reimport/dry-run"),
        ("get", "/api/datasets/{dataset_id}/preview"),
        ("get", "/api/datasets/{dataset_id}/columns/{column}/values"),
        ("post", "/api/query"),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "no {method} {path}");
        assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
    }
}

/// Every reference inside the document leads somewhere.
#[tokio::test]
async fn no_reference_of_the_document_dangles() {
    let reply = TestApp::new().get("/api/openapi.json").send().await;
    let document = reply.json();
    let mut count = 0;
    for rest in reply.text().split("\"$ref\":\"#").skip(1) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 50, "{count} references");
}

#[tokio::test]
async fn the_pages_are_served_from_here_and_name_no_other_host() {
    let app = TestApp::new();
    assert_eq!(app.get("/api/docs").send().await.header("location"), "/api/docs/");
    let index = app.get("/api/docs/").send().await;
    assert_eq!((index.status, index.header("content-type")), (200, "text/html"));
    assert!(index.header("content-security-policy").contains("script-src 'self'"));
    let assets: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| index.text().split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(assets.len() >= 4, "{assets:?}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is elsewhere");
        let reply = app.get(&format!("/api/docs/{}", asset.trim_start_matches("./"))).send().await;
        assert_eq!(reply.status, 200, "{asset}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
        assert!(!policy.contains("http"), "{policy}");
    }
    for page in ["index.html", "swagger-initializer.js", "index.css"] {
        let text = app.get(&format!("/api/docs/{page}")).send().await;
        assert!(!text.text().contains("http://") && !text.text().contains("https://"), "{page}");
    }
    app.get("/api/docs/nowhere.js").send().await.refused(404, "NOT_FOUND");
}
