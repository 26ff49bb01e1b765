//! The door of an executor: `shirabe executor` runs Python for services that know its secret.
//!
//! Its four paths stand apart from those of the API: whoever calls is a service, not a person.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures::TryStreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{ApiError, ApiResult};
use super::{headers, health, observe};
use crate::error::{Error, Unauthenticated};
use crate::executor::{ExecutorHealth, ExecutorService};
use crate::telemetry::Metrics;

/// What the paths of an executor need.
#[derive(Debug, Clone)]
pub struct ExecutorDoor {
    pub service: ExecutorService,
    /// What callers have to know.
    pub token: SecretString,
    pub metrics: Metrics,
}

/// The whole door.
pub fn executor_router(door: ExecutorDoor) -> Router {
    Router::new()
        .route("/health", get(health::alive))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/run", post(run))
        .fallback(async |uri: Uri| ApiError(Error::not_found("path", uri.path())))
        .layer(middleware::from_fn(headers::secure))
        .layer(CatchPanicLayer::custom(super::panicked))
        .layer(middleware::from_fn(observe::observe))
        .with_state(Arc::new(door))
}

impl ExecutorDoor {
    /// Takes the same time wherever the two differ.
    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(sent) = sent else { return Err(ApiError(Error::Unauthenticated(Unauthenticated::Missing))) };
        let known: bool = self.token.expose_secret().as_bytes().ct_eq(sent.as_bytes()).into();
        if known { Ok(()) } else { Err(ApiError(Error::Unauthenticated(Unauthenticated::BadToken))) }
    }
}

/// All metrics, in Prometheus' text format.
async fn metrics(State(door): State<Arc<ExecutorDoor>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], door.metrics.render()).into_response()
}

/// How the executor is.
async fn status(
    State(door): State<Arc<ExecutorDoor>>,
    headers: HeaderMap,
) -> ApiResult<Json<ExecutorHealth>> {
    door.check(&headers)?;
    Ok(Json(door.service.health()))
}

/// Runs what the body says, and answers while it runs.
async fn run(State(door): State<Arc<ExecutorDoor>>, request: Request) -> ApiResult<Response> {
    door.check(request.headers())?;
    let body = request.into_body().into_data_stream().map_err(io::Error::other);
    let answer = door.service.answer(Box::pin(body)).await?;
    let headers = [(CONTENT_TYPE, "application/vnd.shirabe.run")];
    Ok((headers, Body::from_stream(answer)).into_response())
}
