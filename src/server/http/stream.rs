//! Results on their way out: the first batches before the first byte, then as the client takes them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Deserialize;
use utoipa::IntoParams;

use super::context;
use crate::encode::{self, Charset, Compression, Form, Format, Options, Rows};
use crate::engine::{Progress, QueryStream};
use crate::error::{Error, Result};
use crate::ids::QueryId;

/// The header that names a query.
const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");
/// How many rows the answer has. A header of an answer that is known as a whole, else a trailer.
const ROW_COUNT: HeaderName = HeaderName::from_static("x-row-count");
/// Whether a limit cut rows off; comes with the number of rows.
const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");
/// What `Trailer` announces.
const TRAILERS: HeaderValue = HeaderValue::from_static("X-Row-Count, X-Truncated");

/// A result that ends within this many bytes of memory is known before its first byte leaves …
const SMALL_BYTES: usize = 1 << 20;
/// … unless that would keep the first byte waiting for longer than this.
const PATIENCE: Duration = Duration::from_millis(100);

/// How to answer with rows.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) form: Form,
    pub(super) query_id: Option<QueryId>,
    /// Set for a download.
    pub(super) file_name: Option<String>,
    /// Whether the client reads what comes after a body.
    pub(super) trailers: bool,
}

/// In which form rows are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FormatQuery {
    /// `json`, `ndjson`, `csv`, `arrow`, `parquet` or `xlsx`; goes before `Accept`. By default a query answers with
    /// JSON and an export with CSV.
    format: Option<String>,
    /// CSV: text that a spreadsheet would take for a formula gets a `'` before it. Switch it off for
    /// programs that need the bytes as they are.
    #[serde(default = "yes")]
    #[param(default = true)]
    formula_guard: bool,
    /// CSV: `utf-8` or `cp932` (Windows' Shift_JIS), in which `〓` stands for a character that it lacks.
    #[param(default = "utf-8")]
    encoding: Option<String>,
    /// CSV in UTF-8: begin with the mark by which spreadsheets know it.
    #[serde(default)]
    #[param(default = false)]
    bom: bool,
    /// Arrow: `none`, `lz4` or `zstd`.
    #[param(default = "none")]
    compression: Option<String>,
}

/// For a switch that is on unless it is switched off.
pub(super) fn yes() -> bool {
    true
}

impl FormatQuery {
    /// The form that is named here, or else the one that `Accept` asks for.
    pub(super) fn form(&self, headers: &HeaderMap, default: Format) -> Result<Form> {
        let (format, accepted) = match &self.format {
            Some(name) => (Format::from_name(name)?, None),
            None => match headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()) {
                Some(accept) => Format::from_accept(accept, default)?,
                None => (default, None),
            },
        };
        let only = |field: &'static str, of: Format| {
            if format == of {
                return Ok(());
            }
            let message =
                format!("`{field}` is a choice of `{}`, and the answer is `{}`", of.name(), format.name());
            Err(Error::invalid_field(field, message))
        };
        let mut form = Form { formula_guard: self.formula_guard, ..Form::of(format) };
        form.charset = accepted.unwrap_or(Charset::Utf8);
        if let Some(name) = &self.encoding {
            only("encoding", Format::Csv)?;
            form.charset = Charset::from_name(name).ok_or_else(|| {
                let message = format!("`encoding` is `{name}`: expected `utf-8` or `cp932`");
                Error::invalid_field("encoding", message)
            })?;
        }
        if self.bom {
            only("bom", Format::Csv)?;
            if form.charset == Charset::Cp932 {
                return Err(Error::invalid_field("bom", "`bom` is for `utf-8`: `cp932` has no mark"));
            }
            form.charset = Charset::Utf8Bom;
        }
        if let Some(name) = &self.compression {
            only("compression", Format::Arrow)?;
            form.compression = Compression::from_name(name)?;
        }
        Ok(form)
    }
}

/// Whether the client says that it reads trailers.
pub(super) fn reads_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case("trailers"))
}

/// Waits for the first batches, so that what fails at once gets its status, and answers with them whole when they are
/// all; else streams.
pub(super) async fn respond(rows: QueryStream, answer: Answer) -> Result<Response> {
    let (schema, batches, progress) = rows.start().await?.into_parts();
    context::set_progress(Arc::clone(&progress));
    let (first, rest) = begin(batches).await?;
    let whole = rest.is_none();
    // The handler has returned when the rest of the rows fail.
    let request = context::current();
    let noted = move |error: &Error| {
        if let Some(request) = &request {
            super::error::note(request, error);
        }
    };
    let rest = rest.unwrap_or_else(|| futures::stream::empty().boxed()).inspect_err(noted);
    let cut = Arc::clone(&progress);
    let rows = Rows {
        schema,
        batches: futures::stream::iter(first).map(Ok).chain(rest).boxed(),
        truncated: Box::new(move || cut.truncated()),
    };
    let options = Options {
        query_id: answer.query_id.as_ref().map(ToString::to_string),
        request_id: context::current_id(),
        type_name: crate::catalog::manifest::type_name,
    };
    let body = encode::encode(answer.form, rows, options)?;
    let mut response = match (whole, answer.trailers) {
        (true, _) => Response::new(Body::from(held(body).await?)),
        (false, true) => with_trailers(body, Arc::clone(&progress)),
        (false, false) => Response::new(Body::from_stream(body)),
    };
    if whole {
        response.headers_mut().extend(outcome(progress.rows(), progress.truncated()));
    }
    headers_of(answer, response.headers_mut());
    Ok(response)
}

/// What every answer with rows says of itself.
pub(super) fn headers_of(answer: Answer, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.form.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Some(id) = answer.query_id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        headers.insert(QUERY_ID, id);
    }
    if let Some(name) = answer.file_name {
        headers.insert(header::CONTENT_DISPOSITION, attachment(&name, answer.form.format.extension()));
    }
}

pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// The first batches, and the others, if there are more than are worth waiting for.
pub(super) async fn begin(mut batches: Batches) -> Result<(Vec<RecordBatch>, Option<Batches>)> {
    let (mut first, mut bytes) = (Vec::new(), 0);
    let mut patience = pin!(tokio::time::sleep(PATIENCE));
    while bytes < SMALL_BYTES {
        tokio::select! {
            biased;
            batch = batches.next() => match batch.transpose()? {
                Some(batch) => {
                    bytes += batch.get_array_memory_size();
                    first.push(batch);
                }
                None => return Ok((first, None)),
            },
            () = &mut patience => break,
        }
    }
    Ok((first, Some(batches)))
}

/// A body whose rows are all there.
pub(super) async fn held(mut body: BoxStream<'static, Result<Bytes>>) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.try_next().await? {
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes.freeze())
}

/// A body that tells after its end what only then is known.
pub(super) fn with_trailers(body: BoxStream<'static, Result<Bytes>>, progress: Arc<Progress>) -> Response {
    let end = async move { Ok(Frame::trailers(outcome(progress.rows(), progress.truncated()))) };
    let end = futures::stream::once(end);
    let mut response = Response::new(Body::new(StreamBody::new(body.map_ok(Frame::data).chain(end))));
    response.headers_mut().insert(header::TRAILER, TRAILERS);
    response
}

/// How a result that ended well did end.
pub(super) fn outcome(rows: u64, truncated: bool) -> HeaderMap {
    let truncated = HeaderValue::from_static(if truncated { "true" } else { "false" });
    HeaderMap::from_iter([(ROW_COUNT, HeaderValue::from(rows)), (TRUNCATED, truncated)])
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
