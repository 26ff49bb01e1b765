//! Requests that are made again: after a failure, when an answer is late, and not beyond the budget that all share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::any;
use axum::{Router, serve};
use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use shirabe::error::Code;
use shirabe::storage::{Bucket, S3, S3Settings, classify};
use shirabe::tasks;
use shirabe::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::bucket::OWNER;

const BYTES: &[u8] = b"good";
/// More than have to be known before any answer is called late.
const READS_BEFORE: usize = 40;
/// What may be asked again by a service that has asked little.
const RESERVE: usize = 100;

/// What a server was asked, and what it does.
#[derive(Debug)]
struct State {
    asked: Mutex<HashMap<String, usize>>,
    /// Whether the first request for `stuck` may be answered.
    released: watch::Sender<bool>,
    /// Whether whoever made it has gone away.
    given_up: AtomicBool,
}

/// A server of objects whose names say how they are answered.
#[derive(Debug)]
struct Server {
    store: Arc<dyn ObjectStore>,
    state: Arc<State>,
    _server: AbortOnDropHandle<()>,
}

impl Server {
    async fn new(hedged_reads: bool) -> Self {
        let state = Arc::new(State {
            asked: Mutex::default(),
            released: watch::channel(false).0,
            given_up: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let handler = any(move |request: Request<Body>| answer(Arc::clone(&shared), request));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let router = Router::new().fallback(handler);
        let server = tasks::spawn(async move { serve(listener, router).await.unwrap() });
        let keys = Some((OWNER.0.to_owned(), OWNER.1.to_owned().into()));
        let s3 = S3::new(S3Settings { endpoint, region: "ap-northeast-1".to_owned(), keys, hedged_reads });
        let store: Arc<dyn ObjectStore> = Arc::new(Bucket::over(s3.bucket("bi-datasets").unwrap()));
        Self { store, state, _server: server }
    }

    async fn read(&self, name: &str) -> object_store::Result<Bytes> {
        self.store.get_range(&Path::from(name), 0..4).await
    }

    fn asked(&self, name: &str) -> usize {
        *self.state.asked.lock().unwrap().get(name).unwrap_or(&0)
    }

    /// Reads until it is known how long answers let wait.
    async fn get_to_know(&self) {
        for _ in 0..READS_BEFORE {
            assert_eq!(self.read("good").await.unwrap(), BYTES);
        }
    }

    /// As many other reads as it takes for any answer to be late.
    async fn let_it_be_late(&self) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(1) {
            assert_eq!(self.read("good").await.unwrap(), BYTES);
        }
    }
}

/// Notes that the answer is not wanted any more.
struct GivenUp(Arc<State>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::SeqCst);
    }
}

async fn answer(state: Arc<State>, request: Request<Body>) -> Response<Body> {
    let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let nth = {
        let mut asked = state.asked.lock().unwrap();
        let count = asked.entry(name.clone()).or_default();
        *count += 1;
        *count
    };
    let good = || {
        Response::builder()
            .status(206)
            .header("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            .header("etag", "\"1\"")
            .header("content-length", BYTES.len())
            .header("content-range", format!("bytes 0-3/{}", BYTES.len()))
    };
    match (name.as_str(), nth) {
        ("bad", _) => {
            let body = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>";
            Response::builder().status(503).body(Body::from(body)).unwrap()
        }
        ("stuck", 1) => {
            let given_up = GivenUp(Arc::clone(&state));
            state.released.subscribe().wait_for(|released| *released).await.unwrap();
            std::mem::forget(given_up);
            good().body(Body::from(BYTES)).unwrap()
        }
        ("cut", 1) => {
            let half = Ok(Bytes::from_static(&BYTES[..2]));
            let pieces = stream::iter([half, Err(std::io::Error::other("cut"))]);
            good().body(Body::from_stream(pieces)).unwrap()
        }
        _ => good().body(Body::from(BYTES)).unwrap(),
    }
}

