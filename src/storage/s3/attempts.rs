//! One request and all attempts at it.
//!
//! `object_store` would try again by itself, but each request as if it were alone. Here all of them share a budget, an
//! answer that is cut in its middle counts as one that failed, and a read whose answer is late is asked for a second
//! time, without waiting for the first to fail. Whatever is sent twice may be: objects are written once, under a key
//! that nobody else has, and whoever writes looks at what is there when an answer was lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, StatusCode, header};
use metrics::counter;
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Instant, sleep, timeout};

use super::latencies::Latencies;
use super::retry_budget::RetryBudget;
use super::wire::operation;
use crate::ids::random_digits;
use crate::telemetry::{OBJECT_BUDGET_REFUSALS, OBJECT_HEDGES, OBJECT_RETRIES};

/// A request is not tried again when it was first made longer ago than this: whoever waits is told instead.
const RETRY_TIME: Duration = Duration::from_secs(8);
/// How often it is tried again in that time, each time after a longer pause of random length.
const RETRIES_MAX: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// An answer of this size is taken whole before it is handed on. All that the service asks for is smaller.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// What all requests to one server have in common.
#[derive(Debug)]
pub(super) struct Shared {
    budget: RetryBudget,
    /// Of reads; `None` when no read is to be made twice.
    latencies: Option<Latencies>,
}

impl Shared {
    pub(super) fn new(hedged_reads: bool) -> Self {
        Self { budget: RetryBudget::new(), latencies: hedged_reads.then(Latencies::default) }
    }
}

/// Makes requests, again where that helps.
#[derive(Debug)]
pub(super) struct Attempts {
    inner: HttpClient,
    shared: Arc<Shared>,
}

/// What came of one attempt.
enum Outcome {
    /// An answer, or an error that would be the same again.
    Final(Result<HttpResponse, HttpError>),
    /// Another attempt may come out better.
    MayPass(Result<HttpResponse, HttpError>),
}

impl Attempts {
    pub(super) fn over(inner: HttpClient, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    async fn attempt(&self, request: &HttpRequest) -> Outcome {
        let answered = match self.shared.latencies.as_ref().filter(|_| is_range_read(request)) {
            Some(latencies) => self.read(request, latencies).await,
            None => self.inner.execute(request.clone()).await,
        };
        if may_pass(&answered) {
            return Outcome::MayPass(answered);
        }
        match answered {
            Ok(response) if response.status().is_success() => whole(request, response).await,
            other => Outcome::Final(other),
        }
    }

    /// A read, made a second time when it takes longer than others did lately; the first answer counts.
    async fn read(&self, request: &HttpRequest, latencies: &Latencies) -> Result<HttpResponse, HttpError> {
        let started = Instant::now();
        let answered = match latencies.late_after() {
            Some(late) => self.read_by(request, late).await,
            None => self.inner.execute(request.clone()).await,
        };
        if answered.as_ref().is_ok_and(|response| response.status().is_success()) {
            // As long as the caller waited, whoever answered: otherwise late ones would not count, and what is called
            // late would come sooner and sooner.
            latencies.record(started.elapsed());
        }
        answered
    }

    async fn read_by(&self, request: &HttpRequest, late: Duration) -> Result<HttpResponse, HttpError> {
        let mut first = Box::pin(self.inner.execute(request.clone()));
        if let Ok(answered) = timeout(late, first.as_mut()).await {
            return answered;
        }
        if !self.shared.budget.hedge() {
            counter!(OBJECT_BUDGET_REFUSALS, "kind" => "hedge").increment(1);
            return first.await;
        }
        let second = Box::pin(self.inner.execute(request.clone()));
        let (answered, other, by) = match select(first, second).await {
            Either::Left((answered, other)) => (answered, other, ["first", "second"]),
            Either::Right((answered, other)) => (answered, other, ["second", "first"]),
        };
        // The other one is given up, unless this is no answer.
        let (answered, by) = match may_pass(&answered) {
            false => (answered, by[0]),
            true => (other.await, by[1]),
        };
        let by = if may_pass(&answered) { "none" } else { by };
        counter!(OBJECT_HEDGES, "answered_by" => by).increment(1);
        answered
    }
}

#[async_trait]
impl HttpService for Attempts {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let operation = operation(request.method(), request.uri().query().unwrap_or_default());
        let started = Instant::now();
        self.shared.budget.pay_in();
        let mut retries = 0;
        loop {
            let outcome = match self.attempt(&request).await {
                Outcome::Final(outcome) => return outcome,
                Outcome::MayPass(outcome) => outcome,
            };
            if retries == RETRIES_MAX || started.elapsed() > RETRY_TIME {
                return outcome;
            }
            if !self.shared.budget.retry() {
                counter!(OBJECT_BUDGET_REFUSALS, "kind" => "retry").increment(1);
                tracing::warn!(operation, "not tried again: too many requests to the object store fail");
                return outcome;
            }
            counter!(OBJECT_RETRIES, "operation" => operation).increment(1);
            pause(retries).await;
            retries += 1;
        }
    }
}

/// Reads of a part of an object, by which queries read.
fn is_range_read(request: &HttpRequest) -> bool {
    request.method() == Method::GET && request.headers().contains_key(header::RANGE)
}

/// Whether the server, or the way to it, may do better next time.
fn may_pass(answered: &Result<HttpResponse, HttpError>) -> bool {
    match answered {
        Ok(response) => {
            let status = response.status();
            status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        }
        // Also one of no kind that is known, such as a connection that was closed while it was waiting to be used.
        Err(error) => error.kind() != HttpErrorKind::Decode,
    }
}

/// A good answer with all of its bytes.
async fn whole(request: &HttpRequest, response: HttpResponse) -> Outcome {
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if request.method() == Method::HEAD || length.is_some_and(|length| length > WHOLE_BYTES_MAX) {
        return Outcome::Final(Ok(response));
    }
    let (head, body) = response.into_parts();
    match body.bytes().await {
        Ok(bytes) => {
            // Put together or deleted: the answer begins before the work, and so may tell of a failure after it said
            // that all is well.
            let failed = request.method() == Method::POST && tells_of_trouble(&bytes);
            let answer = Ok(HttpResponse::from_parts(head, HttpResponseBody::from(bytes)));
            if failed { Outcome::MayPass(answer) } else { Outcome::Final(answer) }
        }
        // Cut.
        Err(error) => Outcome::MayPass(Err(error)),
    }
}

fn tells_of_trouble(body: &Bytes) -> bool {
    let text = String::from_utf8_lossy(body);
    ["InternalError", "SlowDown"].iter().any(|code| text.contains(&format!("<Code>{code}</Code>")))
}

/// Waits before the next attempt, so long that those who failed together do not come back together.
async fn pause(retries: u32) {
    let longest = PAUSE_FIRST.saturating_mul(1 << retries.min(10)).min(PAUSE_MAX);
    let random = u32::from_str_radix(&random_digits()[..4], 16).unwrap_or(u32::from(u16::MAX));
    sleep(longest.mul_f64((1.0 + f64::from(random) / f64::from(u16::MAX)) / 2.0)).await;
}
