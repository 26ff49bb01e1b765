//! Signing in and out.

use insta::assert_json_snapshot;
use serde_json::json;
use shirabe::auth::Role;

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn a_sign_in_gives_a_token_that_works_until_signing_out() {
    let app = TestApp::new();
    app.person("ana", Role::Admin).await;
    let answer = app.login("Ana@Example.com", PASSWORD).await;
    assert_json_snapshot!(answer.whole(), @r#"
    {
      "body": {
        "data": {
          "access_token": "[secret]",
          "expires_in": 86400,
          "token_type": "bearer",
          "user": {
            "email": "ana@example.com",
            "name": "ana",
            "role": "admin",
            "user_id": "[user]"
          }
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 200
    }
    "#);

    let token = answer.json()["data"]["access_token"].as_str().unwrap().to_owned();
    assert_json_snapshot!(app.get("/api/auth/me").token(&token).send().await.whole(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[time]",
          "email": "ana@example.com",
          "groups": [],
          "name": "ana",
          "role": "admin",
          "user_id": "[user]"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 200
    }
    "#);
    app.post("/api/auth/logout").token(&token).send().await.no_content();
    assert_json_snapshot!(app.get("/api/auth/me").token(&token).send().await.whole(), @r#"
    {
      "body": {
        "error": {
          "code": "INVALID_TOKEN",
          "details": {},
          "message": "the token is not valid"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 401
    }
    "#);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let app = TestApp::new();
    app.ana().await;
    let wrong = app.login("ana@example.com", "Wrong-Horse-7").await;
    let unknown = app.login("eve@example.com", "Wrong-Horse-7").await;
    assert_json_snapshot!(wrong.whole(), @r#"
    {
      "body": {
        "error": {
          "code": "INVALID_CREDENTIALS",
          "details": {},
          "message": "the e-mail address or the password is wrong"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 401
    }
    "#);
    assert_eq!(wrong.whole(), unknown.whole());
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn what_is_not_a_sign_in_is_told() {
    let app = TestApp::new();
    // Whatever its type says, a body is read as JSON.
    let login = app.post("/api/auth/login").typed("text/plain", r#"{"email": "ana@example.com"}"#);
    let answer = login.send().await;
    assert_json_snapshot!(answer.whole(), @r#"
    {
      "body": {
        "error": {
          "code": "VALIDATION_ERROR",
          "details": {
            "column": 28,
            "line": 1
          },
          "message": "the body is not the JSON expected: missing field `password` at line 1 column 28"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 400
    }
    "#);
    assert_json_snapshot!(app.login("ana@example.com", &"x".repeat(5000)).await.whole(), @r#"
    {
      "body": {
        "error": {
          "code": "PAYLOAD_TOO_LARGE",
          "details": {},
          "message": "File too large: the body is longer than this route accepts"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 413
    }
    "#);
}

#[tokio::test]
async fn the_sixth_sign_in_of_a_minute_has_to_wait() {
    let app = TestApp::with(&[("RATE_LIMIT_ENABLED", "true")]);
    for _ in 0..5 {
        assert_ne!(app.login("ana@example.com", "Wrong-Horse-7").await.status, 429);
    }
    let answer = app.login("ana@example.com", "Wrong-Horse-7").await;
    answer.refused(429, "RATE_LIMIT_EXCEEDED");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=12).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn the_set_up_makes_the_first_administrator_once() {
    let app = TestApp::new();
    let code = app.state.accounts.setup.begin().await.unwrap().unwrap();
    let mut body = json!({ "code": "wrong", "email": "ana@example.com", "password": PASSWORD });
    app.post("/api/auth/setup").json(&body).send().await.refused(403, "FORBIDDEN");
    body["code"] = code.text().into();
    assert_json_snapshot!(app.post("/api/auth/setup").json(&body).send().await.whole(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[time]",
          "disabled": false,
          "email": "ana@example.com",
          "id": "[user]",
          "name": "ana",
          "role": "admin",
          "scan_mb_max": null
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 201
    }
    "#);
    app.post("/api/auth/setup").json(&body).send().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn the_operator_is_known_by_the_token_of_this_start() {
    let app = TestApp::new();
    assert_json_snapshot!(app.get("/api/auth/me").by(&app.operator()).send().await.whole(), @r#"
    {
      "body": {
        "data": {
          "created_at": null,
          "email": "operator",
          "groups": [],
          "name": "operator",
          "role": "admin",
          "user_id": "user_000000000000operator"
        },
        "meta": {
          "request_id": "[req]"
        }
      },
      "status": 200
    }
    "#);
}
