//! The API's document, and pages to browse it that load nothing from elsewhere.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::error::{ApiError, ApiResult};
use super::extract::ApiPath;
use super::headers::DOCS_POLICY;
use super::state::AppState;
use crate::error::Error;

/// Where the document is.
pub(super) const DOCUMENT_PATH: &str = "/api/openapi.json";

/// What the document says beside its routes, which the function `routes` next to it adds.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Shirabe",
        description = "A self-hosted BI and SQL analytics service. Answers have `data` and `meta`, lists \
            also `pagination`; errors have `error.code`, `error.message` and `error.details`. Every \
            answer carries `X-Request-Id`."
    ),
    modifiers(&BearerScheme),
    security(("bearer" = [])),
    tags(
        (name = "health", description = "Is it alive, ready, and in what state"),
        (name = "auth", description = "Signing in and out"),
        (name = "users", description = "People who can sign in"),
        (name = "keys", description = "API keys for programs"),
        (name = "datasets", description = "Tables with versions: list, look into, export"),
        (name = "imports", description = "From a file to a dataset, or to its next version"),
        (name = "versions", description = "The history of a dataset"),
        (name = "query", description = "SQL over datasets"),
        (name = "functions", description = "What SQL may call, and macros"),
        (name = "admin", description = "The check and the collector"),
    )
)]
pub(super) struct ApiDocument;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("a token from `POST /api/auth/login`, or an API key"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The routes that serve `document`.
pub(super) fn routes(document: Document) -> Router<AppState> {
    let document = Arc::new(document);
    Router::new()
        .route(DOCUMENT_PATH, get(move || async move { Json(document.as_ref().clone()) }))
        .route("/api/docs", get(|| async { Redirect::permanent("/api/docs/") }))
        .route("/api/docs/", get(|| async { page("index.html") }))
        .route("/api/docs/{*file}", get(|ApiPath(file): ApiPath<String>| async move { page(&file) }))
}

/// One file of the pages.
fn page(file: &str) -> ApiResult<Response> {
    // Without this the pages would ask a validator on another site about the document.
    let config = Config::from(DOCUMENT_PATH).validator_url("none").persist_authorization(false);
    let found = utoipa_swagger_ui::serve(file, Arc::new(config))
        .map_err(|cause| Error::internal(cause.to_string()))?
        .ok_or_else(|| ApiError(Error::not_found("page", file)))?;
    let mut response = found.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    if let Ok(kind) = HeaderValue::from_str(&found.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &str) -> String {
        let config = Config::from(DOCUMENT_PATH).validator_url("none");
        let found = utoipa_swagger_ui::serve(file, Arc::new(config)).unwrap().unwrap();
        String::from_utf8(found.bytes.into_owned()).unwrap()
    }

    #[test]
    fn the_pages_load_nothing_from_elsewhere_and_run_nothing_in_place() {
        let index = text("index.html");
        for attribute in ["src=", "href="] {
            for rest in index.split(attribute).skip(1) {
                assert!(rest.starts_with("\"./") || rest.starts_with("\"index.css"), "{rest:.60}");
            }
        }
        for script in index.split("<script").skip(1) {
            assert!(script.trim_start().starts_with("src="), "an inline script: {script:.60}");
        }
        let start = text("swagger-initializer.js");
        assert!(start.contains(DOCUMENT_PATH) && !start.contains("https://"), "{start}");
        assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    }

    #[test]
    fn what_is_not_a_page_is_not_found() {
        assert!(matches!(page("../../etc/passwd"), Err(ApiError(Error::NotFound { .. }))));
    }
}
