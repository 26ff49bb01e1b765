//! Clients that go away, that read slowly, and that read what comes after a body.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{LONG, STALLING, query};
use crate::support::{Person, TestApp, serving};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Sends a question, and reads nothing.
async fn asked(address: SocketAddr, by: &Person, query: &str, headers: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /api/query?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n{headers}\r\n",
        by.token
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

async fn until_running(app: &TestApp, count: usize) {
    let reached = async {
        while app.state.engine.running() != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.expect("the number of running queries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_query() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    for format in ["json", "ndjson", "csv", "arrow", "parquet", "xlsx"] {
        let client = asked(address, &ana, &query(STALLING, &format!("&format={format}")), "").await;
        until_running(&app, 1).await;
        drop(client);
        until_running(&app, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_only_at_the_end_comes_after_it() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    for (limit, rows, truncated) in [("", "60000", "false"), ("&limit=50000", "50000", "true")] {
        let sql = query(LONG, &format!("&format=csv{limit}"));
        let mut answer = String::new();
        let mut client = asked(address, &ana, &sql, "te: trailers\r\n").await;
        client.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("x-truncated: "), "{head}");
        assert!(head.contains("trailer: X-Row-Count, X-Truncated"), "{head}");
        let (_, trailers) = body.rsplit_once("\r\n0\r\n").unwrap();
        assert!(trailers.contains(&format!("x-row-count: {rows}\r\n")), "{trailers}");
        assert!(trailers.contains(&format!("x-truncated: {truncated}\r\n")), "{trailers}");

        let mut plain = String::new();
        asked(address, &ana, &sql, "").await.read_to_string(&mut plain).await.unwrap();
        assert!(
            plain.ends_with("\r\n0\r\n\r\n") && !plain.contains("trailer: "),
            "nobody asked for trailers"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_all_of_it() {
    let app = TestApp::new();
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;
    let mut client = asked(address, &ana, &query(LONG, "&format=csv"), "").await;
    let (mut taken, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            count => taken.extend_from_slice(&piece[..count]),
        }
        // As little at a time as the scheduler lets it.
        tokio::task::yield_now().await;
    }
    assert!(taken.ends_with(b"\r\n0\r\n\r\n"));
    assert_eq!(taken.windows(7).filter(|window| window == b"value,t").count(), 1);
    until_running(&app, 0).await;
}
