//! One log line and a few numbers for each request. Never a query string, a body or a header: they hold
//! secrets. The path is logged as its route, because paths hold names.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use metrics::{counter, gauge, histogram};

use super::context::RequestContext;
use crate::telemetry::{HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUESTS};

/// On every answer; taken over from the request when it is well formed.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer: names the request, and tells of it when its answer is complete.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let context = RequestContext::new(sent);
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut line = Line {
        method: method(request.method()),
        route: route.unwrap_or_else(|| "unmatched".to_owned()),
        started: Instant::now(),
        status: 0,
        bytes: 0,
        outcome: "aborted",
        context: Arc::clone(&context),
    };
    gauge!(HTTP_IN_FLIGHT).increment(1);
    let mut response = Arc::clone(&context).scope(next.run(request)).await;
    line.head(response.status().as_u16());
    if let Ok(id) = HeaderValue::from_str(context.id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.map(|body| Body::new(Observed { body, line }))
}

/// Methods are labels of a metric, so there must not be endlessly many.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "OTHER",
    }
}

/// The log line to be; written when it is dropped, so that a request whose caller went away has one too.
struct Line {
    method: &'static str,
    route: String,
    started: Instant,
    status: u16,
    bytes: u64,
    outcome: &'static str,
    context: Arc<RequestContext>,
}

impl Line {
    fn head(&mut self, status: u16) {
        self.status = status;
        let (method, route) = (self.method, self.route.clone());
        histogram!(HTTP_DURATION, "method" => method, "route" => route)
            .record(self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        gauge!(HTTP_IN_FLIGHT).decrement(1);
        let (method, route, status) = (self.method, self.route.as_str(), self.status);
        counter!(HTTP_REQUESTS, "method" => method, "route" => route.to_owned(), "status" => status.to_string())
            .increment(1);
        let ms = self.started.elapsed().as_secs_f64() * 1000.0;
        let code = self.context.code();
        // JSON and NDJSON tell of a failure in a body that is complete.
        let failed_on_the_way = code.is_some() && status < 400;
        tracing::info!(
            method,
            route,
            status,
            ms,
            bytes = self.bytes,
            outcome = if failed_on_the_way { "failed" } else { self.outcome },
            code = code.map(tracing::field::display),
            request_id = self.context.id(),
            user_id = self.context.user().map(tracing::field::display),
            query.id = self.context.query().map(tracing::field::display),
            rows = self.context.rows(),
            "request"
        );
    }
}

/// A body that counts its bytes and notices how it ends.
struct Observed {
    body: Body,
    line: Line,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => self.line.outcome = "complete",
            Poll::Ready(Some(Err(_))) => self.line.outcome = "failed",
            Poll::Ready(Some(Ok(frame))) => {
                self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // A body of known length is not asked again after its last byte.
        if self.line.outcome == "aborted" && self.body.is_end_stream() {
            self.line.outcome = "complete";
        }
    }
}
