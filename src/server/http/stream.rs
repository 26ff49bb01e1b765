//! Results on their way out: the first batch before the first byte, then as the client takes them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use utoipa::IntoParams;

use super::context;
use crate::encode::{self, Format, Options, Rows};
use crate::engine::QueryStream;
use crate::error::Error;
use crate::ids::QueryId;

/// The header that names a query.
const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");

/// How to answer with rows.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) format: Format,
    pub(super) query_id: Option<QueryId>,
    pub(super) formula_guard: bool,
    /// Set for a download.
    pub(super) file_name: Option<String>,
}

/// In which form rows are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FormatQuery {
    /// `json`, `ndjson`, `csv`, `arrow` or `parquet`; goes before `Accept`. By default a query answers with
    /// JSON and an export with CSV.
    format: Option<String>,
    /// CSV: text that a spreadsheet would take for a formula gets a `'` before it. Switch it off for
    /// programs that need the bytes as they are.
    #[serde(default = "yes")]
    #[param(default = true)]
    pub(super) formula_guard: bool,
}

fn yes() -> bool {
    true
}

impl FormatQuery {
    /// The format that is named here, or else the one that `Accept` asks for.
    pub(super) fn format(&self, headers: &HeaderMap, default: Format) -> Result<Format, Error> {
        if let Some(name) = &self.format {
            return Format::from_name(name);
        }
        match headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()) {
            Some(accept) => Format::from_accept(accept, default),
            None => Ok(default),
        }
    }
}

/// Waits for the first batch, so that what fails at once gets its status, then streams.
pub(super) async fn respond(rows: QueryStream, answer: Answer) -> Result<Response, Error> {
    let rows = rows.start().await?;
    let progress = rows.progress();
    context::set_progress(Arc::clone(&progress));
    // The handler has returned when the rows fail.
    let request = context::current();
    let noted = move |error: &Error| {
        if let Some(request) = &request {
            super::error::note(request, error);
        }
    };
    let rows = Rows {
        schema: Arc::clone(rows.schema()),
        batches: rows.inspect_err(noted).boxed(),
        truncated: Box::new(move || progress.truncated()),
    };
    let options = Options {
        query_id: answer.query_id.as_ref().map(ToString::to_string),
        request_id: context::current_id(),
        formula_guard: answer.formula_guard,
        type_name: crate::catalog::manifest::type_name,
    };
    let body = encode::encode(answer.format, rows, options)?;
    let mut response = Response::new(Body::from_stream(body));
    headers_of(answer, response.headers_mut());
    Ok(response)
}

/// What every answer with rows says of itself.
pub(super) fn headers_of(answer: Answer, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Some(id) = answer.query_id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        headers.insert(QUERY_ID, id);
    }
    if let Some(name) = answer.file_name {
        headers.insert(header::CONTENT_DISPOSITION, attachment(&name, answer.format.extension()));
    }
}

/// `attachment` with the name in the form of RFC 6266: percent-encoded UTF-8, so that no character of it
/// can end the header or the quotes.
fn attachment(name: &str, extension: &str) -> HeaderValue {
    use std::fmt::Write as _;
    let mut text = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    let _ = write!(text, ".{extension}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_header() {
        check("flights", "attachment; filename*=UTF-8''flights.csv");
        check(
            "売上 \"1\"\r\nX: y",
            "attachment; filename*=UTF-8''%E5%A3%B2%E4%B8%8A%20%221%22%0D%0AX%3A%20y.csv",
        );

        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(attachment(name, "csv").to_str().unwrap(), expected);
        }
    }
}