/// The sum of the counters whose name and labels begin so; 0 before anything was counted.
fn counted(start: &str) -> f64 {
    let text = Metrics::install().unwrap().render();
    let counters = text.lines().filter(|line| line.starts_with(start));
    counters.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_asked_for_twice_and_the_first_request_is_given_up() {
    let server = Server::new(true).await;
    // Nobody knows yet what late is.
    server.get_to_know().await;
    assert_eq!(server.asked("good"), READS_BEFORE);
    let second = "shirabe_object_hedges_total{answered_by=\"second\"}";
    let before = counted(second);
    let read = tokio::time::timeout(Duration::from_secs(30), server.read("stuck"));
    assert_eq!(read.await.expect("the second request is answered").unwrap(), BYTES);
    assert_eq!(server.asked("stuck"), 2);
    assert_eq!(counted(second), before + 1.0);
    let given_up = async {
        while !server.state.given_up.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("the first one is given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_twice_when_that_is_switched_off() {
    let server = Server::new(false).await;
    server.get_to_know().await;
    let (read, ()) = tokio::join!(server.read("stuck"), async {
        server.let_it_be_late().await;
        assert_eq!(server.asked("stuck"), 1);
        server.state.released.send_replace(true);
    });
    assert_eq!(read.unwrap(), BYTES);
}

/// What is written is written once: only reads are made beside one that has not failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_is_waited_for() {
    let server = Server::new(true).await;
    server.get_to_know().await;
    let path = Path::from("stuck");
    let (written, ()) = tokio::join!(server.store.put(&path, Bytes::from_static(BYTES).into()), async {
        server.let_it_be_late().await;
        assert_eq!(server.asked("stuck"), 1);
        server.state.released.send_replace(true);
    });
    written.unwrap();
    assert_eq!(server.asked("stuck"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_is_asked_for_again() {
    let server = Server::new(true).await;
    assert_eq!(server.read("cut").await.unwrap(), BYTES);
    assert_eq!(server.asked("cut"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_budget_nothing_is_asked_again_and_the_error_has_its_name() {
    const CALLERS: usize = 60;
    let server = Server::new(true).await;
    server.get_to_know().await;
    // Some failures come late enough for a second request, which the same budget pays.
    let made_again = || counted("shirabe_object_retries_total") + counted("shirabe_object_hedges_total");
    let refused = "shirabe_object_budget_refusals_total{kind=\"retry\"}";
    let before = (made_again(), counted(refused));
    let failed = join_all((0..CALLERS).map(|_| server.read("bad"))).await;
    let again = server.asked("bad") - CALLERS;
    // The tenth of what was asked meanwhile may be used as well.
    assert!((RESERVE..=RESERVE + (CALLERS + READS_BEFORE) / 10).contains(&again), "{again} of {CALLERS}");
    for outcome in failed {
        let error = classify(outcome.unwrap_err(), "datasets/bad");
        assert_eq!(error.code(), Code::ServiceUnavailable);
        assert_eq!(error.to_string(), "the object store asks to come back later");
    }
    let now = (made_again(), counted(refused));
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let expected = again as f64;
    assert_eq!(now.0 - before.0, expected);
    assert!(now.1 > before.1, "{now:?}");

    // One more is asked once.
    let asked = server.asked("bad");
    server.read("bad").await.unwrap_err();
    assert!(server.asked("bad") - asked <= 2, "at most what was left of a tenth");

    // And a late answer is waited for.
    let late = "shirabe_object_budget_refusals_total{kind=\"hedge\"}".to_owned();
    let before = counted(&late);
    let (read, ()) = tokio::join!(server.read("stuck"), async {
        let limited = async {
            while counted(&late) == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), limited).await.expect("it would have been asked twice");
        assert_eq!(server.asked("stuck"), 1);
        server.state.released.send_replace(true);
    });
    assert_eq!(read.unwrap(), BYTES);
    assert_eq!(server.asked("stuck"), 1);
}
