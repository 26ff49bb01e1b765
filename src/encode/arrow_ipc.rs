//! Arrow IPC, as a stream. A failure breaks the body off: readers accept a stream that merely ends, so
//! leaving the end mark out would not be enough.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::writer::StreamWriter;

use super::{Encoder, internal};
use crate::error::{Error, Result};

/// Writes an Arrow IPC stream.
pub(super) struct ArrowIpc {
    writer: StreamWriter<Vec<u8>>,
}

impl ArrowIpc {
    pub(super) fn new(schema: &Schema) -> Result<Self> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema).map_err(internal)? })
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(self.writer.get_mut());
    }
}

/// A view array points into buffers that it may share with thousands of rows that are not sent, and IPC
/// writes them whole. Queries hand out none; other sources may.
fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let is_view = |column: &ArrayRef| matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView);
    if !batch.columns().iter().any(is_view) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(internal)
}

impl Encoder for ArrowIpc {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.drain(out);
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.writer.write(&compact(batch)?).map_err(internal)?;
        self.drain(out);
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<()> {
        self.writer.finish().map_err(internal)?;
        self.drain(out);
        Ok(())
    }

    fn fail(&mut self, error: Error, _: &mut Vec<u8>) -> Result<()> {
        Err(error)
    }
}
