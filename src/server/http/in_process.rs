//! The door without a socket, for the command line when no server runs.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use tower::ServiceExt as _;

/// Answers requests in this process, through the same routes and layers as the listener.
#[derive(Debug, Clone)]
pub struct InProcess(Router);

impl InProcess {
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self(router)
    }

    /// The answer to one request.
    pub async fn call<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.0.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
