//! Forged tokens, all refused. Most rows are signed with the right secret, so that the signature does
//! not save us: each must fail on the one thing that is wrong with it.

use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm as Jwa, EncodingKey};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::token::{AUDIENCE, Algorithm, Claims, ISSUER, Tokens};
use crate::clock::Timestamp;
use crate::error::Unauthenticated;
use crate::ids::UserId;

const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const NOW_S: i64 = 1_700_000_000;
const LIFETIME_S: i64 = 3_600;
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW_S)
}

fn tokens(algorithm: Algorithm) -> Tokens {
    Tokens::new(&SecretString::from(SECRET), algorithm, LIFETIME_S).unwrap()
}

fn user() -> UserId {
    UserId::parse("user_0123456789abcdef0123456789abcdef").unwrap()
}

/// The claims of a good token.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": user(), "jti": "0123456789abcdef0123456789abcdef",
        "iat": NOW_S, "exp": NOW_S + LIFETIME_S, "tv": 0,
    })
}

/// A good token's claims with one of them changed, or left out for `null`.
fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims.to_string()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.as_ref().chunks(3) {
        let mut block = [0; 3];
        block[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, block[0], block[1], block[2]]);
        for n in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * n)) as usize & 63]));
        }
    }
    text
}

/// Signs any header and any payload, as somebody who has the secret could.
fn signed_by(secret: &str, algorithm: Jwa, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64(header), base64(payload));
    let signature =
        sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn signed(header: &str, payload: &str) -> String {
    signed_by(SECRET, Jwa::HS256, header, payload)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_forger_of_this_test_can_sign() {
    let token = signed(HEADER, &claims().to_string());
    let expected: Claims = serde_json::from_value(claims()).unwrap();
    assert_eq!(tokens(Algorithm::Hs256).verify(&token, now()).unwrap(), expected);
}

#[test]
fn our_own_tokens_verify_until_they_expire() {
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let tokens = tokens(algorithm);
        let (token, claims) = tokens.issue(&user(), 7, now()).unwrap();
        assert_eq!(tokens.verify(&token, now()).unwrap(), claims);
        assert_eq!((&claims.sub, claims.tv), (&user(), 7));
        assert_eq!(tokens.verify(&token, now().plus_seconds(LIFETIME_S - 1)), Ok(claims));
        let late = tokens.verify(&token, now().plus_seconds(LIFETIME_S));
        assert_eq!(late, Err(Unauthenticated::Expired));
    }
    let tokens = tokens(Algorithm::Hs256);
    let ids = [(); 2].map(|()| tokens.issue(&user(), 0, now()).unwrap().1.jti);
    assert_ne!(ids[0], ids[1]);
}

