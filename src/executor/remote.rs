//! Python in an executor at an address: rows go out, and what comes back is believed no more than what a process here
//! has left.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;

use super::frame::{self, Frame, Frames, Kind, PIECE_BYTES_MAX};
use super::input::{Content, Pieces};
use super::message::{End, Outcome, Start};
use super::remote_rows;
use super::run::Prepared;
use super::service::BEAT;
use super::told::Refusal;
use super::{ExecutorHealth, ExecutorState, Output, PythonRun, Ran, Timeouts};
use crate::error::{Error, Result};

/// How long a connection may take to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an executor may be silent while it answers.
const SILENCE: Duration = BEAT.saturating_mul(6);
/// Beyond what it may take until a run begins.
const MARGIN: Duration = Duration::from_secs(15);
const HEALTH_WITHIN: Duration = Duration::from_secs(2);
/// The longest answer that says what is wrong.
const REFUSAL_BYTES_MAX: usize = 1 << 20;

/// Where an executor is.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// Such as `http://executor:8080`.
    pub url: String,
    pub token: SecretString,
    pub timeouts: Timeouts,
    /// How long a run waits for its turn there.
    pub wait_max: Duration,
}

#[derive(Debug)]
pub(super) struct Remote {
    settings: RemoteSettings,
    client: Client,
}

/// What an input failed with: the connection only knows that its request broke off.
type FailedInput = Arc<Mutex<Option<Error>>>;

impl Remote {
    pub(super) fn new(settings: RemoteSettings) -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .tcp_keepalive(BEAT)
            // A connection that was closed meanwhile is found out when the request is gone, and no request is sent twice.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self { settings, client })
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.settings.timeouts
    }

    pub(super) async fn run(&self, run: PythonRun) -> Ran {
        match self.begin(run).await {
            Ok((frames, talk)) => talk.listen(frames).await,
            Err(error) => Ran::failed(error),
        }
    }

    async fn begin(&self, run: PythonRun) -> Result<(Frames, Talk)> {
        let prepared = Prepared::new(run)?;
        let within = self.settings.wait_max + Duration::from_millis(prepared.limits.deadline_ms) + MARGIN;
        let talk = Talk {
            lines: prepared.lines.clone(),
            lines_dropped: 0,
            log: String::new(),
            url: self.settings.url.clone(),
        };
        let failed = FailedInput::default();
        let body = reqwest::Body::wrap_stream(request(prepared, Arc::clone(&failed))?);
        let sent = self.authorised(self.client.post(self.url("run"))).body(body).send();
        let answer = tokio::time::timeout(within, sent).await.map_err(|_| talk.gone("it did not answer"))?;
        let answer = answer.map_err(|cause| {
            let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
            failed.unwrap_or_else(|| self.unreachable(&cause))
        })?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        let body = answer.bytes_stream().map_err(io::Error::other);
        Ok((Frames::new(body.boxed()), talk))
    }

    pub(super) async fn health(&self) -> ExecutorHealth {
        let asked = async {
            let answer = self.authorised(self.client.get(self.url("status"))).send().await;
            let answer = answer.map_err(|cause| self.unreachable(&cause))?;
            if !answer.status().is_success() {
                return Err(self.refusal(answer).await);
            }
            answer.json::<ExecutorHealth>().await.map_err(|cause| self.unreachable(&cause))
        };
        let health = tokio::time::timeout(HEALTH_WITHIN, asked).await;
        let silent = || Error::Unavailable {
            message: format!("the executor at `{}` does not answer", self.settings.url),
            cause: None,
        };
        health.unwrap_or_else(|_| Err(silent())).unwrap_or_else(|error| ExecutorHealth {
            state: ExecutorState::Unavailable,
            tier: None,
            memory: super::MEMORY.to_owned(),
            selftest: None,
            reason: Some(error.to_string()),
            running_count: 0,
            waiting_count: 0,
            memory_reserved_bytes: 0,
            memory_bytes_max: 0,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.settings.url)
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.settings.token.expose_secret())
    }

    fn unreachable(&self, cause: &reqwest::Error) -> Error {
        Error::Unavailable {
            message: format!("the executor at `{}` cannot be reached: try again later", self.settings.url),
            cause: Some(cause.to_string().into()),
        }
    }

    /// What an answer that is none says.
    async fn refusal(&self, answer: Response) -> Error {
        let status = answer.status();
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(Ok(piece)) = pieces.next().await {
            body.extend_from_slice(&piece);
            if body.len() > REFUSAL_BYTES_MAX {
                break;
            }
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.error.into(),
            Err(_) => Error::Unavailable {
                message: format!("what answers at `{}` is no executor ({status})", self.settings.url),
                cause: None,
            },
        }
    }
}

