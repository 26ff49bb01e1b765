//! A connection whose other end has to read.
//!
//! Why: a client that stops reading would hold its query, with the memory and the files of it, until the deadline of
//! the query, and after that what is left of the answer for ever. Every byte that it takes gives it new time, so a slow
//! client is served.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream on which no write may wait for longer than `allowed`.
#[derive(Debug)]
pub(super) struct WriteDeadline<S> {
    inner: S,
    allowed: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteDeadline<S> {
    pub(super) fn new(inner: S, allowed: Duration) -> Self {
        Self { inner, allowed, waiting: None }
    }

    /// `outcome` of a write, or an error when it has waited for too long.
    fn bound<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let allowed = self.allowed;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(allowed)));
        match waiting.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the client has not read for {} s", allowed.as_secs()),
            ))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.bound(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.bound(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.bound(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bound(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn whoever_stops_reading_is_cut() {
        let (near, mut far) = duplex(64);
        let mut near = WriteDeadline::new(near, Duration::from_millis(20));
        let error = near.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().starts_with("the client has not read for"), "{error}");
        drop(near);
        let mut taken = Vec::new();
        far.read_to_end(&mut taken).await.unwrap();
        assert_eq!(taken.len(), 64);
    }

    #[tokio::test]
    async fn whoever_reads_gets_new_time() {
        let (near, mut far) = duplex(8);
        let mut near = WriteDeadline::new(near, Duration::from_secs(3600));
        near.write_all(&[0; 8]).await.unwrap();
        for _ in 0..3 {
            {
                let mut waits = pin!(near.write_all(&[0; 8]));
                assert!(poll!(&mut waits).is_pending());
                far.read_exact(&mut [0; 8]).await.unwrap();
                waits.await.unwrap();
            }
            assert!(near.waiting.is_none(), "the next wait begins anew");
        }
    }
}
