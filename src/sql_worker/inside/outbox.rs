//! Rows on their way out: Arrow IPC in areas that the service has given, of which each is used again once the
//! service has copied what was in it. A worker that has filled all of them waits.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamEncoder;
use tokio::sync::{Mutex, mpsc};

use super::super::area;
use super::super::message::{Frame, FromWorker};
use super::link::Link;
use crate::error::{Error, Result};
use crate::sql_worker::FRAME_BYTES_MAX;

/// Areas, and which of them are free.
#[derive(Debug)]
pub(super) struct Outbox {
    link: Arc<Link>,
    areas: Vec<OwnedFd>,
    taken: mpsc::UnboundedSender<usize>,
    free: Mutex<mpsc::UnboundedReceiver<usize>>,
}

impl Outbox {
    pub(super) fn new(link: Arc<Link>, areas: Vec<OwnedFd>) -> Self {
        let (taken, free) = mpsc::unbounded_channel();
        Self { link, areas, taken, free: Mutex::new(free) }
    }

    /// Makes all areas free, between two queries: of one that was ended, the service may not have copied all rows.
    pub(super) async fn reset(&self) {
        let mut free = self.free.lock().await;
        while free.try_recv().is_ok() {}
        (0..self.areas.len()).for_each(|area| self.taken(area));
    }

    /// The service has copied what was in `area`.
    pub(super) fn taken(&self, area: usize) {
        // The receiver is held here.
        let _ = self.taken.send(area);
    }

    /// Begins a result with these columns.
    ///
    /// # Errors
    /// `Internal` when they cannot be written.
    pub(super) async fn begin(&self, schema: SchemaRef) -> Result<Rows<'_>> {
        let encoder = StreamEncoder::try_new(&schema).map_err(Error::internal)?;
        let mut rows = Rows { outbox: self, encoder };
        let frame = rows.write(&RecordBatch::new_empty(schema)).await?;
        self.link.send(&FromWorker::Columns(frame)).await?;
        Ok(rows)
    }
}

/// The rows of one result.
pub(super) struct Rows<'a> {
    outbox: &'a Outbox,
    encoder: StreamEncoder,
}

impl Rows<'_> {
    /// Hands rows over, when there is an area for them.
    ///
    /// # Errors
    /// `OverLimit` when they are more bytes than a batch may have.
    pub(super) async fn send(&mut self, batch: &RecordBatch) -> Result<()> {
        let frame = self.write(batch).await?;
        self.outbox.link.send(&FromWorker::Rows(frame)).await
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<Frame> {
        // Buffers of the batch as they are, not copied.
        let buffers = self.encoder.encode(batch).map_err(Error::internal)?;
        let parts: Vec<&[u8]> = buffers.iter().map(|buffer| buffer.as_slice()).collect();
        let byte_count = parts.iter().map(|part| part.len() as u64).sum();
        if byte_count > FRAME_BYTES_MAX {
            return Err(Error::OverLimit(format!(
                "a batch of the result has {byte_count} bytes, and may have {FRAME_BYTES_MAX}"
            )));
        }
        let area = self.outbox.free.lock().await.recv().await;
        let area = area.ok_or_else(|| Error::internal("there is no area for rows"))?;
        area::write_all(&self.outbox.areas[area], &parts).map_err(Error::internal)?;
        Ok(Frame { area, byte_count })
    }
}