/// The body of a request: what is to be run, then each input.
fn request(
    prepared: Prepared,
    failed: FailedInput,
) -> Result<impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static> {
    let Prepared { job, inputs, limits, class, user_id, known, .. } = prepared;
    let (names, inputs): (Vec<_>, Vec<_>) =
        inputs.into_iter().map(|input| (input.name, input.content)).unzip();
    let start = Start { job, inputs: names, limits, class, user_id, known };
    let start = frame::json(Kind::Start, &start)
        .map_err(|cause| Error::OverLimit(format!("the code or its parameters are too long: {cause}")))?;
    let inputs = inputs.into_iter().map(Content::into_pieces).collect::<Result<Vec<_>>>()?;
    let inputs = futures::stream::iter(inputs).flat_map(move |pieces| input(pieces, Arc::clone(&failed)));
    Ok(futures::stream::iter([Ok(start)]).chain(inputs))
}

fn input(pieces: Pieces, failed: FailedInput) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    let frames = pieces.map(move |piece| match piece {
        Ok(piece) => Ok(futures::stream::iter(framed(piece).into_iter().map(Ok))),
        Err(error) => {
            let told = io::Error::other(error.to_string());
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Err(told)
        }
    });
    frames.try_flatten().chain(futures::stream::iter([Ok(frame::frame(Kind::InputEnd, b""))]))
}

/// Frames of at most a piece each, whose payloads are not copied.
fn framed(mut piece: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while !piece.is_empty() {
        let payload = piece.split_to(piece.len().min(PIECE_BYTES_MAX));
        frames.extend([frame::head(Kind::Piece, payload.len()), payload]);
    }
    frames
}

/// What is known of a run while an executor has it.
struct Talk {
    lines: Option<mpsc::Sender<String>>,
    lines_dropped: u64,
    /// What has come of it, for a run that never says how it ended.
    log: String,
    url: String,
}

impl Talk {
    async fn listen(mut self, mut frames: Frames) -> Ran {
        match self.until_its_end(&mut frames).await {
            Ok(end) => self.ran(end, frames).await,
            Err(error) => Ran { log: self.log, lines_dropped: self.lines_dropped, ..Ran::failed(error) },
        }
    }

    async fn until_its_end(&mut self, frames: &mut Frames) -> Result<End> {
        loop {
            let frame = next(frames).await.map_err(|reason| self.gone(&reason))?;
            match frame.kind {
                Kind::Line => self.line(&String::from_utf8_lossy(&frame.payload)),
                Kind::Beat => {}
                Kind::Ended => return frame.json().map_err(|cause| self.gone(&cause.to_string())),
                Kind::Start | Kind::Piece | Kind::InputEnd | Kind::Whole => {
                    return Err(self.gone("it says what makes no sense"));
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
        let took = self.lines.as_ref().is_none_or(|lines| lines.try_send(line.to_owned()).is_ok());
        self.lines_dropped += u64::from(!took);
    }

    async fn ran(self, end: End, frames: Frames) -> Ran {
        let End { outcome, log, log_was_cut, lines_dropped, usage, violation } = end;
        let result = match outcome {
            Outcome::Rows { row_count, column_count, byte_count } => {
                remote_rows::output(frames, row_count, column_count, byte_count).await
            }
            Outcome::Card { html, used_columns, filter_applicable } => {
                Ok(Output::Card { html, used_columns, filter_applicable })
            }
            Outcome::Failed(told) => Err(told.into()),
        };
        let lines_dropped = lines_dropped + self.lines_dropped;
        Ran { result, log, log_was_cut, lines_dropped, usage, violation }
    }

    fn gone(&self, reason: &str) -> Error {
        Error::Unavailable {
            message: format!("the executor at `{}` went away during the run: try again", self.url),
            cause: Some(reason.to_owned().into()),
        }
    }
}

/// The next frame, from an executor that is not silent.
pub(super) async fn next(frames: &mut Frames) -> Result<Frame, String> {
    match tokio::time::timeout(SILENCE, frames.next()).await {
        Ok(frame) => frame.map_err(|cause| cause.to_string()),
        Err(_) => Err(format!("it was silent for {} s", SILENCE.as_secs())),
    }
}
