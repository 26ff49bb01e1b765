//! What the service and an executor in another process say to each other: frames in the body of a request, and frames in
//! the body of its answer.
//!
//! ```text
//!  │ kind, 1 byte │ length, 4 bytes │ payload │
//!
//!  request:  Start, then of each input: Piece … InputEnd
//!  answer:   Line and Beat while it runs, Ended, then of the result: Piece … Whole
//! ```
//!
//! Why an end of its own: a connection that breaks, and an executor that is killed, end a body like any other. An answer
//! without `Whole` was cut off.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest payload: an end with the page of a card, as JSON.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Pieces are cut to this.
pub(super) const PIECE_BYTES_MAX: usize = 256 << 10;
const HEAD_BYTES: usize = 5;
/// What is read ahead of being asked for.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Start = 1,
    Piece = 2,
    InputEnd = 3,
    Line = 4,
    /// Nothing, so that a connection that is broken is noticed.
    Beat = 5,
    Ended = 6,
    Whole = 7,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Start, Self::Piece, Self::InputEnd, Self::Line, Self::Beat, Self::Ended, Self::Whole];
}

/// A frame with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) payload: Bytes,
}

impl Frame {
    /// The payload as what was sent.
    pub(super) fn json<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|cause| invalid(format!("a frame cannot be read: {cause}")))
    }
}

/// The head of a frame, whose payload follows it.
pub(super) fn head(kind: Kind, payload_bytes: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    head.put_u8(kind as u8);
    // Payloads that are longer are cut, or refused, before they come here.
    head.put_u32_le(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    head.freeze()
}

/// A whole frame.
pub(super) fn frame(kind: Kind, payload: &[u8]) -> Bytes {
    [&head(kind, payload.len())[..], payload].concat().into()
}

/// A whole frame of JSON.
///
/// # Errors
/// When it is too long.
pub(super) fn json(kind: Kind, value: &impl Serialize) -> io::Result<Bytes> {
    let payload = serde_json::to_vec(value)?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(invalid(format!("a frame would have {} bytes", payload.len())));
    }
    Ok(frame(kind, &payload))
}

/// The frames of a body.
pub(super) struct Frames {
    body: Option<BoxStream<'static, io::Result<Bytes>>>,
    read: BytesMut,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("read", &self.read.len()).finish_non_exhaustive()
    }
}

impl Frames {
    pub(super) fn new(body: BoxStream<'static, io::Result<Bytes>>) -> Self {
        Self { body: Some(body), read: BytesMut::new() }
    }

    /// The next frame. Can be dropped and asked for again.
    ///
    /// # Errors
    /// `UnexpectedEof` when the body ends, `InvalidData` for what no honest end sends.
    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.whole()? {
                return Ok(frame);
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads ahead, to notice when the other end goes away, and returns only then.
    pub(super) async fn broken(&mut self) -> io::Error {
        while self.read.len() < AHEAD_BYTES_MAX {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }

    fn whole(&mut self) -> io::Result<Option<Frame>> {
        let Some((head, rest)) = self.read.split_at_checked(HEAD_BYTES) else { return Ok(None) };
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]);
        let kind = kind.ok_or_else(|| invalid(format!("a frame is of the kind {}", head[0])))?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(invalid(format!("a frame has {length} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.read.advance(HEAD_BYTES);
        Ok(Some(Frame { kind, payload: self.read.split_to(length).freeze() }))
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let Some(body) = &mut self.body else { return Ok(false) };
        match body.next().await {
            Some(Ok(bytes)) => self.read.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(error),
            None => self.body = None,
        }
        Ok(self.body.is_some())
    }
}

pub(super) fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn frames(bytes: &[u8], step: usize) -> Frames {
        let pieces: Vec<_> =
            bytes.chunks(step.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Frames::new(futures::stream::iter(pieces).boxed())
    }

    fn read(mut frames: Frames) -> (Vec<Frame>, io::ErrorKind) {
        let mut all = Vec::new();
        loop {
            match frames.next().now_or_never().unwrap() {
                Ok(frame) => all.push(frame),
                Err(error) => return (all, error.kind()),
            }
        }
    }

    proptest! {
        #[test]
        fn frames_arrive_as_they_were_sent(
            sent in proptest::collection::vec((0..Kind::ALL.len(), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            step in 1_usize..64,
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|(kind, payload)| frame(Kind::ALL[*kind], payload)).collect();
            let (got, end) = read(frames(&bytes, step));
            prop_assert_eq!(end, io::ErrorKind::UnexpectedEof);
            let got: Vec<_> = got.into_iter().map(|frame| (frame.kind, frame.payload.to_vec())).collect();
            let sent: Vec<_> = sent.into_iter().map(|(kind, payload)| (Kind::ALL[kind], payload)).collect();
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64), step in 1_usize..64) {
            read(frames(&bytes, step));
        }
    }

    #[test]
    fn what_no_honest_end_sends_is_refused() {
        check(&[0, 0, 0, 0, 0], io::ErrorKind::InvalidData);
        check(&[99, 0, 0, 0, 0], io::ErrorKind::InvalidData);
        check(&[2, 255, 255, 255, 255], io::ErrorKind::InvalidData);
        check(&[2, 9, 0, 0, 0, 1], io::ErrorKind::UnexpectedEof);
        check(&[2, 0, 0], io::ErrorKind::UnexpectedEof);
        check(&[], io::ErrorKind::UnexpectedEof);

        #[track_caller]
        fn check(bytes: &[u8], expected: io::ErrorKind) {
            assert_eq!(read(frames(bytes, 3)), (Vec::new(), expected));
        }
    }

    #[test]
    fn a_broken_body_is_noticed_before_anybody_asks() {
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        let body = futures::stream::iter([Ok(Bytes::from_static(&[5, 0])), Err(broken)]);
        let mut frames = Frames::new(body.boxed());
        assert_eq!(frames.broken().now_or_never().unwrap().kind(), io::ErrorKind::ConnectionReset);
        // One that has merely ended says nothing, and what came is still there.
        let mut frames = self::frames(&frame(Kind::Beat, b""), 2);
        assert!(frames.broken().now_or_never().is_none());
        assert_eq!(frames.next().now_or_never().unwrap().unwrap().kind, Kind::Beat);
    }
}
