//! The listener: real connections, and a graceful end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::support::{Form, TestApp, serving};

#[tokio::test]
async fn open_connections_end_well_when_the_service_stops() {
    let service = TestApp::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = serving(&service, async move { stopped.await.unwrap() }).await;

    let answer = reqwest::get(format!("http://{address}/api/health")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"status":"ok"}"#);

    // Its head is not complete when the service is asked to stop: it is answered or closed, never left hanging.
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /api/health/ready HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    // A second answer on the same listener shows that the slow connection was accepted before it.
    reqwest::get(format!("http://{address}/api/health")).await.unwrap();
    stop.send(()).unwrap();
    slow.write_all(b"\r\n").await.unwrap();
    let mut text = String::new();
    slow.read_to_string(&mut text).await.unwrap();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 "), "{text}");
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_is_not_http_does_not_disturb_others() {
    let service = TestApp::new();
    let (address, _serving) = serving(&service, std::future::pending()).await;
    let mut noise = TcpStream::connect(address).await.unwrap();
    noise.write_all(b"\x16\x03\x01\x02\x00 this is not http\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    noise.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    let answer = reqwest::get(format!("http://{address}/api/health")).await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// A client that sends all before it reads, as simple ones do.
async fn send_all_then_read(address: SocketAddr, head: &str, bytes: usize) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let (before, after) = (Form::file_head("big.csv"), Form::end());
    let length = before.len() + bytes + after.len();
    let head = format!(
        "POST /api/datasets HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}content-type: {}\r\n\
         content-length: {length}\r\n\r\n",
        Form::content_type()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(before.as_bytes()).await.unwrap();
    let piece = "a\n".repeat(32 * 1024);
    for _ in 0..bytes / piece.len() {
        client.write_all(piece.as_bytes()).await.expect("the server still reads");
    }
    client.write_all(after.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn whoever_is_refused_while_sending_sees_why() {
    const BYTES: usize = 32 * 1024 * 1024;
    let app = TestApp::with(&[("IMPORT_UPLOAD_MB", "1")]);
    let ana = app.ana().await;
    let (address, _serving) = serving(&app, std::future::pending()).await;

    // In the middle of the body.
    let signed_in = format!("authorization: Bearer {}\r\n", ana.token);
    let answer = send_all_then_read(address, &signed_in, BYTES).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
    // Before its first byte.
    let answer = send_all_then_read(address, "", BYTES).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("UNAUTHORIZED"), "{answer}");
    assert_eq!(app.spooled().len(), 0);
}

#[tokio::test]
async fn a_client_that_waits_for_a_go_ahead_is_refused_without_sending() {
    let app = TestApp::new();
    let (address, _serving) = serving(&app, std::future::pending()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /api/datasets HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 401");
}
