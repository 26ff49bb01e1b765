//! HTTP: every route on this screen, one file a resource.
//!
//! Why so: the document at `/api/openapi.json` is made from the same lines that make the routes, so the
//! two cannot differ. A handler extracts, asks the domain once with the principal, and shows a view; who
//! may do what is decided below. It must not know a backend, the environment, or another door.

use std::any::Any;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use metrics::counter;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod answer;
mod auth;
mod client_address;
mod context;
mod datasets;
mod diffs;
mod docs;
mod envelope;
mod error;
mod etag;
mod executions;
mod executor;
mod extract;
mod functions;
mod headers;
mod health;
mod identify;
mod import_body;
mod import_view;
mod imports;
mod in_process;
mod inspection;
mod keys;
mod leftover;
mod listen;
mod look;
mod macros;
mod maintenance;
mod observe;
mod queries;
mod query_list;
mod rate_limit;
mod s3_imports;
mod state;
mod stream;
mod transform_view;
mod transforms;
mod upload;
mod users;
mod versions;
mod write_deadline;

pub use client_address::Peer;
pub use executor::{ExecutorDoor, executor_router};
pub use health::{HealthProbe, HealthReport, PartHealth, SandboxHealth, SqlWorkersHealth};
pub use in_process::InProcess;
pub use listen::{serve, serve_executor, stop_signal};
pub use rate_limit::{RateLimits, Rates};
pub use state::{AppState, HttpSettings, OperatorToken, Readiness, Services};

use crate::error::Error;
use crate::telemetry::PANICS;

/// Longest body of routes that say nothing else.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest body of a sign-in: hashing a longer password would only cost us.
const SIGN_IN_BYTES_MAX: usize = 4 * 1024;
/// How long a client may be silent while it sends a body.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The whole door: routes, then the layers that every request passes, the last one first.
pub fn router(app: AppState) -> Router {
    let (router, document) = routes(&app).split_for_parts();
    let mut router = router
        .merge(docs::routes(document))
        .fallback(async |uri: Uri| error::ApiError(Error::not_found("path", uri.path())))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE));
    if let Some(cors) = headers::cors(&app.settings.cors_origins) {
        router = router.layer(cors);
    }
    router
        .layer(middleware::from_fn(headers::secure))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(observe::observe))
        .with_state(app)
}

/// Every route of the API.
fn routes(app: &AppState) -> OpenApiRouter<AppState> {
    let open = OpenApiRouter::with_openapi(docs::ApiDocument::openapi())
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics));

    let sign_in = OpenApiRouter::new()
        .routes(routes!(auth::login))
        .routes(routes!(auth::setup))
        .layer(DefaultBodyLimit::max(SIGN_IN_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), identify::limit_sign_in));

    let signed_in = OpenApiRouter::new()
        .routes(routes!(health::detail))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(auth::change_password))
        .routes(routes!(users::search, users::add))
        .routes(routes!(users::get, users::change))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .merge(dataset_routes())
        .merge(transform_routes())
        .routes(routes!(queries::query, queries::ask))
        .routes(routes!(queries::explain))
        .routes(routes!(query_list::list))
        .routes(routes!(query_list::get, query_list::cancel))
        .routes(routes!(functions::list))
        .routes(routes!(macros::list, macros::create))
        .routes(routes!(macros::get, macros::change, macros::remove))
        .routes(routes!(maintenance::check))
        .routes(routes!(maintenance::collect))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(upload_routes())
        .layer(middleware::from_fn_with_state(app.clone(), identify::identify));

    open.merge(sign_in).merge(signed_in)
}

fn dataset_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(datasets::list))
        .routes(routes!(datasets::get, datasets::update, datasets::delete))
        .routes(routes!(look::preview))
        .routes(routes!(look::values))
        .routes(routes!(look::profile))
        .routes(routes!(look::profile_all))
        .routes(routes!(look::export))
        .routes(routes!(versions::list))
        .routes(routes!(versions::compare))
        .routes(routes!(diffs::diff))
        .routes(routes!(versions::get))
        .routes(routes!(versions::restore))
        .routes(routes!(versions::quarantine))
        .routes(routes!(imports::create_from_path))
        .routes(routes!(s3_imports::create))
        .routes(routes!(imports::list))
        .routes(routes!(imports::get, imports::cancel))
}

fn transform_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(transforms::list, transforms::create))
        .routes(routes!(transforms::preview_new))
        .routes(routes!(transforms::get, transforms::change, transforms::remove))
        .routes(routes!(transforms::preview))
        .routes(routes!(transforms::lineage))
        .routes(routes!(transforms::graph))
        .routes(routes!(transforms::next_runs))
        .routes(routes!(executions::execute))
        .routes(routes!(executions::list))
        .routes(routes!(executions::get))
        .routes(routes!(executions::log))
        .routes(routes!(executions::cancel))
        .routes(routes!(executions::backfill))
}

/// Their bodies may hold a file, which goes to disk as it comes and has a limit of its own.
fn upload_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(imports::create))
        .routes(routes!(imports::inspect))
        .routes(routes!(imports::import))
        .routes(routes!(imports::reimport))
        .routes(routes!(imports::dry_run))
        .layer(DefaultBodyLimit::disable())
}

/// 405 in our envelope. The framework adds `Allow`.
async fn method_not_allowed(method: Method) -> Response {
    let error = Error::invalid(format!("this path does not take `{method}`: see the header `Allow`"));
    let mut response = error::ApiError(error).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// A panic is a bug: the caller gets our envelope, the log gets the message.
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    counter!(PANICS).increment(1);
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    error::ApiError(Error::internal(message.unwrap_or_else(|| "a panic without a message".to_owned())))
        .into_response()
}
