//! One run that several callers may wait for.
//!
//! ```text
//!            ┌─ buffer, up to what an entry may be ─▶ all callers ─▶ the store, when it is complete
//! run ─▶ frames
//!            └─ the rest, one frame at a time ──────▶ the first caller; the others run on their own
//! ```
//!
//! Who asked first gets frames as they come. The others have sent nothing yet, so they wait for the end:
//! then they have all of it, or an error with its own status. A slow first caller holds nobody up before the
//! buffer is full. The run goes on while anybody waits, and is cancelled when the last one has gone.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};

use super::flights::Landing;
use super::key::ResultKey;
use super::store::{Ended, Kept, Store};
use crate::error::{Error, Result};

/// A run whose first rows are there.
pub struct Running {
    /// The encoded result. A failure that the format cannot tell in its own words is the last item.
    pub frames: BoxStream<'static, Result<Bytes>>,
    /// Asked after the last frame: what the rows came to, or why they did not come to their end.
    pub end: Box<dyn FnOnce() -> Result<Ended> + Send>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// What callers see of a run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) phase: Phase,
    /// Held until the end, for a first caller who reads slowly.
    frames: Vec<Bytes>,
}

#[derive(Debug, Default)]
pub(super) enum Phase {
    /// Waiting for the first rows.
    #[default]
    Starting,
    Streaming,
    /// Larger than an entry may be: what follows goes to the first caller only.
    Large,
    Complete(Arc<Kept>),
    Failed {
        error: Error,
        /// The frames do not tell it, so that the first caller's body has to break.
        untold: bool,
    },
}

/// What follows the buffer; None is the end, said aloud, so that a run which ended in a panic is not taken for complete.
pub(super) type Rest = Option<Result<Bytes>>;

/// Who flies: the end of a run that writes.
#[derive(Debug)]
pub(super) struct Pilot {
    pub(super) key: ResultKey,
    pub(super) seen: watch::Sender<Seen>,
    pub(super) rest: mpsc::Sender<Rest>,
    pub(super) store: Arc<Store>,
    pub(super) landing: Landing,
}

impl Pilot {
    /// Runs to the end, or until nobody listens any more.
    pub(super) async fn fly(mut self, start: impl Future<Output = Result<Running>>) {
        let Running { mut frames, end } = match start.await {
            Ok(running) => running,
            Err(error) => return self.fail(error, true),
        };
        self.seen.send_modify(|seen| seen.phase = Phase::Streaming);
        let (mut bytes, mut large) = (0, false);
        while let Some(item) = frames.next().await {
            let frame = match item {
                Ok(frame) => frame,
                Err(error) if large => {
                    // It is the last item; whether anybody still reads it changes nothing.
                    let _ = self.rest.send(Some(Err(error))).await;
                    return;
                }
                Err(error) => return self.fail(error, true),
            };
            if !large && bytes + frame.len() > self.store.entry_bytes_max() {
                large = true;
                self.landing.large();
                self.seen.send_modify(|seen| seen.phase = Phase::Large);
            }
            if large {
                if self.rest.send(Some(Ok(frame))).await.is_err() {
                    return;
                }
                continue;
            }
            bytes += frame.len();
            // A frame may be the start of a far larger buffer.
            let frame = Bytes::copy_from_slice(&frame);
            self.seen.send_modify(|seen| seen.frames.push(frame));
        }
        if large {
            // Nobody may be there any more.
            let _ = self.rest.send(None).await;
            return;
        }
        match end() {
            Ok(ended) => self.keep(ended),
            Err(error) => self.fail(error, false),
        }
    }

    /// Keeps the result before the flight ends: at no moment is it in neither place.
    fn keep(mut self, ended: Ended) {
        let kept = Arc::new(Kept::new(&self.seen.borrow().frames, ended));
        self.store.insert(self.key, Arc::clone(&kept));
        self.landing.land();
        self.seen.send_modify(|seen| seen.phase = Phase::Complete(kept));
    }

    fn fail(mut self, error: Error, untold: bool) {
        self.landing.land();
        self.seen.send_modify(|seen| seen.phase = Phase::Failed { error, untold });
    }
}

/// The frames as the first caller gets them. `hold` keeps the run going.
pub(super) fn first_in_line(
    seen: watch::Receiver<Seen>,
    rest: mpsc::Receiver<Rest>,
    hold: impl Send + 'static,
) -> BoxStream<'static, Result<Bytes>> {
    let state = Reader { seen, rest, read: 0, ended: false, _hold: hold };
    futures::stream::unfold(state, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    })
    .boxed()
}

struct Reader<H> {
    seen: watch::Receiver<Seen>,
    rest: mpsc::Receiver<Rest>,
    /// How many frames of the buffer were handed out.
    read: usize,
    ended: bool,
    _hold: H,
}

impl<H> Reader<H> {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        if self.ended {
            return None;
        }
        let read = self.read;
        let more = |seen: &Seen| {
            seen.frames.len() > read || !matches!(seen.phase, Phase::Starting | Phase::Streaming)
        };
        let item = match self.seen.wait_for(more).await {
            Err(_) => Some(Err(stopped())),
            Ok(seen) => match (seen.frames.get(read), &seen.phase) {
                (Some(frame), _) => Some(Ok(frame.clone())),
                (None, Phase::Failed { error, untold: true }) => Some(Err(error.again())),
                (None, _) => None,
            },
        };
        // In its own statement, so that the lock of `seen` is not held while waiting.
        let item = match item {
            None if self.is_large() => self.rest.recv().await.unwrap_or_else(|| Some(Err(stopped()))),
            item => item,
        };
        self.read += 1;
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }

    /// Whether more follows than the buffer holds.
    fn is_large(&self) -> bool {
        matches!(self.seen.borrow().phase, Phase::Large)
    }
}

/// The run is gone without a word, which only a panic does.
pub(super) fn stopped() -> Error {
    Error::internal("the run that several callers waited for has ended without a result")
}
