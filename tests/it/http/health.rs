//! Is it alive, ready, and what every answer carries.

use axum::http::Method;
use serde_json::json;
use shirabe::telemetry::METRICS;

use crate::support::{TestApp, fields};

#[tokio::test]
async fn health_is_to_the_letter() {
    let app = TestApp::new();
    for path in ["/api/health", "/api/health/ready"] {
        let reply = app.get(path).send().await;
        assert_eq!((reply.status, reply.text()), (200, "{\"status\":\"ok\"}"));
        assert_eq!(reply.header("content-type"), "application/json");
    }
    app.state.readiness.set(false);
    assert_eq!(app.get("/api/health").send().await.status, 200, "alive, though not ready");
    let stopping = app.get("/api/health/ready").send().await;
    assert_eq!(stopping.refused(503, "SERVICE_UNAVAILABLE"), "the service is starting or stopping");
    assert_eq!(stopping.header("retry-after"), "5");
}

#[tokio::test]
async fn the_state_of_each_part_is_told_to_who_signed_in() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "t", "a\n1\n").await;
    let detail = app.get("/api/health/detail").by(&ana).send().await.data(200);
    assert_eq!(
        fields(&detail),
        [
            "caches",
            "dataset_count",
            "free_disk_bytes",
            "running_import_count",
            "running_query_count",
            "sandbox",
            "sql_workers",
            "storage",
            "store",
            "uptime_s",
            "version",
        ]
    );
    assert_eq!((&detail["store"], &detail["storage"]), (&json!("ok"), &json!("ok")));
    assert_eq!(detail["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(detail["dataset_count"], 1);
    // A service that has run no Python has tested no sandbox.
    assert_eq!(
        (&detail["sandbox"]["state"], &detail["sandbox"]["memory"]),
        (&json!("not_started"), &json!("rlimit"))
    );
    assert_eq!((&detail["sandbox"]["tier"], &detail["sandbox"]["selftest"]), (&json!(null), &json!(null)));
    assert_eq!((&detail["running_query_count"], &detail["running_import_count"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn every_metric_is_documented() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.get("/api/datasets").by(&ana).send().await.data(200);
    app.get("/api/nowhere").send().await;
    app.login("nobody@example.com", "Wrong8Guess").await.refused(401, "INVALID_CREDENTIALS");
    let reply = app.get("/metrics").send().await;
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    let mut seen = Vec::new();
    for line in reply.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(METRICS.iter().any(|(known, ..)| *known == base || *known == name), "{line}");
        assert!(reply.text().contains(&format!("# HELP {base} ")), "{base}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        seen.push(base);
    }
    for name in ["shirabe_http_requests_total", "shirabe_http_request_duration_seconds"] {
        assert!(seen.contains(&name), "no {name}");
    }
    assert!(reply.text().contains("route=\"unmatched\""), "unknown paths must not become labels");
    assert!(!reply.text().contains("nowhere"), "unknown paths must not become labels");
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_it_is_well_formed() {
    let app = TestApp::new();
    for sent in ["req_0123456789abcdef", "trace-1234"] {
        let reply = app.get("/api/nowhere").header("x-request-id", sent).send().await;
        assert_eq!(reply.refused(404, "NOT_FOUND"), "no path `/api/nowhere`");
        assert_eq!(reply.header("x-request-id"), sent);
    }
    for bad in ["", "x y", "<script>", "req_\u{e9}", &"a".repeat(1000)] {
        let reply = app.get("/api/health").header("x-request-id", bad).send().await;
        let id = reply.header("x-request-id");
        assert!(id.starts_with("req_") && id.len() == 36 && id != bad, "{bad}: {id}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_envelope() {
    let app = TestApp::new();
    let ana = app.ana().await;
    for path in ["/", "/api", "/api/", "/api/nowhere", "/api/health/", "/api/datasets/", "//api/health"] {
        app.get(path).by(&ana).send().await.refused(404, "NOT_FOUND");
    }
    for (method, path) in [
        (Method::DELETE, "/api/health"),
        (Method::PATCH, "/api/datasets"),
        (Method::PUT, "/api/query"),
        (Method::GET, "/api/auth/login"),
        (Method::TRACE, "/api/datasets"),
    ] {
        let reply = app.call(method.clone(), path).by(&ana).send().await;
        assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
        assert_eq!(reply.fault(), "VALIDATION_ERROR");
        assert!(!reply.header("allow").is_empty());
    }
    let wrong = app.delete("/api/auth/login").send().await;
    let message = wrong.refused(405, "VALIDATION_ERROR");
    assert_eq!(message, "this path does not take `DELETE`: see the header `Allow`");
    assert_eq!(wrong.header("allow"), "POST");
}

#[tokio::test]
async fn every_answer_forbids_what_a_browser_could_do_with_it() {
    let app = TestApp::new();
    for path in ["/api/health", "/api/datasets", "/api/nowhere", "/metrics", "/api/openapi.json"] {
        let reply = app.get(path).send().await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        let policy = reply.header("content-security-policy");
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("x-xss-protection"), "0", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert!(reply.header("x-request-id").starts_with("req_"), "{path}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let app = TestApp::with(&[("CORS_ORIGINS", "https://bi.example.com")]);
    let known = app.get("/api/health").header("origin", "https://bi.example.com").send().await;
    assert_eq!(known.header("access-control-allow-origin"), "https://bi.example.com");
    for origin in ["https://evil.example", "https://evil.bi.example.com", "null"] {
        let other = app.get("/api/health").header("origin", origin).send().await;
        assert!(!other.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
}

#[tokio::test]
async fn metrics_name_routes_and_never_paths() {
    let app = TestApp::new();
    app.get("/api/users/user_0123456789abcdef").by(&app.operator()).send().await.refused(404, "NOT_FOUND");
    app.get("/api/nowhere/secret-name").send().await.refused(404, "NOT_FOUND");
    let reply = app.get("/metrics").send().await;
    let metrics = reply.text();
    assert!(metrics.contains(r#"route="/api/users/{user_id}""#), "{metrics}");
    assert!(metrics.contains(r#"route="unmatched""#), "{metrics}");
    assert!(!metrics.contains("secret-name") && !metrics.contains("0123456789abcdef"), "{metrics}");
}

#[tokio::test]
async fn a_user_who_calls_too_often_has_to_wait_and_the_operator_does_not() {
    let app = TestApp::with(&[("RATE_LIMIT_ENABLED", "true")]);
    let (ana, operator) = (app.ana().await, app.operator());
    let mut refused = 0;
    for _ in 0..110 {
        refused += u32::from(app.get("/api/auth/me").by(&ana).send().await.status == 429);
    }
    // A slow run may have earned a call or two back meanwhile.
    assert!((1..=10).contains(&refused), "{refused}");
    for _ in 0..110 {
        app.get("/api/auth/me").by(&operator).send().await.data(200);
    }
    assert_eq!(app.get("/api/health").by(&ana).send().await.status, 200);
}
