//! Where encoders write.

use std::collections::VecDeque;

use bytes::Bytes;

/// Shared pieces of less than this are copied to their neighbours: a piece has a price of its own on its way out.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// Bytes in the order in which they go out: text that was written, and buffers that are passed on without a copy.
#[derive(Debug, Default)]
pub(super) struct Out {
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    /// What is written now, after all that is ready.
    pub(super) text: Vec<u8>,
}

impl Out {
    pub(super) fn len(&self) -> usize {
        self.ready_bytes + self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes `bytes` on as they are.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.text.extend_from_slice(&bytes);
            return;
        }
        self.finish_text(0);
        self.ready_bytes += bytes.len();
        self.ready.push_back(bytes);
    }

    /// The next piece, of any size, and room for `capacity` bytes after it.
    pub(super) fn take(&mut self, capacity: usize) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.finish_text(capacity);
        }
        let piece = self.ready.pop_front()?;
        self.ready_bytes -= piece.len();
        Some(piece)
    }

    fn finish_text(&mut self, capacity: usize) {
        if self.text.is_empty() {
            return;
        }
        let room = if capacity == 0 { 0 } else { capacity.max(self.text.len()) };
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(room));
        self.ready_bytes += text.len();
        self.ready.push_back(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_the_order_they_went_in() {
        let large = Bytes::from(vec![b'L'; SHARED_BYTES_MIN]);
        let mut out = Out::default();
        out.text.extend_from_slice(b"a");
        out.share(Bytes::from_static(b"b"));
        out.share(large.clone());
        out.text.extend_from_slice(b"c");
        assert_eq!(out.len(), 3 + SHARED_BYTES_MIN);
        let pieces: Vec<Bytes> = std::iter::from_fn(|| out.take(8)).collect();
        assert_eq!(pieces, [Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c")]);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr(), "a large piece is not copied");
        assert!(out.is_empty());
    }
}
