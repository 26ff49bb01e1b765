//! Arrow IPC, as a stream. A failure breaks the body off: readers accept a stream that merely ends, so
//! leaving the end mark out would not be enough.
//!
//! Whether a limit cut rows off stands in the metadata of a last batch without rows, which readers that do not
//! ask for it take for nothing. Buffers go out as they are, without being copied.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamEncoder};
use bytes::Bytes;

use super::out::Out;
use super::{Compression, Encoder, compact, internal, last_batch};
use crate::error::{Error, Result};

/// Writes an Arrow IPC stream.
pub(super) struct ArrowIpc {
    schema: SchemaRef,
    /// None once it has ended.
    encoder: Option<StreamEncoder>,
    rows: u64,
}

impl ArrowIpc {
    pub(super) fn new(schema: &SchemaRef, compression: Compression) -> Result<Self> {
        let codec = match compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            Compression::Zstd => Some(CompressionType::ZSTD),
        };
        let options = IpcWriteOptions::default().try_with_compression(codec).map_err(internal)?;
        let encoder = StreamEncoder::try_new_with_options(schema, options).map_err(|cause| {
            Error::NotSupported(format!("the result cannot be written as Arrow IPC: {cause}"))
        })?;
        Ok(Self { schema: SchemaRef::clone(schema), encoder: Some(encoder), rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        if let Some(encoder) = &mut self.encoder {
            share(encoder.encode(batch).map_err(internal)?, out);
        }
        Ok(())
    }
}

fn share(buffers: Vec<Buffer>, out: &mut Out) {
    for buffer in buffers {
        out.share(Bytes::from_owner(Shared(buffer)));
    }
}

/// A buffer that a frame keeps alive.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl Encoder for ArrowIpc {
    fn begin(&mut self, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.write(&compact::batch(batch)?, out)
    }

    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()> {
        // It begins with the schema when there were no rows.
        if self.rows == 0 {
            self.write(&RecordBatch::new_empty(SchemaRef::clone(&self.schema)), out)?;
        }
        let last = last_batch::message(Schema::clone(&self.schema), self.rows, truncated)?;
        out.text.extend_from_slice(&last);
        if let Some(encoder) = self.encoder.take() {
            share(encoder.finish().map_err(internal)?, out);
        }
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Out) -> Result<()> {
        Err(error)
    }
}
