//! The server of buckets goes away while the service runs, and comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use shirabe::tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::TestBucket;
use crate::support::{Person, Reply, TestApp};

/// A way to a server that can be cut.
struct Way {
    url: String,
    open: watch::Sender<bool>,
    _relay: AbortOnDropHandle<()>,
}

impl Way {
    async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("http://").to_owned();
        let (open, is_open) = watch::channel(true);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = tasks::spawn(async move {
            let mut passing = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (server, mut is_open) = (server.clone(), is_open.clone());
                passing.spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(&server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { url, open, _relay: relay }
    }
}

async fn ask(app: &TestApp, by: &Person) -> Reply {
    let body = json!({ "sql": "select sum(amount) from sales", "use_cache": false });
    app.post("/api/query").by(by).json(&body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_in_time_and_ends_by_itself() {
    let Some(mut bucket) = TestBucket::new().await else { return };
    let way = Way::to(&bucket.endpoint).await;
    bucket.endpoint.clone_from(&way.url);
    // What is kept in memory would be answered all the same.
    let app = TestApp::with(&[bucket.settings(), vec![("QUERY_COLUMNS_MB", "0")]].concat());
    let ana = app.ana().await;
    app.dataset(&ana, "sales", "day,amount\n2024-01-05,1\n2024-01-06,2\n").await;
    assert_eq!(ask(&app, &ana).await.data(200)["rows"], json!([[3]]));

    way.open.send(false).unwrap();
    let started = Instant::now();
    let reply = ask(&app, &ana).await;
    assert_eq!(reply.header("retry-after"), "5");
    let message = reply.refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(message, "the object store does not answer");
    let upload = app.upload(&ana, "more.csv", "x\n1\n").await;
    assert_eq!(upload.refused(503, "SERVICE_UNAVAILABLE"), "the object store does not answer");
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    let detail = app.get("/api/health/detail").by(&ana).send().await.data(200);
    assert_eq!(detail["storage"], "failing", "{detail}");

    way.open.send(true).unwrap();
    assert_eq!(ask(&app, &ana).await.data(200)["rows"], json!([[3]]));
    app.upload(&ana, "more.csv", "x\n1\n").await.data(201);
    assert_eq!(app.findings().await, json!([]));
}
