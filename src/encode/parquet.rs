//! Parquet, row group by row group. The footer comes last, so a file that was broken off cannot be read
//! as a whole one, and holds in its metadata whether a limit cut rows off.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::out::Out;
use super::pipe::Pipe;
use super::{Encoder, ROWS_KEY, TRUNCATED_KEY};
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
    rows: u64,
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
        Ok(Self { writer: Some(writer), pipe, rows: 0 })
    }
}

fn internal(error: ParquetError) -> Error {
    Error::internal(error)
}

impl Encoder for Parquet {
    fn begin(&mut self, _: &mut Out) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            self.rows += batch.num_rows() as u64;
            writer.write(batch).map_err(internal)?;
            if writer.in_progress_size() > GROUP_BYTES {
                writer.flush().map_err(internal)?;
            }
        }
        self.pipe.drain(&mut out.text);
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Out) -> Result<()> {
        if let Some(mut writer) = self.writer.take() {
            for (key, value) in [(ROWS_KEY, self.rows.to_string()), (TRUNCATED_KEY, truncated.to_string())] {
                writer.append_key_value_metadata(KeyValue { key: key.to_owned(), value: Some(value) });
            }
            writer.close().map_err(internal)?;
        }
        self.pipe.drain(&mut out.text);
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Out) -> Result<()> {
        self.writer = None;
        Err(error)
    }
}