/// Forgeries of the header: the algorithm, and everything that names another key.
fn forged_headers() -> Vec<(&'static str, String)> {
    let payload = claims().to_string();
    let header = |name, text: &str| (name, signed(text, &payload));
    let unsigned = |name, text: &str| (name, format!("{}.{}.", base64(text), base64(&payload)));
    let other = |name, algorithm, text: &str| (name, signed_by(SECRET, algorithm, text, &payload));
    vec![
        unsigned("alg none", r#"{"typ":"JWT","alg":"none"}"#),
        unsigned("alg None", r#"{"typ":"JWT","alg":"None"}"#),
        unsigned("alg NONE", r#"{"typ":"JWT","alg":"NONE"}"#),
        unsigned("alg nOnE", r#"{"typ":"JWT","alg":"nOnE"}"#),
        unsigned("alg with a blank", r#"{"typ":"JWT","alg":"none "}"#),
        unsigned("alg empty", r#"{"typ":"JWT","alg":""}"#),
        unsigned("alg null", r#"{"typ":"JWT","alg":null}"#),
        unsigned("alg missing", r#"{"typ":"JWT"}"#),
        header("alg none, signed", r#"{"typ":"JWT","alg":"none"}"#),
        header("alg RS256, our secret as its key", r#"{"typ":"JWT","alg":"RS256"}"#),
        header("alg ES256, our secret as its key", r#"{"typ":"JWT","alg":"ES256"}"#),
        header("alg EdDSA", r#"{"typ":"JWT","alg":"EdDSA"}"#),
        header("alg PS256", r#"{"typ":"JWT","alg":"PS256"}"#),
        header("alg lower-case", r#"{"typ":"JWT","alg":"hs256"}"#),
        header("alg twice", r#"{"typ":"JWT","alg":"HS256","alg":"none"}"#),
        header("alg a list", r#"{"typ":"JWT","alg":["HS256"]}"#),
        other("another of our family, HS384", Jwa::HS384, r#"{"typ":"JWT","alg":"HS384"}"#),
        other("another of our family, HS512", Jwa::HS512, r#"{"typ":"JWT","alg":"HS512"}"#),
        other("HS384 under the name of HS256", Jwa::HS384, HEADER),
        header("kid as a path", r#"{"typ":"JWT","alg":"HS256","kid":"../../../dev/null"}"#),
        header("kid as SQL", r#"{"typ":"JWT","alg":"HS256","kid":"x' union select 'k' --"}"#),
        header("jku", r#"{"typ":"JWT","alg":"HS256","jku":"https://evil.example/keys"}"#),
        header("x5u", r#"{"typ":"JWT","alg":"HS256","x5u":"https://evil.example/cert"}"#),
        header("jwk", r#"{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#),
        header("x5c", r#"{"typ":"JWT","alg":"HS256","x5c":["MIIB"]}"#),
        header("crit", r#"{"typ":"JWT","alg":"HS256","crit":["exp"]}"#),
        header("b64 false", r#"{"typ":"JWT","alg":"HS256","b64":false,"crit":["b64"]}"#),
        header("zip", r#"{"typ":"JWT","alg":"HS256","zip":"DEF"}"#),
        header("another typ", r#"{"typ":"at+jwt","alg":"HS256"}"#),
        header("header no JSON", "HS256"),
        header("header empty", ""),
    ]
}

/// Forgeries of the payload, well signed: what a leaked sibling of our secret, or a bug, could make.
fn forged_payloads() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for claim in ["iss", "aud", "sub", "jti", "iat", "exp", "tv"] {
        rows.push((format!("without {claim}"), with(claim, Value::Null)));
        rows.push((format!("{claim} a list"), with(claim, json!([claims()[claim]]))));
    }
    let mut claim = |name: &str, value: Value| rows.push((format!("{name} {value}"), with(name, value)));
    claim("exp", json!((NOW_S + 60).to_string()));
    claim("exp", json!(NOW_S as f64 + 60.5));
    claim("exp", json!(NOW_S as f64 + 60.0));
    claim("exp", json!(-1));
    claim("exp", json!(0));
    claim("exp", json!(i64::MAX));
    claim("exp", json!(u64::MAX));
    claim("exp", json!(1e300));
    claim("exp", json!(true));
    claim("exp", json!(NOW_S + LIFETIME_S + 1));
    claim("iat", json!(i64::MIN));
    claim("iat", json!(NOW_S + 61));
    claim("iat", json!("now"));
    claim("nbf", json!(NOW_S + 600));
    claim("aud", json!("another-service"));
    claim("aud", json!(""));
    claim("iss", json!("https://evil.example"));
    claim("sub", json!("admin"));
    claim("sub", json!("user_' or 1=1 --"));
    claim("sub", json!(1));
    claim("tv", json!(-1));
    claim("tv", json!("0"));
    claim("role", json!("admin"));
    let text = claims().to_string();
    let twice = |more: &str| text.replacen('{', &format!("{{{more},"), 1);
    rows.push(("exp twice".to_owned(), twice(r#""exp":9999999999"#)));
    rows.push(("sub twice".to_owned(), twice(r#""sub":"user_ffffffffffff""#)));
    rows.push(("no object".to_owned(), "[]".to_owned()));
    rows.push(("no JSON".to_owned(), "exp=9999999999".to_owned()));
    rows.push(("trailing text".to_owned(), format!("{text} {{}}")));
    rows.push(("deeply nested".to_owned(), with("sub", json!(null)) + &"[".repeat(1_000)));
    rows
}

/// Forgeries of the text: the token is good but for what was done to it.
fn forged_texts() -> Vec<(&'static str, String)> {
    let (token, _) = tokens(Algorithm::Hs256).issue(&user(), 0, now()).unwrap();
    let (other, _) = tokens(Algorithm::Hs256).issue(&UserId::random(), 0, now()).unwrap();
    let [header, payload, signature] = parts(&token);
    let [_, other_payload, other_signature] = parts(&other);
    vec![
        ("wrong secret", signed_by(&SECRET.replace('9', "8"), Jwa::HS256, HEADER, &claims().to_string())),
        ("empty secret", signed_by("", Jwa::HS256, HEADER, &claims().to_string())),
        ("no signature", format!("{header}.{payload}.")),
        ("no signature, no dot", format!("{header}.{payload}")),
        ("truncated signature", token[..token.len() - 1].to_owned()),
        ("half a signature", token[..token.len() - 22].to_owned()),
        ("longer signature", format!("{token}A")),
        ("another user's payload", format!("{header}.{other_payload}.{signature}")),
        ("another token's signature", format!("{header}.{payload}.{other_signature}")),
        ("parts swapped", format!("{payload}.{header}.{signature}")),
        ("a fourth part", format!("{token}.{signature}")),
        ("a dot before", format!(".{token}")),
        ("a dot after", format!("{token}.")),
        ("two dots", token.replacen('.', "..", 1)),
        ("a blank before", format!(" {token}")),
        ("a blank after", format!("{token} ")),
        ("a line end after", format!("{token}\n")),
        ("a NUL after", format!("{token}\0")),
        ("a tab inside", format!("{header}.\t{payload}.{signature}")),
        ("padded signature", format!("{token}=")),
        ("padded payload", format!("{header}.{payload}=.{signature}")),
        ("percent-encoded dots", token.replace('.', "%2E")),
        ("full-width dots", token.replace('.', "．")),
        ("the word Bearer", format!("Bearer {token}")),
        ("upper-case", token.to_uppercase()),
        ("empty", String::new()),
        ("only dots", "..".to_owned()),
        ("words", "let me in".to_owned()),
        ("a null", "null".to_owned()),
        ("1 MB of letters", "A".repeat(1 << 20)),
        ("a good start and 1 MB", format!("{header}.{}", "A".repeat(1 << 20))),
        ("1 MB of dots", ".".repeat(1 << 20)),
        ("a well-signed token of 1 MB", signed(HEADER, &with("jti", json!("a".repeat(1 << 20))))),
    ]
}

#[test]
fn forgeries_are_refused() {
    let tokens = tokens(Algorithm::Hs256);
    let payloads = forged_payloads().into_iter().map(|(name, text)| (name, signed(HEADER, &text)));
    let named = |rows: Vec<(&'static str, String)>| rows.into_iter().map(|(n, t)| (n.to_owned(), t));
    let rows: Vec<_> = payloads.chain(named(forged_headers())).chain(named(forged_texts())).collect();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for (name, token) in rows {
        assert_eq!(tokens.verify(&token, now()), Err(Unauthenticated::BadToken), "{name}");
    }
}

#[test]
fn a_token_from_before_a_change_of_algorithm_ends() {
    let (token, _) = tokens(Algorithm::Hs256).issue(&user(), 0, now()).unwrap();
    assert_eq!(tokens(Algorithm::Hs512).verify(&token, now()), Err(Unauthenticated::BadToken));
}

#[test]
fn a_token_that_lives_longer_than_ours_do_today_ends() {
    let (token, _) = tokens(Algorithm::Hs256).issue(&user(), 0, now()).unwrap();
    let shorter = Tokens::new(&SecretString::from(SECRET), Algorithm::Hs256, LIFETIME_S / 2).unwrap();
    assert_eq!(shorter.verify(&token, now()), Err(Unauthenticated::BadToken));
}

#[test]
fn neither_secret_nor_key_is_shown() {
    assert!(!format!("{:?}", tokens(Algorithm::Hs256)).contains(&SECRET[..8]));
}

proptest! {
    /// No single changed byte makes another token that verifies.
    #[test]
    fn a_changed_byte_is_noticed(place in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let tokens = tokens(Algorithm::Hs256);
        let (token, _) = tokens.issue(&user(), 0, now()).unwrap();
        let mut bytes = token.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(tokens.verify(&changed, now()), Err(Unauthenticated::BadToken));
    }

    /// Any text at all is answered, and refused.
    #[test]
    fn any_text_is_refused(text in ".{0,200}") {
        let tokens = tokens(Algorithm::Hs256);
        prop_assert_eq!(tokens.verify(&text, now()), Err(Unauthenticated::BadToken));
    }
}
