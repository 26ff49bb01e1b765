//! Something between the service and DynamoDB that makes trouble: it loses answers, throttles, or is not there.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use shirabe::tasks;
use tokio::net::TcpListener;

/// What it does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Passes it on.
    None,
    /// Passes the next so many of this operation on, and answers each as if the server had failed.
    LoseAnswers(&'static str, usize),
    /// Says of the next so many transactions that others write the same items.
    Crowd(usize),
    /// Says that there is too much to do.
    Throttle,
    /// Refuses with this code.
    Refuse(&'static str),
    /// Answers nothing that can be read.
    HangUp,
}

#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) address: String,
    trouble: Arc<Mutex<Trouble>>,
    _server: tokio_util::task::AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
struct Passage {
    server: String,
    client: reqwest::Client,
    trouble: Arc<Mutex<Trouble>>,
}

impl Proxy {
    /// Begins to pass calls on to `server`.
    pub(super) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let trouble = Arc::new(Mutex::new(Trouble::None));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let passage = Passage { server: server.to_owned(), client, trouble: Arc::clone(&trouble) };
        let router = Router::new().fallback(pass).with_state(passage);
        let server = tasks::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, trouble, _server: server }
    }

    pub(super) fn make(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    pub(super) fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }
}

impl Passage {
    /// What to do to a call of `operation`.
    fn next(&self, operation: &str) -> Trouble {
        let mut trouble = self.trouble.lock().unwrap();
        let now = *trouble;
        if let Trouble::Crowd(left) = now {
            if operation != "TransactWriteItems" || left == 0 {
                return Trouble::None;
            }
            *trouble = Trouble::Crowd(left - 1);
        }
        if let Trouble::LoseAnswers(of, left) = now {
            if of != operation || left == 0 {
                return Trouble::None;
            }
            *trouble = Trouble::LoseAnswers(of, left - 1);
        }
        now
    }
}

async fn pass(State(passage): State<Passage>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers["x-amz-target"].to_str().unwrap();
    let trouble = passage.next(target.rsplit('.').next().unwrap());
    match trouble {
        Trouble::Throttle => return failure(400, "ThrottlingException", ""),
        Trouble::Crowd(_) => {
            let reasons = r#","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]"#;
            return failure(400, "TransactionCanceledException", reasons);
        }
        Trouble::Refuse(code) => return failure(400, code, ""),
        Trouble::HangUp => return Response::builder().status(502).body(Body::empty()).unwrap(),
        Trouble::None | Trouble::LoseAnswers(..) => {}
    }
    let mut call = passage.client.post(&passage.server).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        call = call.header(name, &headers[name]);
    }
    let answer = call.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    if trouble != Trouble::None {
        return failure(500, "InternalServerError", "");
    }
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(Body::from(bytes)).unwrap()
}

fn failure(status: u16, code: &str, more: &str) -> Response<Body> {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
    let body = format!(r#"{{"__type":"{kind}","message":"made by a test"{more}}}"#);
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(Body::from(body)).unwrap()
}
