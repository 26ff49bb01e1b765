//! Answers to statements: rows that are kept or computed, with what is the caller's own around them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use super::context::{self, RequestContext};
use super::state::AppState;
use super::stream::{Answer, begin, headers_of, held, outcome, with_trailers};
use crate::encode::{self, Envelope, Form, Options, Rows};
use crate::engine::{Asked, Body as Encoded, Ended, Kept, Progress, QuerySpec, QueryStream, RunningAnswer};
use crate::error::{Error, Result};

/// Where the answer came from: `hit`, `miss` or `bypass`.
const CACHE: HeaderName = HeaderName::from_static("x-cache");

/// A kept result of at most this many bytes is sent in one piece with its envelope.
const JOINED_BYTES_MAX: u64 = 64 << 10;

/// Answers `spec`: by what is kept, unless `use_cache` is off, or by running it.
pub(super) async fn respond(
    app: &AppState,
    spec: QuerySpec,
    use_cache: bool,
    answer: Answer,
) -> Result<Response> {
    let options = Options {
        query_id: answer.query_id.as_ref().map(ToString::to_string),
        request_id: context::current_id(),
        type_name: crate::catalog::manifest::type_name,
    };
    let form = answer.form;
    let envelope = Envelope::new(form.format, &options)?;
    let request = context::current();
    let known = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&known);
    let encode = move |rows: QueryStream| encoded(rows, form, options, request, tell);
    let Asked { answer: asked, progress } = Box::pin(app.engine.ask(spec, use_cache, &form, encode)).await?;
    context::set_progress(Arc::clone(&progress));
    let mut response = match asked.body {
        Encoded::Whole(kept) => {
            let mut response = whole(&kept, envelope);
            response.headers_mut().extend(outcome(kept.ended.rows, kept.ended.truncated));
            response
        }
        Encoded::Frames(mut frames) => {
            // What fails before there is a byte to send still gets its status.
            let first = frames.next().await.transpose()?;
            let body = around(stream::iter(first.map(Ok)).chain(frames).boxed(), envelope);
            match (known.load(Ordering::Acquire), answer.trailers) {
                (true, _) => {
                    let mut response = Response::new(Body::from(held(body).await?));
                    response.headers_mut().extend(outcome(progress.rows(), progress.truncated()));
                    response
                }
                (false, true) => with_trailers(body, progress),
                (false, false) => Response::new(Body::from_stream(body)),
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE, HeaderValue::from_static(asked.cache.as_str()));
    headers_of(answer, headers);
    Ok(response)
}

/// Rows as bytes that callers can share. What fails within the first batches fails here, and `known` tells whether
/// these are all.
async fn encoded(
    rows: QueryStream,
    form: Form,
    options: Options,
    request: Option<Arc<RequestContext>>,
    known: Arc<AtomicBool>,
) -> Result<RunningAnswer> {
    let (schema, batches, progress) = rows.start().await?.into_parts();
    let (first, rest) = begin(batches).await?;
    known.store(rest.is_none(), Ordering::Release);
    let failure = Arc::new(OnceLock::new());
    let failed = Arc::clone(&failure);
    // The handler has returned when the rows fail.
    let noted = move |error: &Error| {
        if let Some(request) = &request {
            super::error::note(request, error);
        }
        // Nothing comes after the first.
        let _ = failed.set(error.again());
    };
    let rest = rest.unwrap_or_else(|| stream::empty().boxed()).inspect_err(noted);
    let truncated = Arc::clone(&progress);
    let waited = Waited::default();
    let rows = Rows {
        schema,
        batches: waited.of(stream::iter(first).map(Ok).chain(rest)),
        truncated: Box::new(move || truncated.truncated()),
    };
    let frames = waited.beside(encode::encode_shared(form, rows, options)?, Arc::clone(&progress));
    let end = move || match failure.get() {
        Some(error) => Err(error.again()),
        None => Ok(Ended { rows: progress.rows(), truncated: progress.truncated() }),
    };
    Ok(RunningAnswer { frames, end: Box::new(end) })
}

/// A kept result, whose length is known.
fn whole(kept: &Kept, envelope: Envelope) -> Response {
    let Envelope { head, tail } = envelope;
    let length = kept.byte_count() + (head.len() + tail.len()) as u64;
    let pieces = [head].into_iter().chain(kept.pieces.iter().cloned()).chain([tail]);
    let body = if length <= JOINED_BYTES_MAX {
        let mut joined = BytesMut::new();
        pieces.for_each(|piece| joined.extend_from_slice(&piece));
        Body::from(joined.freeze())
    } else {
        let pieces: Vec<_> = pieces.filter(|piece| !piece.is_empty()).map(Ok::<_, Error>).collect();
        Body::from_stream(stream::iter(pieces))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Frames as they come. What failed breaks off, without the end of its envelope.
fn around(
    frames: BoxStream<'static, Result<Bytes>>,
    envelope: Envelope,
) -> BoxStream<'static, Result<Bytes>> {
    let edge = |bytes: Bytes| stream::iter((!bytes.is_empty()).then_some(Ok(bytes)));
    edge(envelope.head).chain(frames).chain(edge(envelope.tail)).boxed()
}

/// Time that an encoder spends in waiting for rows, so that the rest of its time is its own.
#[derive(Debug, Clone, Default)]
struct Waited(Arc<AtomicU64>);

impl Waited {
    /// Rows whose making is no work of the encoder.
    fn of<T: Send + 'static>(&self, rows: impl Stream<Item = T> + Send + 'static) -> BoxStream<'static, T> {
        let waited = Self::clone(self);
        let mut rows = Box::pin(rows);
        stream::poll_fn(move |cx| {
            let began = Instant::now();
            let item = rows.as_mut().poll_next(cx);
            waited.0.fetch_add(nanos(began.elapsed()), Ordering::Relaxed);
            item
        })
        .boxed()
    }

    /// Frames of an encoder that asks for such rows; its own time goes to `progress`.
    fn beside<T: Send + 'static>(
        self,
        frames: BoxStream<'static, T>,
        progress: Arc<Progress>,
    ) -> BoxStream<'static, T> {
        let mut frames = frames;
        stream::poll_fn(move |cx| {
            let (began, before) = (Instant::now(), self.0.load(Ordering::Relaxed));
            let item = frames.poll_next_unpin(cx);
            let waited = self.0.load(Ordering::Relaxed) - before;
            progress.count_encoding(Duration::from_nanos(nanos(began.elapsed()).saturating_sub(waited)));
            item
        })
        .boxed()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
