//! One request in the making.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use shirabe::server::http::InProcess;

use super::{Person, Reply};

/// What separates the fields of our forms.
const BOUNDARY: &str = "shirabe-test-form";

/// A request that is sent by [`Call::send`].
#[derive(Debug)]
pub(crate) struct Call {
    door: InProcess,
    request: Request<Body>,
}

impl Call {
    pub(super) fn new(door: InProcess, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Self { door, request }
    }

    pub(crate) fn by(self, person: &Person) -> Self {
        self.token(&person.token)
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds a header; bytes that no header may hold are a mistake of the test.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.typed("application/json", Body::from(value.to_string()))
    }

    pub(crate) fn form(self, form: Form) -> Self {
        self.typed(&Form::content_type(), Body::from(form.finish()))
    }

    pub(crate) fn typed(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        self.request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        *self.request.body_mut() = body.into();
        self
    }

    /// The whole answer.
    pub(crate) async fn send(self) -> Reply {
        let (parts, body) = self.door.call(self.request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }
}

impl Call {
    /// Whether the body of the answer ends with a failure of the transfer.
    pub(crate) async fn broken_off(self) -> bool {
        self.door.call(self.request).await.into_body().collect().await.is_err()
    }
}

/// A multipart form.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        let head =
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        self.0.extend_from_slice(head.as_bytes());
        self
    }

    pub(crate) fn file(mut self, file: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.extend_from_slice(Self::file_head(file).as_bytes());
        self.0.extend(bytes.into());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// What stands before the bytes of a file.
    pub(crate) fn file_head(file: &str) -> String {
        format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
    }

    /// What stands after the last field.
    pub(crate) fn end() -> String {
        format!("\r\n--{BOUNDARY}--\r\n")
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}
