//! The worker's end of the socket: what it says, and answers to what it asks.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_seqpacket::UnixSeqpacket;

use super::super::message::{FromWorker, ToWorker, Unread};
use super::super::packet::{self, Packet};
use crate::error::{Error, Result};

/// An answer of the service to a request.
pub(super) type Answer = std::result::Result<Answered, Unread>;

#[derive(Debug)]
pub(super) enum Answered {
    Opened { byte_count: u64, file: Option<OwnedFd> },
    Bytes { lengths: Vec<u64>, area: OwnedFd },
}

/// The socket. Whoever sends waits until the service has room for it.
#[derive(Debug)]
pub(super) struct Link {
    socket: UnixSeqpacket,
    next_request: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl Link {
    pub(super) fn new(socket: UnixSeqpacket) -> Self {
        Self { socket, next_request: AtomicU64::new(0), waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something.
    ///
    /// # Errors
    /// `Internal` when nobody listens any more.
    pub(super) async fn send(&self, message: &FromWorker) -> Result<()> {
        let body = serde_json::to_vec(message).map_err(Error::internal)?;
        packet::send(&self.socket, &body, &[]).await.map_err(Error::internal)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// `Internal` when the service has gone.
    pub(super) async fn receive(&self) -> Result<(ToWorker, Vec<OwnedFd>)> {
        let Packet { body, descriptors } = packet::receive(&self.socket).await.map_err(Error::internal)?;
        Ok((serde_json::from_slice(&body).map_err(Error::internal)?, descriptors))
    }

    /// Asks for something, and waits for the answer.
    pub(super) async fn ask(&self, question: impl FnOnce(u64) -> FromWorker) -> Answer {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(request, answer);
        self.send(&question(request)).await.map_err(|error| Unread::Failed(error.to_string()))?;
        answered.await.unwrap_or_else(|_| Err(Unread::Failed("the query has ended".to_owned())))
    }

    /// Hands an answer to whoever asked.
    pub(super) fn answer(&self, request: u64, answer: Answer) {
        let waiting = self.waiting().remove(&request);
        if let Some(waiting) = waiting {
            // Whoever asked may have been cancelled meanwhile.
            drop(waiting.send(answer));
        }
    }

    /// Nobody waits any more.
    pub(super) fn forget_requests(&self) {
        self.waiting().clear();
    }
}
