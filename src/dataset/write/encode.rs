//! Row groups to column chunks, on threads of their own.

use std::future::Future;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;

use super::days::Run;
use crate::error::Error;
use crate::tasks;

/// What every file of one version has in common.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) schema: SchemaRef,
    parquet_schema: parquet::schema::types::TypePtr,
    properties: WriterPropertiesPtr,
}

/// Parquet leaves NaN out of its bounds, SQL puts it above all numbers: with bounds, `x > 2` would skip
/// rows that it should find.
fn holds_nan(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Float32 => column.as_primitive::<Float32Type>().values().iter().any(|value| value.is_nan()),
        DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().any(|value| value.is_nan()),
        _ => false,
    }
}

/// The chunk without minimum and maximum, of itself and of its pages.
fn without_bounds(chunk: &mut ArrowColumnChunk) -> Result<(), ParquetError> {
    let close = chunk.close_mut();
    close.metadata = close.metadata.clone().into_builder().clear_statistics().build()?;
    close.column_index = None;
    Ok(())
}

impl Encoder {
    pub(super) fn new(schema: &SchemaRef, properties: WriterPropertiesPtr) -> Result<Self, Error> {
        let converted = ArrowSchemaConverter::new().convert(schema).map_err(Error::internal)?;
        Ok(Self { schema: Arc::clone(schema), parquet_schema: converted.root_schema_ptr(), properties })
    }

    /// An empty file that writes to `sink`.
    pub(super) fn file<W: std::io::Write + Send>(&self, sink: W) -> Result<SerializedFileWriter<W>, Error> {
        let (schema, properties) = (Arc::clone(&self.parquet_schema), Arc::clone(&self.properties));
        SerializedFileWriter::new(sink, schema, properties).map_err(Error::internal)
    }

    /// Encodes one row group; the work runs on a thread of its own from the first poll on.
    pub(super) fn start(
        self: &Arc<Self>,
        batches: Vec<RecordBatch>,
        run: Run,
    ) -> impl Future<Output = Result<(Vec<ArrowColumnChunk>, Run), Error>> + use<> {
        let encoder = Arc::clone(self);
        tasks::blocking(move || Ok((encoder.encode(&batches)?, run)))
    }

    fn encode(&self, batches: &[RecordBatch]) -> Result<Vec<ArrowColumnChunk>, Error> {
        let file = self.file(Vec::new())?;
        let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&self.schema));
        let encode = || -> Result<Vec<ArrowColumnChunk>, ParquetError> {
            let mut chunks = Vec::with_capacity(self.schema.fields().len());
            let mut writers = factory.create_column_writers(0)?.into_iter();
            // Column by column: the dictionary and the pages of one column stay in the cache.
            for (index, field) in self.schema.fields().iter().enumerate() {
                let mut leaves = Vec::new();
                for batch in batches {
                    for (leaf, levels) in compute_leaves(field, batch.column(index))?.iter().enumerate() {
                        if leaf == leaves.len() {
                            leaves.extend(writers.next());
                        }
                        leaves[leaf].write(levels)?;
                    }
                }
                let misleading = batches.iter().any(|batch| holds_nan(batch.column(index)));
                for writer in leaves {
                    let mut chunk = writer.close()?;
                    if misleading {
                        without_bounds(&mut chunk)?;
                    }
                    chunks.push(chunk);
                }
            }
            Ok(chunks)
        };
        encode().map_err(Error::internal)
    }
}
