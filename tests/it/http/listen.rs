//! The listener: real connections, and a graceful end.

use shirabe::server::http::{router, serve};
use shirabe::tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::TestApp;

#[tokio::test]
async fn open_connections_end_well_when_the_service_stops() {
    let service = TestApp::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let app = service.state.clone();
    let serving = tasks::spawn(async move {
        serve(listener, router(app.clone()), app, async move { stopped.await.unwrap() }).await;
    });

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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = service.state.clone();
    let _serving = tasks::spawn(async move {
        serve(listener, router(app.clone()), app, std::future::pending()).await;
    });
    let mut noise = TcpStream::connect(address).await.unwrap();
    noise.write_all(b"\x16\x03\x01\x02\x00 this is not http\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    noise.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    let answer = reqwest::get(format!("http://{address}/api/health")).await.unwrap();
    assert_eq!(answer.status(), 200);
}
