//! Reads data files for scans. Each block of a file is checked against its sum in the manifest before
//! anything looks at it, so that a byte that rotted, a cut file or the wrong file is an error that names
//! the file, and never a wrong number.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetMetaData;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::parquet::DecodeResult;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::classify::classify;
use super::runtime;
use crate::catalog::manifest::{DataFile, Manifest};
use crate::error::{Error, Result};
use crate::storage;
use crate::telemetry::FOOTER_CACHE;

/// Bytes that are read for the footer at first when no setting says how many.
const END_BYTES: u64 = 64 << 10;

/// What the manifest says of a file that is to be read.
#[derive(Debug, Clone)]
pub(super) struct Written {
    manifest: Arc<Manifest>,
    index: usize,
}

impl Written {
    /// The file at `index` of `manifest`.
    pub(super) fn new(manifest: &Arc<Manifest>, index: usize) -> Self {
        Self { manifest: Arc::clone(manifest), index }
    }

    /// Which of the version's files it is.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn file(&self) -> &DataFile {
        &self.manifest.files[self.index]
    }

    /// Whether the file is one of this version.
    pub(super) fn is_of(&self, manifest: &Manifest) -> bool {
        (&self.manifest.dataset_id, self.manifest.number) == (&manifest.dataset_id, manifest.number)
    }
}

/// Makes readers that check what they read.
#[derive(Debug)]
pub(super) struct CheckedReaders {
    objects: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
}

impl CheckedReaders {
    /// Readers of `objects` that keep what they learn from the ends of files in `footers`.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, footers: Arc<FileMetadataCache>) -> Self {
        Self { objects, footers }
    }

    /// Readers of all that `runtime` may read.
    pub(super) fn of(runtime: &RuntimeEnv) -> Result<Self> {
        let objects = runtime.object_store(runtime::objects_url()?).map_err(classify)?;
        Ok(Self::new(objects, runtime.cache_manager.get_file_metadata_cache()))
    }
}

impl ParquetFileReaderFactory for CheckedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        end_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> PlanResult<Box<dyn AsyncFileReader + Send>> {
        let Some(written) = file.extension::<Written>().cloned() else {
            return Err(DataFusionError::Internal(format!("no manifest for `{}`", file.path())));
        };
        Ok(Box::new(CheckedReader {
            metrics: ParquetFileMetrics::new(partition, file.path().as_ref(), metrics),
            objects: Arc::clone(&self.objects),
            footers: Arc::clone(&self.footers),
            end_bytes: end_bytes.map_or(END_BYTES, |bytes| bytes as u64),
            file,
            written,
        }))
    }
}

/// One file, as one scan reads it.
struct CheckedReader {
    objects: Arc<dyn ObjectStore>,
    footers: Arc<FileMetadataCache>,
    /// Bytes at the end of a file that are read first, in the hope that the footer is in them.
    end_bytes: u64,
    file: PartitionedFile,
    written: Written,
    metrics: ParquetFileMetrics,
}

