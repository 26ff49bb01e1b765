//! Batches gathered into row groups.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt as _};

use super::days::{Run, Runs};
use crate::error::Error;

/// The rows of one row group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) run: Run,
    pub(super) batches: Vec<RecordBatch>,
}

/// A stream of row groups: each of one run, closed when it has enough rows or enough bytes.
pub(super) struct Groups {
    input: Runs,
    rows_max: usize,
    bytes_max: usize,
    open: Option<Group>,
    rows: usize,
    bytes: usize,
    ended: bool,
}

impl Groups {
    pub(super) fn new(input: Runs, rows_max: usize, bytes_max: usize) -> Self {
        Self { input, rows_max, bytes_max, open: None, rows: 0, bytes: 0, ended: false }
    }

    /// Adds a batch, and returns the group that it completed or put an end to.
    fn add(&mut self, run: Run, batch: RecordBatch) -> Option<Group> {
        let (rows, bytes) = (batch.num_rows(), bytes_of(&batch));
        let finished = match &mut self.open {
            Some(group) if group.run == run => {
                group.batches.push(batch);
                None
            }
            open => {
                (self.rows, self.bytes) = (0, 0);
                open.replace(Group { run, batches: vec![batch] })
            }
        };
        self.rows += rows;
        self.bytes += bytes;
        let full = self.rows >= self.rows_max || self.bytes >= self.bytes_max;
        // At most one of the two happens: a group that has just begun is full only when it is the
        // single batch of its run, and then the finished one goes first and this one with the next call.
        finished.or_else(|| if full { self.open.take() } else { None })
    }
}

/// Bytes of the values a batch shows, not of the buffers it shares.
fn bytes_of(batch: &RecordBatch) -> usize {
    let sizes = batch.columns().iter().map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    sizes.sum()
}

impl Stream for Groups {
    type Item = Result<Group, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok((_, batch))) if batch.num_rows() == 0 => {}
                Some(Ok((run, batch))) => {
                    if let Some(group) = self.add(run, batch) {
                        return Poll::Ready(Some(Ok(group)));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.open = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(self.open.take().map(Ok))
    }
}
