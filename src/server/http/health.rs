//! Whether the service is alive, ready, and in what state.

use std::fmt;

use async_trait::async_trait;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::Reply;
use super::error::{ApiError, ApiResult, ErrorReply};
use super::extract::Caller;
use super::state::AppState;
use crate::engine::Caches;
use crate::error::Error;
use crate::executor::{ExecutorHealth, ExecutorState};

/// Looks at the parts that the service stands on. The composition root implements it, because only it
/// knows which parts there are.
#[async_trait]
pub trait HealthProbe: fmt::Debug + Send + Sync {
    /// Asks each part now. A part that fails is told in the report, not by an error.
    async fn check(&self) -> HealthReport;
}

/// The state of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthReport {
    pub version: String,
    pub uptime_s: u64,
    pub store: PartHealth,
    pub storage: PartHealth,
    /// Bytes left on the disk of the data folder; absent where that cannot be known.
    pub free_disk_bytes: Option<u64>,
    pub dataset_count: Option<u64>,
    /// Queries, previews and exports that are planned or not read to their end.
    pub running_query_count: Option<u64>,
    pub running_import_count: Option<u64>,
    pub caches: Caches,
    /// Absent when statements run in the server itself.
    pub sql_workers: Option<SqlWorkersHealth>,
    pub sandbox: SandboxHealth,
}

/// What keeps other people's Python in, and whether it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SandboxHealth {
    pub state: ExecutorState,
    /// How runs are confined: `A` most, `C` least. Absent until they can be.
    #[schema(value_type = Option<String>, example = "A")]
    pub tier: Option<char>,
    /// How the kernel keeps the memory of a run within its limit.
    pub memory: String,
    /// Hostile scripts that came to nothing at the start, of all.
    #[schema(example = "161/161")]
    pub selftest: Option<String>,
    /// Why nothing runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub running_count: u64,
    pub waiting_count: u64,
    /// What runs may take now, and all together at most.
    pub memory_reserved_bytes: u64,
    pub memory_bytes_max: u64,
}

impl From<ExecutorHealth> for SandboxHealth {
    fn from(health: ExecutorHealth) -> Self {
        let ExecutorHealth { state, tier, memory, selftest, reason, .. } = health;
        Self {
            state,
            tier,
            memory,
            selftest,
            reason,
            running_count: health.running_count,
            waiting_count: health.waiting_count,
            memory_reserved_bytes: health.memory_reserved_bytes,
            memory_bytes_max: health.memory_bytes_max,
        }
    }
}

/// The processes that statements run in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SqlWorkersHealth {
    pub count: u64,
    pub busy_count: u64,
    /// Ended with the query that they ran, since the server started.
    pub lost_count: u64,
}

/// Whether one part answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartHealth {
    Ok,
    Failing,
}

/// `{"status":"ok"}`, to the letter: probes compare it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Alive.
#[utoipa::path(get, path = "/api/health", tag = "health", security(()), responses((status = 200, body = HealthView)))]
pub(super) async fn alive() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Ready for requests; not while starting or stopping.
#[utoipa::path(get, path = "/api/health/ready", tag = "health", security(()),
    responses((status = 200, body = HealthView), (status = 503, body = ErrorReply)))]
pub(super) async fn ready(app: AppState) -> ApiResult<Json<HealthView>> {
    if app.readiness.is_ready() {
        return Ok(Json(HealthView { status: "ok" }));
    }
    let message = "the service is starting or stopping".to_owned();
    Err(ApiError(Error::Unavailable { message, cause: None }))
}

/// The state of each part, for signed-in callers.
#[utoipa::path(get, path = "/api/health/detail", tag = "health",
    responses((status = 200, body = Reply<HealthReport>), (status = 401, body = ErrorReply)))]
pub(super) async fn detail(app: AppState, _caller: Caller) -> Reply<HealthReport> {
    Reply::of(app.health.check().await)
}

/// All metrics, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(app: AppState) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