impl CheckedReader {
    /// The bytes of `ranges`, each as it was written.
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let written = self.written.file();
        if let Some(beyond) = ranges.iter().find(|range| range.end > written.byte_count) {
            return Err(self.damaged(format!("it names a place beyond its end: byte {}", beyond.end)));
        }
        let spans = spans(ranges, |range| written.sums.around(range, written.byte_count));
        let key = self.file.path();
        let read = match self.objects.get_ranges(key, &spans).await {
            Ok(read) => read,
            Err(cause) => return Err(self.unreadable(cause).await),
        };
        for (span, bytes) in spans.iter().zip(&read) {
            self.metrics.bytes_scanned.add(bytes.len());
            if bytes.len() as u64 != span.end - span.start {
                let wrong_size = self.wrong_size().await;
                return Err(wrong_size.unwrap_or_else(|| self.damaged("it ends too early".to_owned())));
            }
            if let Err(block) = written.sums.check(span.start, bytes) {
                let reason =
                    format!("the checksum of its bytes {} to {} is wrong", block.start, block.end - 1);
                return Err(self.damaged(reason));
            }
        }
        Ok(ranges.iter().map(|range| cut(range, &spans, &read)).collect())
    }

    /// The end of the file: schema, row groups and page indexes, from the cache or from the file.
    async fn metadata(&self) -> Result<Arc<ParquetMetaData>> {
        let object = &self.file.object_meta;
        // Keys are written once, so what is kept for one cannot be stale.
        let kept = self.footers.get(&object.location).filter(|kept| kept.is_valid_for(object));
        if let Some(kept) = kept.and_then(|kept| {
            let kept = kept.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
            Some(Arc::clone(kept.parquet_metadata()))
        }) {
            metrics::counter!(FOOTER_CACHE, "use" => "hit").increment(1);
            return Ok(kept);
        }
        metrics::counter!(FOOTER_CACHE, "use" => "miss").increment(1);
        let read = Arc::new(self.read_metadata().await?);
        let entry = CachedParquetMetaData::new(Arc::clone(&read));
        self.footers.put(&object.location, CachedFileMetadataEntry::new(object.clone(), Arc::new(entry)));
        Ok(read)
    }

    async fn read_metadata(&self) -> Result<ParquetMetaData> {
        // Bytes are checked by now: what the decoder finds wrong, it would have found when they were written.
        let undecodable = |cause: ParquetError| self.damaged(cause.to_string());
        let size = self.written.file().byte_count;
        let decoder = ParquetMetaDataPushDecoder::try_new(size).map_err(undecodable)?;
        let mut decoder = decoder.with_page_index_policy(PageIndexPolicy::Optional);
        let end = size.saturating_sub(self.end_bytes)..size;
        let mut wanted = Vec::from([end]);
        loop {
            let bytes = self.read(&wanted).await?;
            decoder.push_ranges(wanted, bytes).map_err(undecodable)?;
            match decoder.try_decode().map_err(undecodable)? {
                DecodeResult::Data(metadata) => return Ok(metadata),
                DecodeResult::NeedsData(ranges) => wanted = ranges,
                DecodeResult::Finished => return Err(self.damaged("it has no footer".to_owned())),
            }
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged { object: self.written.file().key.clone(), reason }
    }

    /// Why the store did not give bytes that the manifest says are there. Stores have many words for a
    /// range beyond the end, so the size is asked for.
    async fn unreadable(&self, cause: object_store::Error) -> Error {
        let wrong_size = match storage::may_be_about_size(&cause) {
            true => self.wrong_size().await,
            false => None,
        };
        wrong_size.unwrap_or_else(|| storage::classify(cause, self.file.path().as_ref()))
    }

    /// The damage, if the file has another size than the manifest says.
    async fn wrong_size(&self) -> Option<Error> {
        let expected = self.written.file().byte_count;
        let found = self.objects.head(self.file.path()).await.ok()?.size;
        (found != expected).then(|| self.damaged(format!("it has {found} bytes, expected {expected}")))
    }
}

/// The blocks around `ranges`, those that touch joined, in order.
fn spans(ranges: &[Range<u64>], around: impl Fn(&Range<u64>) -> Range<u64>) -> Vec<Range<u64>> {
    let mut blocks: Vec<_> = ranges.iter().map(around).collect();
    blocks.sort_unstable_by_key(|span| span.start);
    let mut spans: Vec<Range<u64>> = Vec::with_capacity(blocks.len());
    for span in blocks {
        match spans.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => spans.push(span),
        }
    }
    spans
}

/// The bytes of `range`, without copying, out of the span that holds it.
fn cut(range: &Range<u64>, spans: &[Range<u64>], read: &[Bytes]) -> Bytes {
    let index = spans.partition_point(|span| span.start <= range.start).saturating_sub(1);
    let place = |at: u64| usize::try_from(at - spans[index].start).unwrap_or(usize::MAX);
    read[index].slice(place(range.start)..place(range.end))
}

fn outside(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for CheckedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let mut read = self.read(std::slice::from_ref(&range)).await.map_err(outside)?;
            Ok(read.remove(0))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.read(&ranges).await.map_err(outside) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { self.metadata().await.map_err(outside) }.boxed()
    }
}

impl Drop for CheckedReader {
    fn drop(&mut self) {
        let size = usize::try_from(self.written.file().byte_count).unwrap_or(usize::MAX);
        self.metrics.scan_efficiency_ratio.add_part(self.metrics.bytes_scanned.value());
        // Several readers read parts of one file.
        self.metrics.scan_efficiency_ratio.set_total(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_out_of_joined_spans() {
        let whole: Vec<u8> = (0..100).collect();
        let around = |range: &Range<u64>| range.start / 10 * 10..(range.end.div_ceil(10) * 10).min(95);
        // Out of order, overlapping, touching, far away, empty, at the end.
        let ranges = [42..44, 3..17, 12..21, 50..50, 93..95, 43..44];
        let spans = spans(&ranges, around);
        assert_eq!(spans, [0..30, 40..50, 90..95]);
        let read: Vec<Bytes> =
            spans.iter().map(|s| Bytes::copy_from_slice(&whole[s.start as usize..s.end as usize])).collect();
        for range in &ranges {
            let expected = &whole[range.start as usize..range.end as usize];
            assert_eq!(cut(range, &spans, &read), expected, "{range:?}");
        }
    }
}
