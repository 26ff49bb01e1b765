//! One answer, and the contract that every answer keeps.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("{}: no JSON: {}", self.status, self.text()))
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value =
            self.headers.get(name).unwrap_or_else(|| panic!("no header `{name}`: {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// The `data` of a success in the envelope.
    #[track_caller]
    pub(crate) fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.check_request_id();
        let body = self.json();
        assert!(body.get("error").is_none(), "{body}");
        body["data"].clone()
    }

    /// The items of a list in the envelope, and its `pagination`.
    #[track_caller]
    pub(crate) fn list(&self) -> (Vec<Value>, Value) {
        let Value::Array(items) = self.data(200) else { panic!("no list: {}", self.text()) };
        (items, self.json()["pagination"].clone())
    }

    /// A success without a body.
    #[track_caller]
    pub(crate) fn no_content(&self) {
        assert_eq!((self.status, self.text()), (204, ""));
        self.header("x-request-id");
    }

    /// The message of an error in the envelope, with exactly the fields of the contract.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        self.check_request_id();
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{body}");
        assert_eq!(fields(&body), ["error", "meta"], "{body}");
        assert_eq!(fields(&body["error"]), ["code", "details", "message"], "{body}");
        assert!(body["error"]["details"].is_object(), "{body}");
        body["error"]["message"].as_str().unwrap().to_owned()
    }

    /// What an error says beyond its message.
    #[track_caller]
    pub(crate) fn details(&self) -> Value {
        self.json()["error"]["details"].clone()
    }

    /// The code of an error of the caller's making, whichever it is.
    #[track_caller]
    pub(crate) fn fault(&self) -> String {
        assert!((400..500).contains(&self.status), "{}: {}", self.status, self.text());
        let code = self.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        self.refused(self.status, &code);
        code
    }

    #[track_caller]
    fn check_request_id(&self) {
        let id = self.header("x-request-id");
        assert_eq!(self.json()["meta"]["request_id"], id, "{}", self.text());
    }

    /// The body with ids, times and secrets replaced, for comparing it as a whole.
    #[track_caller]
    pub(crate) fn redacted(&self) -> Value {
        redact(self.json())
    }

    /// Status and body, with the same replaced.
    #[track_caller]
    pub(crate) fn whole(&self) -> Value {
        json!({ "status": self.status, "body": self.redacted() })
    }
}

/// The names of an object's fields, in their order by name.
#[track_caller]
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Replaces what differs between two runs.
fn redact(value: Value) -> Value {
    match value {
        Value::String(text) => json!(stand_in(&text).unwrap_or(text)),
        Value::Array(items) => items.into_iter().map(redact).collect(),
        Value::Object(fields) => {
            let each = fields.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), &value) {
                    ("access_token" | "secret", Value::String(_)) => json!("[secret]"),
                    ("uptime_s" | "free_disk_bytes", Value::Number(_)) | ("version", Value::String(_)) => {
                        json!(format!("[{name}]"))
                    }
                    _ => redact(value),
                };
                (name, value)
            });
            Value::Object(each.collect())
        }
        other => other,
    }
}

fn stand_in(text: &str) -> Option<String> {
    let is_time = text.len() == 27 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    if is_time {
        return Some("[time]".to_owned());
    }
    let is_digits = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<String> = text
        .split('/')
        .map(|part| match part.split_once('_') {
            Some((kind, digits)) if is_digits(digits) => format!("[{kind}]"),
            _ => part.to_owned(),
        })
        .collect();
    Some(parts.join("/"))
}

#[test]
fn what_differs_between_two_runs_is_replaced() {
    check("ds_0f8fad5bd9cb469fa16570867728950e", "[ds]");
    check("/api/datasets/ds_0f8fad5bd9cb469fa16570867728950e/", "/api/datasets/[ds]/");
    check("2026-11-21T09:30:00.123456Z", "[time]");
    check("2026-11-21", "2026-11-21");
    check("ds_short", "ds_short");

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redact(json!([text])), json!([expected]));
    }
}
