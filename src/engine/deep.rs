//! A stack for work that recurses as deep as a statement is nested.
//!
//! Why: parsing, walking, planning and dropping a statement recurse, a worker thread's stack has 2 MiB, and a
//! stack that overflows ends the process with everybody's queries in it.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::limits;

/// Enough for the deepest tree that the longest text makes. Only what is touched is ever backed by memory.
const NEEDED_BYTES: usize = 256 << 20;
/// The stack of a thread on which a statement is planned: deep from its start, so that no other is made.
pub(super) const THREAD_BYTES: usize = NEEDED_BYTES + 2 * SPARE_BYTES;
/// What may be in use before `work` is called again from within itself.
const SPARE_BYTES: usize = 4 << 20;

/// What the parser needs for as deep as it goes by itself, whatever the length of the text.
const LEAST_BYTES: usize = 4 << 20;
/// A level of a tree takes at least a byte of text.
const BYTES_PER_BYTE: usize = NEEDED_BYTES / limits::STATEMENT_BYTES_MAX;

/// Runs `work` with a deep stack: on one of its own, unless this one is.
pub(super) fn on_deep_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(NEEDED_BYTES, NEEDED_BYTES + SPARE_BYTES, work)
}

/// Runs `work`, which walks a tree that was read from `text`, with a stack that is deep enough for it. Most texts are
/// short, and their trees are walked on the thread's own stack: to make one and take it down again, several times a
/// request, was a fifth of the time of a cached answer.
pub(super) fn on_stack_for<T>(text: &str, work: impl FnOnce() -> T) -> T {
    let needed = text.len().saturating_mul(BYTES_PER_BYTE).saturating_add(LEAST_BYTES).min(NEEDED_BYTES);
    stacker::maybe_grow(needed, needed + SPARE_BYTES, work)
}

/// A future whose every step runs on a deep stack.
pub(super) struct Deep<'a, T>(Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<'a, T> Deep<'a, T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Box::pin(work))
    }
}

impl<T> Future for Deep<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        on_deep_stack(|| self.0.as_mut().poll(cx))
    }
}
