//! Row groups to column chunks, on threads of their own.

use std::future::Future;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
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
                for writer in leaves {
                    chunks.push(writer.close()?);
                }
            }
            Ok(chunks)
        };
        encode().map_err(Error::internal)
    }
}
