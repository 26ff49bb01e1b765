//! Speaking to the API: paths and JSON in, data or a failure out.

mod connect;
pub(super) mod transport;

pub(super) use connect::config;
pub(super) use transport::InProcess;

use std::fmt;

use reqwest::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{ApiFailure, Failure};
use transport::Transport;

/// One server, wherever it is.
pub(super) struct Client {
    transport: Box<dyn Transport>,
    base: Url,
    token: Option<SecretString>,
    /// Only builds requests; the transport sends them.
    builder: reqwest::Client,
    /// Whether the server sees the files of this machine, as the operator may let it.
    shares_disk: bool,
}

/// Success, as the API wraps it.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
    pagination: Option<Pagination>,
}

#[derive(Deserialize)]
struct Pagination {
    has_next: bool,
}

#[derive(Deserialize)]
struct ErrorEnvelope {
    error: ApiFailure,
}

/// Items of a list that are asked for at once; the most that the API gives.
const PAGE: usize = 100;

impl Client {
    /// A client of whatever `transport` leads to, for tests of what commands send.
    #[cfg(test)]
    pub(super) fn over(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            base: "http://test/".parse().unwrap(),
            token: None,
            builder: reqwest::Client::new(),
            shares_disk: true,
        }
    }

    /// Whether to name files by their path rather than send them.
    pub(super) fn shares_disk(&self) -> bool {
        self.shares_disk
    }

    /// A request for a path below `/api`, whose segments are escaped.
    pub(super) fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("api").extend(segments);
        }
        let request = self.builder.request(method, url);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
            None => request,
        }
    }

    /// The answer to a request, whatever its body is; an error of the API is a failure.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = request.build().map_err(|cause| connection(&self.base, &cause))?;
        let response = self.transport.send(request).await.map_err(|cause| connection(&self.base, &*cause))?;
        if response.status().is_success() { Ok(response) } else { Err(self.api_failure(response).await) }
    }

    /// The `data` of the answer to a request.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        Ok(self.envelope(request).await?.data)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T, Failure> {
        self.fetch(self.request(Method::GET, segments)).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, Failure> {
        self.fetch(self.request(Method::POST, segments).json(body)).await
    }

    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, Failure> {
        self.fetch(self.request(Method::PUT, segments).json(body)).await
    }

    pub(super) async fn delete(&self, segments: &[&str]) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, segments)).await.map(drop)
    }

    /// All items of a list that pass `filter`, page by page.
    pub(super) async fn list(
        &self,
        segments: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let mut items: Vec<Value> = Vec::new();
        loop {
            let query = [("limit", PAGE), ("offset", items.len())];
            let page = self.request(Method::GET, segments).query(filter).query(&query);
            let Envelope { data, pagination } = self.envelope::<Vec<Value>>(page).await?;
            let is_last = data.is_empty() || !pagination.is_some_and(|pagination| pagination.has_next);
            items.extend(data);
            if is_last {
                return Ok(items);
            }
        }
    }

    async fn envelope<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Envelope<T>, Failure> {
        let response = self.send(request.header(ACCEPT, "application/json")).await?;
        let body = response.bytes().await.map_err(|cause| connection(&self.base, &cause))?;
        serde_json::from_slice(&body)
            .map_err(|cause| Failure::Connection(format!("{} answered something else: {cause}", self.base)))
    }

    async fn api_failure(&self, response: Response) -> Failure {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<ErrorEnvelope>(&body) {
            Ok(envelope) => Failure::Api(envelope.error),
            Err(_) => Failure::Connection(format!("{} answered {status}", self.base)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// What kept us from an answer, with its innermost cause: that is what names the trouble.
pub(super) fn connection(base: &Url, error: &dyn std::error::Error) -> Failure {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Connection(format!("{base} does not answer: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use async_trait::async_trait;
    use reqwest::Request;

    use super::*;

    /// A server with so many items, which are their numbers.
    struct Many(usize);

    #[async_trait]
    impl Transport for Many {
        async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
            let asked = |name: &str| {
                let value =
                    request.url().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.parse());
                value.transpose().map(Option::unwrap_or_default)
            };
            let (limit, offset): (usize, usize) = (asked("limit")?, asked("offset")?);
            assert_eq!(request.url().query_pairs().next(), Some(("all".into(), "true".into())));
            let end = self.0.min(offset + limit);
            let items: Vec<usize> = (offset..end).collect();
            let body = serde_json::json!({ "data": items, "pagination": { "has_next": end < self.0 } });
            Ok(http::Response::new(body.to_string()).into())
        }
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        for count in [0, 1, PAGE, PAGE + 1, 3 * PAGE] {
            let client = Client::over(Box::new(Many(count)));
            let items = client.list(&["users"], &[("all", "true")]).await.unwrap();
            assert_eq!(items, (0..count).map(Value::from).collect::<Vec<_>>());
        }
    }
}
