//! People who can sign in.

use insta::assert_json_snapshot;
use serde_json::json;
use shirabe::auth::Role;

use crate::support::{Door, PASSWORD};

#[tokio::test]
async fn administrators_add_and_change_users() {
    let door = Door::open();
    let admin = door.user("ana@example.com", Role::Admin).await;
    let body = json!({ "email": "Ben@example.com", "password": PASSWORD });
    let added = door.post("/api/users", &admin, &body).await;
    assert_json_snapshot!(added.redacted(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[created_at]",
          "disabled": false,
          "email": "ben@example.com",
          "id": "[id]",
          "name": "ben",
          "role": "user"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 201
    }
    "#);
    let id = added.json()["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(added.headers["location"], format!("/api/users/{id}"));
    assert_json_snapshot!(door.post("/api/users", &admin, &body).await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "DUPLICATE_ERROR",
          "details": {},
          "message": "the e-mail address `ben@example.com` is taken"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 409
    }
    "#);

    let path = format!("/api/users/{id}");
    let changed = door.send("PUT", &path, &admin, r#"{"name": "Ben 太郎", "disabled": true}"#).await;
    assert_eq!(changed.json()["data"]["name"], "Ben 太郎");
    assert_eq!(changed.json()["data"]["disabled"], true);
}

#[tokio::test]
async fn others_may_not() {
    let door = Door::open();
    let ana = door.user("ana@example.com", Role::User).await;
    let body = json!({ "email": "ben@example.com", "password": PASSWORD });
    assert_json_snapshot!(door.post("/api/users", &ana, &body).await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "FORBIDDEN",
          "details": {},
          "message": "only administrators may manage users"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 403
    }
    "#);
    assert_eq!(door.get("/api/users?all=true", &ana).await.status, 403);
}

#[tokio::test]
async fn all_users_come_in_pages_by_address() {
    let door = Door::open();
    for email in ["carla@example.com", "ana@example.com", "ben@example.com"] {
        door.user(email, Role::User).await;
    }
    let page = async |query: &str| {
        let answer = door.get(&format!("/api/users?all=true{query}"), &door.operator).await.json();
        let users: Vec<_> =
            answer["data"].as_array().unwrap().iter().map(|user| user["email"].clone()).collect();
        (users, answer["pagination"]["total"].clone(), answer["pagination"]["has_next"].clone())
    };
    let users =
        |names: &[&str]| names.iter().map(|name| json!(format!("{name}@example.com"))).collect::<Vec<_>>();
    assert_eq!(page("").await, (users(&["ana", "ben", "carla"]), json!(3), json!(false)));
    assert_eq!(page("&limit=2").await, (users(&["ana", "ben"]), json!(3), json!(true)));
    assert_eq!(page("&limit=2&offset=2").await, (users(&["carla"]), json!(3), json!(false)));
    assert_eq!(page("&offset=9").await, (Vec::new(), json!(3), json!(false)));
}

#[tokio::test]
async fn a_search_needs_a_part_of_an_address() {
    let door = Door::open();
    let ana = door.user("ana@example.com", Role::User).await;
    door.user("ben@example.com", Role::User).await;
    assert_json_snapshot!(door.get("/api/users?q=BEN", &ana).await.redacted(), @r#"
    {
      "body": {
        "data": [
          {
            "created_at": "[created_at]",
            "disabled": false,
            "email": "ben@example.com",
            "id": "[id]",
            "name": "ben",
            "role": "user"
          }
        ],
        "meta": {
          "request_id": "[request_id]"
        },
        "pagination": {
          "has_next": false,
          "limit": 50,
          "offset": 0,
          "total": 1
        }
      },
      "status": 200
    }
    "#);
    assert_eq!(door.get("/api/users", &ana).await.json()["data"], json!([]));
    assert_json_snapshot!(door.get("/api/users?q=a&limit=101", &ana).await.redacted(), @r#"
    {
      "body": {
        "error": {
          "code": "VALIDATION_ERROR",
          "details": {
            "field": "limit"
          },
          "message": "`limit` is 101: expected 1 to 100"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 400
    }
    "#);
}

#[tokio::test]
async fn an_id_that_nobody_has_and_one_that_nobody_can_have_look_alike() {
    let door = Door::open();
    let admin = door.user("ana@example.com", Role::Admin).await;
    for id in ["user_0123456789abcdef", "nonexistent", "..%2F..%2Fetc", "user_%00", "ds_0123456789ab"] {
        let answer = door.get(&format!("/api/users/{id}"), &admin).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("NOT_FOUND")), "{id}");
    }
}
