//! Signing in and out.

use insta::assert_json_snapshot;
use serde_json::json;
use shirabe::auth::Role;

use crate::support::{Door, PASSWORD};

#[tokio::test]
async fn a_sign_in_gives_a_token_that_works_until_signing_out() {
    let door = Door::open();
    door.user("ana@example.com", Role::Admin).await;
    let body = json!({ "email": "Ana@Example.com", "password": PASSWORD });
    let answer = door.post("/api/auth/login", "", &body).await;
    assert_json_snapshot!(answer.redacted(), @r#"
    {
      "body": {
        "data": {
          "access_token": "[access_token]",
          "expires_in": 86400,
          "token_type": "bearer",
          "user": {
            "email": "ana@example.com",
            "name": "ana",
            "role": "admin",
            "user_id": "[user_id]"
          }
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 200
    }
    "#);

    let token = answer.json()["data"]["access_token"].as_str().unwrap().to_owned();
    assert_json_snapshot!(door.get("/api/auth/me", &token).await.redacted(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[created_at]",
          "email": "ana@example.com",
          "groups": [],
          "name": "ana",
          "role": "admin",
          "user_id": "[user_id]"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 200
    }
    "#);
    assert_eq!(door.send("POST", "/api/auth/logout", &token, "").await.status, 204);
    assert_json_snapshot!(door.get("/api/auth/me", &token).await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "INVALID_TOKEN",
          "details": {},
          "message": "the token is not valid"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 401
    }
    "#);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let door = Door::open();
    door.user("ana@example.com", Role::User).await;
    let wrong = json!({ "email": "ana@example.com", "password": "Wrong-Horse-7" });
    let unknown = json!({ "email": "eve@example.com", "password": "Wrong-Horse-7" });
    let wrong = door.post("/api/auth/login", "", &wrong).await;
    let unknown = door.post("/api/auth/login", "", &unknown).await;
    assert_json_snapshot!(wrong.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "INVALID_CREDENTIALS",
          "details": {},
          "message": "the e-mail address or the password is wrong"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 401
    }
    "#);
    assert_eq!(wrong.redacted(), unknown.redacted());
    assert_eq!(wrong.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn what_is_not_a_sign_in_is_told() {
    let door = Door::open();
    let answer = door.send("POST", "/api/auth/login", "", r#"{"email": "ana@example.com"}"#).await;
    assert_json_snapshot!(answer.redacted(), @r#"
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
          "request_id": "[request_id]"
        }
      },
      "status": 400
    }
    "#);
    let long = json!({ "email": "ana@example.com", "password": "x".repeat(5000) });
    assert_json_snapshot!(door.post("/api/auth/login", "", &long).await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "PAYLOAD_TOO_LARGE",
          "details": {},
          "message": "File too large: the body is longer than this route accepts"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 413
    }
    "#);
}

#[tokio::test]
async fn tokens_that_prove_nothing_are_refused() {
    let door = Door::open();
    let check = async |token: &str, code: &str| {
        let answer = door.get("/api/auth/me", token).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (401, Some(code)), "{token}");
    };
    check("", "UNAUTHORIZED").await;
    check("nonsense", "INVALID_TOKEN").await;
    check("shk_nonsense", "INVALID_TOKEN").await;
    check("shop_nonsense", "INVALID_TOKEN").await;
    check("eyJhbGciOiJub25lIn0.e30.", "INVALID_TOKEN").await;
}

#[tokio::test]
async fn the_sixth_sign_in_of_a_minute_has_to_wait() {
    let door = Door::limited();
    let body = json!({ "email": "ana@example.com", "password": "Wrong-Horse-7" });
    for _ in 0..5 {
        assert_ne!(door.post("/api/auth/login", "", &body).await.status, 429);
    }
    let answer = door.post("/api/auth/login", "", &body).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["error"]["code"], "RATE_LIMIT_EXCEEDED");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=12).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_new_password_ends_the_old_token() {
    let door = Door::open();
    let token = door.user("ana@example.com", Role::User).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "Better-Horse-8" });
    let answer = door.post("/api/auth/password", &token, &body).await;
    assert_eq!(answer.status, 200);
    let new = answer.json()["data"]["access_token"].as_str().unwrap().to_owned();
    assert_eq!(door.get("/api/auth/me", &token).await.status, 401);
    assert_eq!(door.get("/api/auth/me", &new).await.status, 200);
}

#[tokio::test]
async fn the_set_up_makes_the_first_administrator_once() {
    let door = Door::open();
    let code = door.app.accounts.setup.begin().await.unwrap().unwrap();
    let mut body = json!({ "code": "wrong", "email": "ana@example.com", "password": PASSWORD });
    assert_eq!(door.post("/api/auth/setup", "", &body).await.status, 403);
    body["code"] = code.text().into();
    assert_json_snapshot!(door.post("/api/auth/setup", "", &body).await.redacted(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[created_at]",
          "disabled": false,
          "email": "ana@example.com",
          "id": "[id]",
          "name": "ana",
          "role": "admin"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 201
    }
    "#);
    assert_eq!(door.post("/api/auth/setup", "", &body).await.status, 403);
}

#[tokio::test]
async fn the_operator_is_known_by_the_token_of_this_start() {
    let door = Door::open();
    assert_json_snapshot!(door.get("/api/auth/me", &door.operator).await.redacted(), @r#"
    {
      "body": {
        "data": {
          "created_at": null,
          "email": "operator",
          "groups": [],
          "name": "operator",
          "role": "admin",
          "user_id": "[user_id]"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 200
    }
    "#);
}
