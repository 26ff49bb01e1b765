//! The door without a socket, for the command line when no server runs.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use tower::ServiceExt as _;

/// Answers requests in this process, through the same routes and layers as the listener.
///
/// It owns what the service must not outlive, such as the lock of the data folder.
#[derive(Debug, Clone)]
pub struct InProcess {
    router: Router,
    _service: Arc<dyn Any + Send + Sync>,
}

impl InProcess {
    #[must_use]
    pub fn new(router: Router, service: impl Any + Send + Sync) -> Self {
        Self { router, _service: Arc::new(service) }
    }

    /// The answer to one request.
    pub async fn call<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.router.clone().oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
