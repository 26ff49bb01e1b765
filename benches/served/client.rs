//! A client that costs little: one connection, one request at a time, bodies as they come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shirabe::tasks;
use shirabe_benches::Outcome;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// A connection, made again when the server has closed it for being idle; closed when dropped.
pub(super) struct Client {
    address: SocketAddr,
    token: String,
    sender: SendRequest<Full<Bytes>>,
    /// Moves bytes for `sender`.
    connection: Connection,
}

type Connection = AbortOnDropHandle<Result<(), hyper::Error>>;

/// A whole answer, and when it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) elapsed: Duration,
}

/// How an answer came whose bytes are not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    pub(super) bytes: u64,
    pub(super) first_byte: Duration,
    pub(super) elapsed: Duration,
}

/// A statement, and how it is to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) sql: &'a str,
    pub(super) format: &'a str,
    pub(super) use_cache: bool,
}

impl<'a> Question<'a> {
    /// Not from the cache.
    pub(super) fn fresh(sql: &'a str, format: &'a str) -> Self {
        Self { sql, format, use_cache: false }
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, token: &str) -> Outcome<Self> {
        let (sender, connection) = open(address).await?;
        Ok(Self { address, token: token.to_owned(), sender, connection })
    }

    /// Asks, and waits for the head of the answer.
    pub(super) async fn ask(&mut self, question: Question<'_>) -> Outcome<Response<Incoming>> {
        let body = json!({ "sql": question.sql, "use_cache": question.use_cache });
        let path = format!("/api/query?format={}", question.format);
        self.send(Method::POST, &path, body.to_string().into_bytes()).await
    }

    /// Asks, and takes the whole answer, which must be a success.
    pub(super) async fn query(&mut self, question: Question<'_>) -> Outcome<Answer> {
        let started = Instant::now();
        let response = self.ask(question).await?;
        whole(response, started).await?.success()
    }

    /// Asks, and hands each piece of the answer to `take`.
    pub(super) async fn drain(
        &mut self,
        question: Question<'_>,
        mut take: impl FnMut(Bytes) -> Outcome<()> + Send,
    ) -> Outcome<Drained> {
        let started = Instant::now();
        let response = self.ask(question).await?;
        if !response.status().is_success() {
            whole(response, started).await?.success()?;
            return Err("a failure that is a success".into());
        }
        let (mut bytes, mut first_byte) = (0, None);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            first_byte.get_or_insert_with(|| started.elapsed());
            bytes += piece.len() as u64;
            take(piece)?;
        }
        let elapsed = started.elapsed();
        Ok(Drained { bytes, first_byte: first_byte.unwrap_or(elapsed), elapsed })
    }

    pub(super) async fn get(&mut self, path: &str) -> Outcome<Answer> {
        let started = Instant::now();
        let response = self.send(Method::GET, path, Vec::new()).await?;
        whole(response, started).await?.success()
    }

    pub(super) async fn delete(&mut self, path: &str) -> Outcome<Answer> {
        let started = Instant::now();
        let response = self.send(Method::DELETE, path, Vec::new()).await?;
        whole(response, started).await
    }

    /// Posts JSON, for JSON.
    pub(super) async fn json(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        let started = Instant::now();
        let response = self.send(Method::POST, path, body.to_string().into_bytes()).await?;
        Ok(serde_json::from_slice(&whole(response, started).await?.success()?.body)?)
    }

    /// Posts a body of any type, for JSON.
    pub(super) async fn post(&mut self, path: &str, content_type: &str, body: Vec<u8>) -> Outcome<Value> {
        let started = Instant::now();
        let request = self.request(Method::POST, path).header("content-type", content_type);
        let response = self.dispatch(request.body(Full::from(body))?).await?;
        Ok(serde_json::from_slice(&whole(response, started).await?.success()?.body)?)
    }

    async fn send(&mut self, method: Method, path: &str, body: Vec<u8>) -> Outcome<Response<Incoming>> {
        let mut request = self.request(method, path);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.dispatch(request.body(Full::from(body))?).await
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        if self.token.is_empty() {
            request
        } else {
            request.header("authorization", format!("Bearer {}", self.token))
        }
    }

    async fn dispatch(&mut self, request: Request<Full<Bytes>>) -> Outcome<Response<Incoming>> {
        if self.sender.ready().await.is_err() {
            (self.sender, self.connection) = open(self.address).await?;
        }
        Ok(self.sender.send_request(request).await?)
    }
}

async fn open(address: SocketAddr) -> Outcome<(SendRequest<Full<Bytes>>, Connection)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    Ok((sender, tasks::spawn(connection)))
}

/// Reads an answer to its end.
pub(super) async fn whole(response: Response<Incoming>, started: Instant) -> Outcome<Answer> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer { status: parts.status, headers: parts.headers, body, elapsed: started.elapsed() })
}

impl Answer {
    /// Itself, if it is one that was hoped for.
    pub(super) fn success(self) -> Outcome<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)).into())
    }

    /// A header as text, empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
