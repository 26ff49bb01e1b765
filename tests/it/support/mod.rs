//! What integration tests share: a door over real stores in a folder of its own.
//!
//! A test makes a [`Door`], says who asks, and compares the whole answer, status included, with an inline snapshot.
//! Ids, tokens and times differ from run to run and are replaced by their names. It must not know single routes.

use serde_json::Value;
use shirabe::account::NewUser;
use shirabe::app::App;
use shirabe::auth::{Principal, Role};
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::config::Config;
use shirabe::data_folder::{DataFolder, Opened};
use shirabe::server::http::{AppState, InProcess, router};

mod app;
mod call;
mod counted;
mod reply;

pub(crate) use app::{Person, TestApp};
pub(crate) use call::{Call, Form};
pub(crate) use counted::Calls;
pub(crate) use reply::{Reply, fields};

/// The password of every user of a test.
pub(crate) const PASSWORD: &str = "Correct-Horse-7";

/// The service's HTTP, without a socket.
pub(crate) struct Door {
    pub(crate) app: AppState,
    in_process: InProcess,
    pub(crate) operator: String,
    _folder: tempfile::TempDir,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Door {
    /// Calls are not counted.
    pub(crate) fn open() -> Self {
        Self::with("false")
    }

    /// The limits of the contract.
    pub(crate) fn limited() -> Self {
        Self::with("true")
    }

    fn with(rate_limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let config = Config::from_lookup(&|name| match name {
            "DATA_DIR" => Some(data.to_owned()),
            "RATE_LIMIT_ENABLED" => Some(rate_limits.to_owned()),
            "CORS_ORIGINS" => Some("https://bi.example.com".to_owned()),
            _ => None,
        });
        let Opened::Mine(owned) = DataFolder::open(folder.path()).unwrap() else {
            panic!("a new folder is nobody's");
        };
        let app = App::open(&config.unwrap(), owned).unwrap();
        let state = app.state.clone();
        let operator = secrecy::ExposeSecret::expose_secret(state.operator_token.secret()).to_owned();
        let in_process = InProcess::new(router(state.clone()), app);
        Self { app: state, in_process, operator, _folder: folder }
    }

    /// Adds a user with [`PASSWORD`], signs in, and returns the token.
    pub(crate) async fn user(&self, email: &str, role: Role) -> String {
        let user = NewUser { email, name: "", role, password: PASSWORD };
        let now = SystemClock.now();
        self.app.accounts.users.add(&Principal::operator(), user, now).await.unwrap();
        self.app.accounts.sign_in.sign_in(email, PASSWORD, now, None).await.unwrap().token
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, token, "").await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send("POST", path, token, &body.to_string()).await
    }

    /// A request; without a token when it is empty.
    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.answer(request.body(http_body_util::Full::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn answer(&self, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Answer {
        let (head, body) = self.in_process.call(request).await.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and body, with what differs from run to run replaced.
    pub(crate) fn redacted(&self) -> Value {
        let mut body = if self.body.is_empty() { Value::Null } else { self.json() };
        redact(&mut body);
        serde_json::json!({ "status": self.status, "body": body })
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), &field) {
                    (
                        "request_id" | "id" | "user_id" | "key_id" | "access_token" | "secret",
                        Value::String(_),
                    )
                    | ("created_at", Value::String(_))
                    | ("uptime_s" | "free_disk_bytes", Value::Number(_))
                    | ("version", Value::String(_)) => *field = Value::from(format!("[{name}]")),
                    _ => redact(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}
