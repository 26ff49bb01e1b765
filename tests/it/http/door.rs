//! What holds for every route: ids, headers, envelopes, health.

use http_body_util::Full;
use insta::assert_json_snapshot;
use shirabe::auth::Role;

use crate::support::Door;

#[tokio::test]
async fn health_is_answered_to_the_letter() {
    let door = Door::open();
    let answer = door.get("/api/health", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    assert_eq!(door.get("/api/health/ready", "").await.status, 200);
    door.app.readiness.set(false);
    let stopping = door.get("/api/health/ready", "").await;
    assert_json_snapshot!(stopping.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "SERVICE_UNAVAILABLE",
          "details": {},
          "message": "the service is starting or stopping"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 503
    }
    "#);
    assert_eq!(stopping.headers["retry-after"], "5");
    assert_eq!(door.get("/api/health", "").await.status, 200);
}

#[tokio::test]
async fn the_state_of_the_parts_is_for_those_who_signed_in() {
    let door = Door::open();
    assert_eq!(door.get("/api/health/detail", "").await.status, 401);
    let ana = door.user("ana@example.com", Role::User).await;
    assert_json_snapshot!(door.get("/api/health/detail", &ana).await.redacted(), @r#"
    {
      "body": {
        "data": {
          "dataset_count": 0,
          "free_disk_bytes": "[free_disk_bytes]",
          "running_import_count": 0,
          "running_query_count": 0,
          "storage": "ok",
          "store": "ok",
          "uptime_s": "[uptime_s]",
          "version": "[version]"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn an_id_is_taken_over_when_it_is_harmless() {
    let door = Door::open();
    let ask = async |id: &str| {
        let request = http::Request::get("/api/nowhere").header("x-request-id", id);
        let answer = door.answer(request.body(Full::default()).unwrap()).await;
        let header = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(answer.json()["meta"]["request_id"], header.as_str(), "header and envelope agree");
        header
    };
    assert_eq!(ask("trace-1234").await, "trace-1234");
    assert!(ask("bad id").await.starts_with("req_"));
    assert!(ask("").await.starts_with("req_"));
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_envelope() {
    let door = Door::open();
    assert_json_snapshot!(door.get("/api/nowhere", "").await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "NOT_FOUND",
          "details": {},
          "message": "no path `/api/nowhere`"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 404
    }
    "#);
    let wrong = door.send("DELETE", "/api/auth/login", "", "").await;
    assert_json_snapshot!(wrong.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "VALIDATION_ERROR",
          "details": {},
          "message": "this path does not take `DELETE`: see the header `Allow`"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 405
    }
    "#);
    assert_eq!(wrong.headers["allow"], "POST");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_do_nothing_with_it() {
    let door = Door::open();
    for path in ["/api/health", "/api/nowhere", "/api/auth/me", "/metrics"] {
        let headers = door.get(path, "").await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(
            headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["x-xss-protection"], "0", "{path}");
    }
}

#[tokio::test]
async fn only_the_pages_named_may_call_from_a_browser() {
    let door = Door::open();
    let ask = async |origin: &str| {
        let request = http::Request::get("/api/health").header("origin", origin);
        let headers = door.answer(request.body(Full::default()).unwrap()).await.headers;
        headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(ask("https://bi.example.com").await.as_deref(), Some("https://bi.example.com"));
    assert_eq!(ask("https://evil.example.com").await, None);
    assert_eq!(ask("null").await, None);
}

#[tokio::test]
async fn metrics_name_routes_and_never_paths() {
    let door = Door::open();
    door.get("/api/users/user_0123456789abcdef", &door.operator).await;
    door.get("/api/nowhere/secret-name", "").await;
    let metrics = door.get("/metrics", "").await.body;
    assert!(metrics.contains(r#"route="/api/users/{user_id}""#), "{metrics}");
    assert!(metrics.contains(r#"route="unmatched""#), "{metrics}");
    assert!(!metrics.contains("secret-name") && !metrics.contains("0123456789abcdef"), "{metrics}");
}

#[tokio::test]
async fn a_user_who_calls_too_often_has_to_wait_and_the_operator_does_not() {
    let door = Door::limited();
    let ana = door.user("ana@example.com", Role::User).await;
    let mut refused = 0;
    for _ in 0..110 {
        refused += u32::from(door.get("/api/auth/me", &ana).await.status == 429);
    }
    // A slow run may have earned a call or two back meanwhile.
    assert!((1..=10).contains(&refused), "{refused}");
    for _ in 0..110 {
        assert_eq!(door.get("/api/auth/me", &door.operator).await.status, 200);
    }
    assert_eq!(door.get("/api/health", &ana).await.status, 200);
}
