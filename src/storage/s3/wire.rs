//! Requests as they go out, counted: also those that are tried again.
//!
//! ```text
//!  AmazonS3 ─▶ attempts ─▶ counted ─▶ reqwest, on the threads of the service ─▶ the server
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, header};
use metrics::counter;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    SpawnedReqwestConnector,
};
use object_store::{ClientOptions, Result};
use tokio::runtime::Handle;

use super::attempts::{Attempts, Shared};
use crate::telemetry::{OBJECT_BYTES, OBJECT_FAILURES, OBJECT_REQUESTS};

/// Makes clients that count, and that try again.
#[derive(Debug)]
pub(super) struct Connector {
    /// Requests run there, whoever makes them.
    pub(super) threads: Option<Handle>,
    pub(super) shared: Arc<Shared>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let inner = match &self.threads {
            Some(threads) => SpawnedReqwestConnector::new(threads.clone()).connect(options)?,
            None => ReqwestConnector::default().connect(options)?,
        };
        let counted = HttpClient::new(Counted { inner });
        Ok(HttpClient::new(Attempts::over(counted, Arc::clone(&self.shared))))
    }
}

#[derive(Debug)]
struct Counted {
    inner: HttpClient,
}

#[async_trait]
impl HttpService for Counted {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let operation = operation(request.method(), request.uri().query().unwrap_or_default());
        counter!(OBJECT_REQUESTS, "operation" => operation).increment(1);
        counter!(OBJECT_BYTES, "direction" => "sent").increment(request.body().content_length() as u64);
        let head = request.method() == Method::HEAD;
        let answered = self.inner.execute(request).await;
        match &answered {
            Ok(response) if response.status().is_success() => {
                let length = response.headers().get(header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                if let Some(length) = length.filter(|_| !head) {
                    counter!(OBJECT_BYTES, "direction" => "received").increment(length);
                }
            }
            Ok(response) => {
                let status = response.status().as_str().to_owned();
                counter!(OBJECT_FAILURES, "operation" => operation, "status" => status).increment(1);
            }
            Err(_) => {
                counter!(OBJECT_FAILURES, "operation" => operation, "status" => "none").increment(1);
            }
        }
        answered
    }
}

/// What S3 is asked, by its method and the parameters that choose between its meanings.
pub(super) fn operation(method: &Method, query: &str) -> &'static str {
    let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    match *method {
        Method::HEAD => "head",
        Method::GET if has("list-type") => "list",
        Method::GET => "get",
        Method::PUT if has("partNumber") => "put_part",
        Method::PUT => "put",
        Method::POST if has("uploads") => "start_upload",
        Method::POST if has("uploadId") => "complete_upload",
        Method::DELETE if has("uploadId") => "abort_upload",
        Method::POST | Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        check(Method::GET, "", "get");
        check(Method::GET, "list-type=2&prefix=datasets%2F", "list");
        check(Method::PUT, "", "put");
        check(Method::PUT, "partNumber=1&uploadId=x", "put_part");
        check(Method::POST, "uploads=", "start_upload");
        check(Method::POST, "uploadId=x", "complete_upload");
        check(Method::DELETE, "uploadId=x", "abort_upload");
        check(Method::POST, "delete", "delete");
        check(Method::HEAD, "", "head");

        #[track_caller]
        fn check(method: Method, query: &str, expected: &str) {
            assert_eq!(operation(&method, query), expected, "{method} ?{query}");
        }
    }
}
