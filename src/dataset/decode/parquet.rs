//! Parquet files, as untrusted input.

use std::fs::File;

use arrow::{
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::{
    contract::Format,
    error::DecodeError,
    limits::DecodeLimits,
    source::{Progress, Source},
    typed,
};

/// Small, because a batch is in memory before its size is known.
const BATCH_ROWS: usize = 1024;

/// Reads one row group after the other.
pub(super) struct ParquetBatches {
    source: Source,
    limits: DecodeLimits,
    progress: Progress,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    next_group: usize,
    group: Option<ParquetRecordBatchReader>,
    ready: std::vec::IntoIter<RecordBatch>,
}

impl ParquetBatches {
    /// Reads the footer. The warnings tell which columns were renamed.
    pub(super) fn open(
        source: &Source,
        limits: &DecodeLimits,
        progress: &Progress,
    ) -> Result<(Self, Vec<String>), DecodeError> {
        let metadata = typed::guarded(source, Format::Parquet, "footer", || load(source))?;
        let (schema, warnings) = typed::plain_schema(metadata.schema(), limits)?;
        let batches = Self {
            source: source.clone(),
            limits: limits.clone(),
            progress: progress.clone(),
            metadata,
            schema,
            next_group: 0,
            group: None,
            ready: Vec::new().into_iter(),
        };
        Ok((batches, warnings))
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, DecodeError> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Ok(Some(batch));
            }
            let Some(group) = &mut self.group else {
                if self.next_group == self.metadata.metadata().num_row_groups() {
                    return Ok(None);
                }
                self.group = Some(self.open_group()?);
                continue;
            };
            let place = format!("row group {}", self.next_group);
            let batch = typed::guarded(&self.source, Format::Parquet, &place, || group.next().transpose())?;
            let Some(batch) = batch else {
                self.finish_group();
                continue;
            };
            let plain = || typed::plain_batches(&batch, &self.schema, &self.limits);
            self.ready =
                match typed::guarded(&self.source, Format::Parquet, &place, || Ok::<_, String>(plain()))? {
                    Ok(batches) => batches.into_iter(),
                    Err(error @ DecodeError::OverLimit { .. }) => return Err(error),
                    Err(error) => {
                        return Err(self.source.malformed(Format::Parquet, format!("{place}: {error}")));
                    }
                };
        }
    }

    fn open_group(&self) -> Result<ParquetRecordBatchReader, DecodeError> {
        let group = self.next_group;
        typed::guarded(&self.source, Format::Parquet, &format!("row group {group}"), || {
            let build = |builder: ParquetRecordBatchReaderBuilder<Input>| {
                builder.with_batch_size(BATCH_ROWS).with_row_groups(vec![group]).build()
            };
            build(ParquetRecordBatchReaderBuilder::new_with_metadata(
                Input::open(&self.source)?,
                self.metadata.clone(),
            ))
        })
    }

    fn finish_group(&mut self) {
        let size = self.metadata.metadata().row_group(self.next_group).compressed_size();
        self.progress.add(usize::try_from(size).unwrap_or(0));
        self.group = None;
        self.next_group += 1;
    }
}

/// The footer, with strings as views: a page of repeated strings then costs 16 bytes a row, whatever their length.
fn load(source: &Source) -> Result<ArrowReaderMetadata, ParquetError> {
    let input = Input::open(source)?;
    let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
    let size = input.len();
    for group in metadata.metadata().row_groups() {
        for column in group.columns() {
            let data = column.data_page_offset();
            let start = column
                .dictionary_page_offset()
                .filter(|first| *first > 0)
                .map_or(data, |first| first.min(data));
            let length = column.compressed_size();
            let end = start.checked_add(length).and_then(|end| u64::try_from(end).ok());
            if start < 0 || length < 0 || end.is_none_or(|end| end > size) {
                return Err(ParquetError::General(format!(
                    "column `{}` lies outside the file",
                    column.column_path()
                )));
            }
        }
    }
    let fields = metadata.schema().fields().iter().map(|field| {
        let viewed = as_views(field.data_type());
        Field::new(field.name(), viewed, field.is_nullable()).with_metadata(field.metadata().clone())
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(SchemaRef::new(schema));
    ArrowReaderMetadata::try_new(std::sync::Arc::clone(metadata.metadata()), options)
}

fn as_views(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => as_views(value),
        other => other.clone(),
    }
}

/// A file or bytes, as the reader wants them.
enum Input {
    File(File),
    Bytes(Bytes),
}

impl Input {
    fn open(source: &Source) -> Result<Self, ParquetError> {
        Ok(match source {
            Source::File { path, .. } => Self::File(File::open(path)?),
            Source::Bytes { bytes, .. } => Self::Bytes(bytes.clone()),
            // Whoever opens a source that is elsewhere puts such a file on the disk first.
            Source::Remote(_) | Source::Series { .. } => {
                return Err(ParquetError::General("it is read from a file on the disk only".to_owned()));
            }
        })
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Bytes(bytes) => Length::len(bytes),
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn std::io::Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Bytes(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF(format!(
                "expected {length} bytes at {start}, got the end of the file"
            )));
        }
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
        }
    }
}
