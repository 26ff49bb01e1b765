//! The side of an executor that runs Python for services in other processes: the body of a request in, the body of its
//! answer out. Who may ask is decided at the door.
//!
//! The answer begins when the run has its turn and its inputs: until then what is wrong is told by an error, so that a
//! full queue is a status and not the middle of a body.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{Mutex, mpsc};

use super::frame::{self, Frames, Kind, PIECE_BYTES_MAX};
use super::input::{Content, Pieces};
use super::local::Local;
use super::message::{End, Outcome, Start};
use super::run::{Begun, Ended, Input, Left, Prepared};
use super::{ExecutorHealth, ExecutorSettings};
use crate::error::{Error, Result};
use crate::tasks;

/// How long the other side may take to say what it wants.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How often a connection is tried on which nothing else is sent.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// Lines that wait for the connection; more are left out, and are in the log all the same.
const LINES_AHEAD: usize = 1024;
/// Frames that wait for the connection.
const FRAMES_AHEAD: usize = 4;

/// The body of an answer.
pub type Answer = BoxStream<'static, io::Result<Bytes>>;

/// Runs Python for others. Clones are the same one.
#[derive(Debug, Clone)]
pub struct ExecutorService(Arc<Local>);

impl ExecutorService {
    #[must_use]
    pub fn new(settings: ExecutorSettings) -> Self {
        Self(Arc::new(Local::new(settings)))
    }

    /// Starts what runs need, so that the first one does not wait for it.
    pub fn warm(&self) {
        self.0.warm();
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> ExecutorHealth {
        self.0.health()
    }

    /// Runs what `request` says, and answers while it runs. Dropping the future, or what it returns, ends the run.
    ///
    /// # Errors
    /// What keeps the run from beginning.
    pub async fn answer(&self, request: BoxStream<'static, io::Result<Bytes>>) -> Result<Answer> {
        let mut frames = Frames::new(request);
        let first = tokio::time::timeout(START_WITHIN, frames.next()).await;
        let first = first.map_err(|_| Error::invalid("the request did not say what is to be run"))?;
        let first = first.map_err(broken)?;
        if first.kind != Kind::Start {
            return Err(Error::invalid("the request does not begin with what is to be run"));
        }
        let start: Start = first.json().map_err(broken)?;
        let Start { job, inputs, mut limits, class, user_id, known } = start;
        let deadline = self.0.timeouts().of(class).as_millis();
        limits.deadline_ms = limits.deadline_ms.min(u64::try_from(deadline).unwrap_or(u64::MAX));
        let turn = tokio::select! {
            turn = self.0.turn(&user_id, class, &limits) => turn?,
            cause = frames.broken() => return Err(broken(cause)),
        };
        let frames = Arc::new(Mutex::new(frames));
        let inputs = inputs.into_iter().map(|name| {
            let content = Content::Pieces(pieces(Arc::clone(&frames)));
            // It is on its way already.
            Input { name, content, same: None }
        });
        let inputs = inputs.collect();
        let (lines, printed) = mpsc::channel(LINES_AHEAD);
        let prepared = Prepared { job, inputs, limits, class, lines: Some(lines), user_id, known };
        let begun = turn.begin(prepared).await?;
        let (send, frames) = mpsc::channel(FRAMES_AHEAD);
        let talk = tasks::spawn(talk(begun, printed, send));
        let answer = futures::stream::unfold((frames, talk), async |(mut frames, talk)| {
            Some((frames.recv().await?, (frames, talk)))
        });
        Ok(answer.boxed())
    }
}

fn broken(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::InvalidData => Error::invalid(format!("the request cannot be read: {cause}")),
        _ => Error::Cancelled,
    }
}

/// The next input of a request.
fn pieces(frames: Arc<Mutex<Frames>>) -> Pieces {
    let pieces = futures::stream::unfold(Some(frames), async |frames| {
        let frames = frames?;
        let next = frames.lock().await.next().await;
        match next {
            Ok(frame) if frame.kind == Kind::Piece => Some((Ok(frame.payload), Some(frames))),
            Ok(frame) if frame.kind == Kind::InputEnd => None,
            Ok(_) => Some((Err(Error::invalid("an input is followed by something else")), None)),
            Err(cause) => Some((Err(broken(cause)), None)),
        }
    });
    pieces.boxed()
}

type Sender = mpsc::Sender<io::Result<Bytes>>;

/// Runs, and tells of it until nobody listens any more.
async fn talk(begun: Begun, mut printed: mpsc::Receiver<String>, send: Sender) {
    let mut beats = tokio::time::interval(BEAT);
    let mut run = pin!(begun.finish());
    let ended = loop {
        let frame = tokio::select! {
            biased;
            ended = &mut run => break ended,
            Some(line) = printed.recv() => frame::frame(Kind::Line, line.as_bytes()),
            _ = beats.tick() => frame::frame(Kind::Beat, b""),
        };
        if send.send(Ok(frame)).await.is_err() {
            return;
        }
    };
    while let Ok(line) = printed.try_recv() {
        if send.send(Ok(frame::frame(Kind::Line, line.as_bytes()))).await.is_err() {
            return;
        }
    }
    if let Err(cause) = tell(ended, &send).await {
        // Whoever listens sees a body that breaks off; nobody may listen any more.
        drop(send.send(Err(cause)).await);
    }
}

async fn tell(ended: Ended, send: &Sender) -> io::Result<()> {
    let Ended { left, log, log_was_cut, lines_dropped, usage, violation } = ended;
    let (outcome, rows) = match left {
        Ok(Left::Rows(checked, slot)) => {
            let (row_count, column_count) = (checked.row_count, checked.schema.fields().len() as u64);
            let (file, byte_count) = checked.into_bytes();
            (Outcome::Rows { row_count, column_count, byte_count }, Some((file, byte_count, slot)))
        }
        Ok(Left::Card { html, used_columns, filter_applicable }) => {
            (Outcome::Card { html, used_columns, filter_applicable }, None)
        }
        Err(error) => (Outcome::Failed((&error).into()), None),
    };
    let end = End { outcome, log, log_was_cut, lines_dropped, usage, violation };
    hand_over(send, frame::json(Kind::Ended, &end)?).await?;
    if let Some((file, byte_count, _slot)) = rows {
        copy(&file, byte_count, send).await?;
    }
    hand_over(send, frame::frame(Kind::Whole, b"")).await
}

async fn copy(file: &File, byte_count: u64, send: &Sender) -> io::Result<()> {
    let mut at = 0;
    while at < byte_count {
        let length = PIECE_BYTES_MAX.min(usize::try_from(byte_count - at).unwrap_or(PIECE_BYTES_MAX));
        let mut piece = vec![0; length];
        // Out of memory, so nobody waits for it.
        file.read_exact_at(&mut piece, at)?;
        at += length as u64;
        hand_over(send, frame::head(Kind::Piece, length)).await?;
        hand_over(send, piece.into()).await?;
    }
    Ok(())
}

async fn hand_over(send: &Sender, bytes: Bytes) -> io::Result<()> {
    send.send(Ok(bytes)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
}
