//! Parquet, row group by row group. The footer comes last, so a file that was broken off cannot be read
//! as a whole one.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::Encoder;
use crate::error::{Error, Result};

/// Rows of a row group.
const GROUP_ROWS: usize = 128 << 10;

/// A row group is closed early at this size, so that wide rows do not pile up in memory.
const GROUP_BYTES: usize = 32 << 20;

/// Writes one Parquet file.
pub(super) struct Parquet {
    /// None once it is closed.
    writer: Option<ArrowWriter<Pipe>>,
    pipe: Pipe,
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let pipe = Pipe::default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer =
            ArrowWriter::try_new(pipe.clone(), Arc::clone(schema), Some(properties)).map_err(|cause| {
                Error::NotSupported(format!("the result cannot be written as Parquet: {cause}"))
            })?;
        Ok(Self { writer: Some(writer), pipe })
    }
}

/// What the writer has written, where it can be taken out while it goes on.
#[derive(Debug, Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn drain(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn internal(error: ParquetError) -> Error {
    Error::internal(error)
}

impl Encoder for Parquet {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch).map_err(internal)?;
            if writer.in_progress_size() > GROUP_BYTES {
                writer.flush().map_err(internal)?;
            }
        }
        self.pipe.drain(out);
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(internal)?;
        }
        self.pipe.drain(out);
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Vec<u8>) -> Result<()> {
        self.writer = None;
        Err(error)
    }
}
