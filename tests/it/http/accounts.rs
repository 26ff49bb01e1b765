//! People and their keys from first to last: added, changed, disabled, signed in by an old hash, keys made and revoked.

use axum::http::Method;
use serde_json::json;
use shirabe::auth::Role;
use shirabe::catalog::record::UserRecord;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::ids::UserId;

use crate::support::{PASSWORD, TestApp, fields};

#[tokio::test]
async fn without_a_token_nothing_is_open() {
    let app = TestApp::new();
    for (method, path) in [
        (Method::GET, "/api/auth/me"),
        (Method::POST, "/api/auth/logout"),
        (Method::GET, "/api/users?q=a"),
        (Method::GET, "/api/keys"),
        (Method::GET, "/api/datasets"),
        (Method::GET, "/api/imports"),
        (Method::GET, "/api/health/detail"),
        (Method::POST, "/api/admin/check"),
    ] {
        let reply = app.call(method, path).send().await;
        let message = reply.refused(401, "UNAUTHORIZED");
        assert!(message.contains("Authorization: Bearer"), "{path}: {message}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_new_password_must_keep_the_policy() {
    let app = TestApp::new();
    let admin = app.person("admin", Role::Admin).await;
    for (password, rule) in [
        ("Short1a", "at least 8 characters"),
        ("alllower1", "an upper-case letter"),
        ("ALLUPPER1", "a lower-case letter"),
        ("NoDigitsHere", "a digit"),
        ("Aaaaa1bcd", "no character more than 3 times running"),
        (&format!("Aa1{}", "xy".repeat(200)), "at most 256 bytes"),
    ] {
        let body = json!({ "email": "ben@example.com", "password": password });
        let reply = app.post("/api/users").by(&admin).json(&body).send().await;
        let message = reply.refused(400, "VALIDATION_ERROR");
        assert!(message.contains(rule), "{message}");
        assert!(!message.contains(password), "{message}");
        assert_eq!(reply.details()["field"], "password");
    }
}

#[tokio::test]
async fn a_changed_password_ends_all_tokens() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let old = app.login(&ana.email, PASSWORD).await.data(200)["access_token"].as_str().unwrap().to_owned();
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        app.post("/api/auth/password").token(&old).json(&body)
    };
    change("Wrong8Guess", "Ginza4Chome").send().await.refused(401, "INVALID_CREDENTIALS");
    let new = change(PASSWORD, "Ginza4Chome").send().await.data(200);
    app.get("/api/auth/me").token(&old).send().await.refused(401, "INVALID_TOKEN");
    app.get("/api/auth/me").token(new["access_token"].as_str().unwrap()).send().await.data(200);
    app.login(&ana.email, PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    app.login(&ana.email, "Ginza4Chome").await.data(200);
}

#[tokio::test]
async fn administrators_add_and_change_users() {
    let app = TestApp::new();
    let (admin, ana) = (app.person("admin", Role::Admin).await, app.ana().await);
    let body = json!({ "email": "Ben@Example.com", "password": PASSWORD });
    let message = app.post("/api/users").by(&ana).json(&body).send().await.refused(403, "FORBIDDEN");
    assert_eq!(message, "only administrators may manage users");
    let reply = app.post("/api/users").by(&admin).json(&body).send().await;
    assert_eq!(
        reply.redacted()["data"],
        json!({
            "id": "[user]", "email": "ben@example.com", "name": "ben", "role": "user",
            "disabled": false, "scan_mb_max": null, "created_at": "[time]",
        })
    );
    let ben = reply.data(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/users/{ben}");
    assert_eq!(reply.header("location"), path);
    let message = app.post("/api/users").by(&admin).json(&body).send().await.refused(409, "DUPLICATE_ERROR");
    assert_eq!(message, "the e-mail address `ben@example.com` is taken");

    let token = app.login("ben@example.com", PASSWORD).await.data(200);
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(app.get(&path).token(token).send().await.data(200)["id"], ben);
    app.get(&path).by(&ana).send().await.refused(404, "NOT_FOUND");
    app.put(&path).by(&ana).json(&json!({ "role": "admin" })).send().await.refused(404, "NOT_FOUND");
    let own = format!("/api/users/{}", ana.id);
    app.put(&own).by(&ana).json(&json!({ "role": "admin" })).send().await.refused(403, "FORBIDDEN");

    let change = json!({ "name": "Ben 太郎", "disabled": true });
    let disabled = app.put(&path).by(&admin).json(&change).send().await.data(200);
    assert_eq!((&disabled["name"], &disabled["disabled"]), (&json!("Ben 太郎"), &json!(true)));
    app.get("/api/auth/me").token(token).send().await.refused(401, "INVALID_TOKEN");
    app.login("ben@example.com", PASSWORD).await.refused(401, "INVALID_CREDENTIALS");
    let last = app.put(&format!("/api/users/{}", admin.id)).by(&admin).json(&json!({ "role": "user" }));
    assert!(last.send().await.refused(409, "CONFLICT").contains("last administrator"));
}

#[tokio::test]
async fn people_are_found_by_a_part_of_their_address() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.person("hanako", Role::User).await;
    let found = async |query: &str| {
        let (users, pagination) = app.get(&format!("/api/users{query}")).by(&ana).send().await.list();
        let emails: Vec<_> = users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        assert_eq!(pagination["total"], emails.len());
        emails
    };
    assert_eq!(found("?q=AN").await, ["ana@example.com", "hanako@example.com"]);
    assert_eq!(found("?q=hana").await, ["hanako@example.com"]);
    assert_eq!(found("?q=an&limit=1").await, ["ana@example.com"]);
    assert_eq!(found("?q=%25").await, [""; 0], "a wildcard of SQL is a letter here");
    assert_eq!(found("?q=").await, [""; 0]);
    assert_eq!(found("").await, [""; 0]);
    app.get("/api/users?q=a&limit=0").by(&ana).send().await.refused(400, "VALIDATION_ERROR");
    let many = app.get("/api/users?q=a&limit=101").by(&ana).send().await;
    assert_eq!(many.refused(400, "VALIDATION_ERROR"), "`limit` is 101: expected 1 to 100");
    assert_eq!(many.details()["field"], "limit");
    let (users, pagination) = app.get("/api/users?q=HANA").by(&ana).send().await.list();
    assert_eq!(fields(&users[0]), ["created_at", "disabled", "email", "id", "name", "role", "scan_mb_max"]);
    assert_eq!(pagination, json!({ "has_next": false, "limit": 50, "offset": 0, "total": 1 }));
    app.get("/api/users?all=true").by(&ana).send().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn all_users_come_in_pages_by_address() {
    let app = TestApp::new();
    for name in ["carla", "ana", "ben"] {
        app.person(name, Role::User).await;
    }
    let page = async |query: &str| {
        let path = format!("/api/users?all=true{query}");
        let (users, pagination) = app.get(&path).by(&app.operator()).send().await.list();
        let names: Vec<_> = users.iter().map(|user| user["name"].clone()).collect();
        (json!(names), pagination["total"].clone(), pagination["has_next"].clone())
    };
    assert_eq!(page("").await, (json!(["ana", "ben", "carla"]), json!(3), json!(false)));
    assert_eq!(page("&limit=2").await, (json!(["ana", "ben"]), json!(3), json!(true)));
    assert_eq!(page("&limit=2&offset=2").await, (json!(["carla"]), json!(3), json!(false)));
    assert_eq!(page("&offset=9").await, (json!([]), json!(3), json!(false)));
}

#[tokio::test]
async fn an_id_that_nobody_has_and_one_that_nobody_can_have_look_alike() {
    let app = TestApp::new();
    let admin = app.person("admin", Role::Admin).await;
    for id in ["user_0123456789abcdef", "nonexistent", "..%2F..%2Fetc", "user_%00", "ds_0123456789ab"] {
        app.get(&format!("/api/users/{id}")).by(&admin).send().await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let token = app.login(&ana.email, PASSWORD).await.data(200)["access_token"].as_str().unwrap().to_owned();
    let reply = app.post("/api/keys").token(&token).json(&json!({ "name": "nightly" })).send().await;
    let key = reply.data(201);
    assert_eq!(fields(&key), ["created_at", "expires_at", "key_id", "name", "scope", "secret"]);
    assert_eq!((&key["name"], &key["scope"]), (&json!("nightly"), &json!("full")));
    let (id, secret) = (key["key_id"].as_str().unwrap(), key["secret"].as_str().unwrap());

    let listed = app.get("/api/keys").token(secret).send().await;
    assert!(!listed.text().contains(secret), "{}", listed.text());
    let (keys, pagination) = listed.list();
    let shown = keys.iter().find(|listed| listed["key_id"] == id).unwrap();
    assert_eq!(fields(shown), ["created_at", "expires_at", "key_id", "name", "scope"]);
    assert_eq!((&pagination["limit"], &pagination["has_next"]), (&json!(100), &json!(false)));
    let path = format!("/api/keys/{id}");
    let ben = app.person("ben", Role::Admin).await;
    app.delete(&path).by(&ben).send().await.refused(404, "NOT_FOUND");
    app.post("/api/auth/logout").token(secret).send().await.refused(400, "VALIDATION_ERROR");
    app.delete(&path).token(&token).send().await.no_content();
    app.get("/api/auth/me").token(secret).send().await.refused(401, "INVALID_TOKEN");
    app.delete(&path).token(&token).send().await.refused(404, "NOT_FOUND");

    let past = json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" });
    app.post("/api/keys").token(&token).json(&past).send().await.refused(400, "VALIDATION_ERROR");
    let nameless = app.post("/api/keys").token(&token).json(&json!({ "name": " " })).send().await;
    assert_eq!((nameless.refused(400, "VALIDATION_ERROR"), nameless.details()["field"].clone()).1, "name");
}

#[tokio::test]
async fn a_read_only_key_reads() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let id = app.dataset(&ana, "t", "a\n1\n").await;
    let body = json!({ "name": "dashboard", "scope": "read_only" });
    let reply = app.post("/api/keys").by(&ana).json(&body).send().await;
    let key = reply.data(201);
    assert_eq!(
        reply.redacted()["data"],
        json!({
            "key_id": "[key]", "name": "dashboard", "scope": "read_only", "secret": "[secret]",
            "created_at": "[time]", "expires_at": null,
        })
    );
    let key = key["secret"].as_str().unwrap();
    app.get("/api/auth/me").token(key).send().await.data(200);
    app.get(&format!("/api/datasets/{id}")).token(key).send().await.data(200);
    app.post("/api/query").token(key).json(&json!({ "sql": "select a from t" })).send().await.data(200);
    for call in [
        app.put(&format!("/api/datasets/{id}")).json(&json!({ "name": "u" })),
        app.delete(&format!("/api/datasets/{id}")),
        app.get("/api/keys"),
        app.post("/api/keys").json(&json!({ "name": "more", "scope": "full" })),
        app.post("/api/auth/password")
            .json(&json!({ "current_password": PASSWORD, "new_password": "Ginza4Chome" })),
    ] {
        assert!(call.token(key).send().await.refused(403, "FORBIDDEN").contains("read-only"));
    }
}

#[tokio::test]
async fn a_user_of_the_older_system_signs_in_by_their_bcrypt_hash() {
    let folder = tempfile::tempdir().unwrap();
    let record = UserRecord {
        id: UserId::random(),
        email: "old@example.com".to_owned(),
        name: "old".to_owned(),
        role: Role::User,
        password_hash: bcrypt::hash(PASSWORD, 12).unwrap(),
        token_version: 0,
        disabled: false,
        scan_bytes_max: None,
        created_at: shirabe::clock::Timestamp::from_seconds(1_600_000_000),
        revision: 0,
    };
    let users = SqliteStore::open(folder.path().join("shirabe.db")).unwrap().stores().users;
    users.put(record.clone()).await.unwrap();
    let app = TestApp::on(folder, &[]);
    app.login("old@example.com", "Tsukiji8Meat").await.refused(401, "INVALID_CREDENTIALS");
    app.login("old@example.com", PASSWORD).await.data(200);
    let renewed = users.get(&record.id).await.unwrap().unwrap().password_hash;
    assert!(renewed.starts_with("$argon2id$"), "{renewed}");
    app.login("old@example.com", PASSWORD).await.data(200);
}
