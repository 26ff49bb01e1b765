//! What is left of a request's body when its answer is ready.
//!
//! Why: a client that is refused in the middle of an upload may still be sending, and read only when it
//! has sent all. Closing the connection then would reset it, and the client would see a broken pipe
//! instead of the reason. So the answer is sent at once, and the rest of the body is read and thrown away
//! beside it, up to a bound: whoever sends more than that has had time to look.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// Bytes of a body that are thrown away at most.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long that may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// A body that its handler reads, and that can be read on when the handler has let go of it.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Incoming>>);

impl Shared {
    fn body(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::body::Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// A body for a handler, and the hold on what the handler will leave of it.
#[derive(Debug)]
pub(super) struct Leftover(Shared);

impl Leftover {
    pub(super) fn of(body: Incoming) -> (Body, Self) {
        let shared = Shared(Arc::new(Mutex::new(body)));
        (Body::new(shared.clone()), Self(shared))
    }

    /// To be called when the handler has answered.
    pub(super) fn leave_to(self, remover: &mpsc::UnboundedSender<Incoming>) {
        // While somebody still holds the body, it is no leftover.
        let Some(body) = Arc::into_inner(self.0.0) else { return };
        let body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !hyper::body::Body::is_end_stream(&body) {
            // A connection that has ended needs nobody to read it to its end.
            let _ = remover.send(body);
        }
    }
}

/// Reads what is left of bodies until no more can come.
pub(super) async fn remove(mut leftovers: mpsc::UnboundedReceiver<Incoming>) {
    while let Some(body) = leftovers.recv().await {
        // In time or not: with the body dropped, the connection is closed if there is still more.
        let _ = tokio::time::timeout(DEADLINE, read_away(body)).await;
    }
}

async fn read_away(mut body: Incoming) {
    let mut room = BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match room.checked_sub(length) {
            Some(rest) => room = rest,
            None => return,
        }
    }
}
