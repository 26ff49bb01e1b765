//! API keys.

use insta::assert_json_snapshot;
use serde_json::json;
use shirabe::auth::Role;

use crate::support::Door;

#[tokio::test]
async fn a_key_is_shown_once_works_and_can_be_ended() {
    let door = Door::open();
    let ana = door.user("ana@example.com", Role::User).await;
    let created = door.post("/api/keys", &ana, &json!({ "name": "nightly", "scope": "read_only" })).await;
    assert_json_snapshot!(created.redacted(), @r#"
    {
      "body": {
        "data": {
          "created_at": "[created_at]",
          "expires_at": null,
          "key_id": "[key_id]",
          "name": "nightly",
          "scope": "read_only",
          "secret": "[secret]"
        },
        "meta": {
          "request_id": "[request_id]"
        }
      },
      "status": 201
    }
    "#);
    let secret = created.json()["data"]["secret"].as_str().unwrap().to_owned();
    assert_json_snapshot!(door.get("/api/keys", &ana).await.redacted(), @r#"
    {
      "body": {
        "data": [
          {
            "created_at": "[created_at]",
            "expires_at": null,
            "key_id": "[key_id]",
            "name": "nightly",
            "scope": "read_only"
          }
        ],
        "meta": {
          "request_id": "[request_id]"
        },
        "pagination": {
          "has_next": false,
          "limit": 100,
          "offset": 0,
          "total": 1
        }
      },
      "status": 200
    }
    "#);

    assert_eq!(door.get("/api/auth/me", &secret).await.status, 200);
    let by_key = door.post("/api/keys", &secret, &json!({ "name": "another" })).await;
    assert_eq!(by_key.status, 403, "a read-only key makes nothing");

    let path = format!("/api/keys/{}", created.json()["data"]["key_id"].as_str().unwrap());
    assert_eq!(door.send("DELETE", &path, &ana, "").await.status, 204);
    assert_eq!(door.get("/api/auth/me", &secret).await.status, 401);
    assert_eq!(door.send("DELETE", &path, &ana, "").await.status, 404);
}

#[tokio::test]
async fn the_keys_of_others_are_not_there() {
    let door = Door::open();
    let ana = door.user("ana@example.com", Role::User).await;
    let admin = door.user("root@example.com", Role::Admin).await;
    let created = door.post("/api/keys", &ana, &json!({ "name": "nightly" })).await.json();
    let path = format!("/api/keys/{}", created["data"]["key_id"].as_str().unwrap());
    assert_eq!(door.send("DELETE", &path, &admin, "").await.status, 404);
}
