//! Tokens that somebody made up, through the whole door. The long table is in `auth`; these rows show that the door asks it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp};

const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn signed_by(secret: &str, algorithm: Algorithm, header: &str, claims: &Value) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(header), encode(&claims.to_string()));
    let key = EncodingKey::from_secret(secret.as_bytes());
    format!("{message}.{}", sign(message.as_bytes(), &key, algorithm).unwrap())
}

fn signed(claims: &Value) -> String {
    signed_by(SECRET, Algorithm::HS256, HEADER, claims)
}

/// The claims of a good token, made `age_s` seconds ago for an hour.
fn claims(app: &TestApp, person: &Person, age_s: i64) -> Value {
    let made = app.state.clock.now().seconds() - age_s;
    json!({
        "iss": "shirabe", "aud": "shirabe-api", "sub": person.id, "jti": "0123456789abcdef0123456789abcdef",
        "iat": made, "exp": made + 3600, "tv": 0,
    })
}

/// Good claims with one of them changed, or left out for `null`.
fn with(claims: &Value, name: &str, value: Value) -> String {
    let mut claims = claims.clone();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    signed(&claims)
}

/// Tokens that are good but for one thing, most of them signed with the right secret.
fn forged(good: &Value) -> Vec<(&'static str, String)> {
    let unsigned = |header: &str| {
        let (header, claims) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(good.to_string()));
        format!("{header}.{claims}.")
    };
    let header = |text| signed_by(SECRET, Algorithm::HS256, text, good);
    let token = signed(good);
    vec![
        ("alg none", unsigned(r#"{"typ":"JWT","alg":"none"}"#)),
        ("alg NoNe", unsigned(r#"{"typ":"JWT","alg":"NoNe"}"#)),
        ("alg missing", unsigned(r#"{"typ":"JWT"}"#)),
        ("alg RS256", header(r#"{"typ":"JWT","alg":"RS256"}"#)),
        ("alg HS512", signed_by(SECRET, Algorithm::HS512, r#"{"typ":"JWT","alg":"HS512"}"#, good)),
        ("kid a path", header(r#"{"typ":"JWT","alg":"HS256","kid":"../../../dev/null"}"#)),
        ("kid SQL", header(r#"{"typ":"JWT","alg":"HS256","kid":"x' union select 'k' --"}"#)),
        ("jku", header(r#"{"typ":"JWT","alg":"HS256","jku":"https://evil.example/keys"}"#)),
        ("wrong secret", signed_by(&SECRET.replace('9', "8"), Algorithm::HS256, HEADER, good)),
        ("empty secret", signed_by("", Algorithm::HS256, HEADER, good)),
        ("signature cut", token[..token.len() - 1].to_owned()),
        ("signature gone", token[..=token.rfind('.').unwrap()].to_owned()),
        ("a fourth part", format!("{token}.x")),
        ("exp text", with(good, "exp", json!("9999999999"))),
        ("exp for ever", with(good, "exp", json!(i64::MAX))),
        ("exp missing", with(good, "exp", Value::Null)),
        ("jti missing", with(good, "jti", Value::Null)),
        ("iss another", with(good, "iss", json!("https://evil.example"))),
        ("aud another", with(good, "aud", json!("another-service"))),
        ("sub nobody", with(good, "sub", json!("user_ffffffffffffffffffffffffffffffff"))),
        ("sub the operator", with(good, "sub", json!("user_000000000000operator"))),
        ("sub SQL", with(good, "sub", json!("user_' or 1=1 --"))),
        ("tv of another password", with(good, "tv", json!(1))),
        ("role", with(good, "role", json!("admin"))),
        ("made tomorrow", with(good, "iat", json!(good["iat"].as_i64().unwrap() + 86_400))),
        ("8 KB", "A".repeat(8 << 10)),
        ("words", "let me in".to_owned()),
        ("a key that is none", format!("shk_{}_{}", "0".repeat(32), "0".repeat(64))),
        ("a key that is SQL", "shk_' or 1=1 --".to_owned()),
        ("an operator token that is none", format!("shop_{}", "0".repeat(64))),
    ]
}

#[tokio::test]
async fn forged_tokens_are_refused_at_every_door() {
    let app = TestApp::with(&[("JWT_SECRET_KEY", SECRET)]);
    let ana = app.ana().await;
    let good = claims(&app, &ana, 60);
    let me = app.get("/api/auth/me").token(&signed(&good)).send().await.data(200);
    assert_eq!(me["user_id"], ana.id, "the forger of this test can sign");

    for (name, token) in forged(&good) {
        for path in ["/api/auth/me", "/api/datasets"] {
            let reply = app.get(path).token(&token).send().await;
            assert_eq!((reply.status, reply.fault().as_str()), (401, "INVALID_TOKEN"), "{name} at {path}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    let expired = signed(&claims(&app, &ana, 7200));
    app.get("/api/auth/me").token(&expired).send().await.refused(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_key_of_another_user_cannot_be_guessed_from_ones_own() {
    let app = TestApp::new();
    let (ana, ben) = (app.ana().await, app.person("ben", shirabe::auth::Role::User).await);
    let (id, _) = ben.token.rsplit_once('_').unwrap();
    let (_, secret) = ana.token.rsplit_once('_').unwrap();
    app.get("/api/auth/me").token(&format!("{id}_{secret}")).send().await.refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn only_one_authorization_of_the_right_kind_is_read() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{}:{PASSWORD}", ana.email));
    for value in
        [format!("Basic {basic}"), ana.token.clone(), "Bearer".to_owned(), "Bearer \u{3000}".to_owned()]
    {
        let reply = app.get("/api/auth/me").header("authorization", &value).send().await;
        reply.refused(401, "INVALID_TOKEN");
    }
    let twice = app.get("/api/auth/me").by(&ana).by(&ana).send().await;
    twice.refused(401, "INVALID_TOKEN");
    app.get(&format!("/api/auth/me?access_token={}", ana.token)).send().await.refused(401, "UNAUTHORIZED");
}
