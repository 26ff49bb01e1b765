//! Decodes columns that were asked for again.

use std::sync::{Arc, Weak};

use datafusion::datasource::physical_plan::ParquetFileReaderFactory as _;
use datafusion::datasource::physical_plan::parquet::transform_schema_to_view;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::StreamExt as _;

use super::column::{Builder, CHUNK_ROWS, estimate};
use super::{HotColumns, Waiting, Wanted};
use crate::engine::classify::classify;
use crate::engine::reader::CheckedReaders;
use crate::error::Result;

/// Decodes what comes, one file at a time, until nobody asks any more.
pub(in crate::engine) async fn load(hot: Weak<HotColumns>, readers: CheckedReaders, mut waiting: Waiting) {
    while let Some(wanted) = waiting.recv().await {
        let Some(hot) = hot.upgrade() else { return };
        let path = wanted.file.path().clone();
        // Whatever is wrong with the file, the next query that reads it says so to somebody who can act on it.
        if let Err(error) = load_file(&hot, &readers, wanted).await {
            tracing::debug!(file = %path, %error, "columns could not be decoded ahead");
        }
    }
}

async fn load_file(hot: &HotColumns, readers: &CheckedReaders, wanted: Wanted) -> Result<()> {
    let Wanted { file, schema, mut columns } = wanted;
    let key = file.path().to_string();
    let metrics = ExecutionPlanMetricsSet::new();
    let open = || -> Result<Box<dyn AsyncFileReader>> {
        Ok(readers.create_reader(0, file.clone(), None, &metrics).map_err(classify)?)
    };
    let failed = |error: ParquetError| classify(error.into());
    let metadata = open()?.get_metadata(None).await.map_err(failed)?;

    columns.retain(|(column, _)| !hot.is_here(&key, *column));
    let mut bytes = 0_usize;
    columns.retain(|(column, asked_at)| {
        let wants = schema.fields().get(*column).map_or(usize::MAX, |field| {
            estimate(field.data_type(), rows(&metadata), stored(&metadata, field.name()))
        });
        bytes = bytes.saturating_add(wants);
        hot.has_room(bytes, *asked_at)
    });
    if columns.is_empty() {
        return Ok(());
    }
    columns.sort_unstable();

    // What the file says of its columns, but text as views, as scans read it.
    let as_written = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new());
    let viewed = Arc::new(transform_schema_to_view(as_written.map_err(failed)?.schema()));
    let options = ArrowReaderOptions::new().with_schema(viewed);
    let arrow = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options).map_err(failed)?;
    let indices: Vec<_> = columns.iter().map(|(column, _)| *column).collect();
    let mut builders: Vec<_> = indices.iter().map(|_| Builder::default()).collect();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        builders.iter_mut().for_each(|builder| builder.begin_group(offset(group)));
        let mask = ProjectionMask::roots(metadata.file_metadata().schema_descr(), indices.iter().copied());
        let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(open()?, arrow.clone())
            .with_projection(mask)
            .with_row_groups(vec![index])
            .with_batch_size(CHUNK_ROWS)
            .build()
            .map_err(failed)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(failed)?;
            let mut fields = indices.iter().filter_map(|index| schema.fields().get(*index));
            if !batch
                .columns()
                .iter()
                .all(|chunk| fields.next().is_some_and(|field| field.data_type() == chunk.data_type()))
            {
                // A file of another hand, whose types are made to fit while it is scanned.
                return Ok(());
            }
            for (builder, chunk) in builders.iter_mut().zip(batch.columns()) {
                builder.push(Arc::clone(chunk)).map_err(classify)?;
            }
            // Queries come first: each chunk is a chance for them to have the thread.
            tokio::task::yield_now().await;
        }
    }
    for ((index, asked_at), builder) in columns.into_iter().zip(builders) {
        hot.keep(&key, index, builder.finish().map_err(classify)?, asked_at);
    }
    Ok(())
}

fn rows(metadata: &ParquetMetaData) -> usize {
    usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(usize::MAX)
}

/// Bytes of a column in the file, before they were compressed.
fn stored(metadata: &ParquetMetaData, name: &str) -> usize {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let named =
        columns.filter(|column| column.column_path().parts().first().is_some_and(|part| part == name));
    named.map(|column| usize::try_from(column.uncompressed_size()).unwrap_or(0)).sum()
}

/// By which a scan of a part of a file tells whether a row group is in it.
fn offset(group: &RowGroupMetaData) -> i64 {
    let first = group.column(0);
    first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset())
}
