//! A bucket as the store of our objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, coalesce_ranges,
};

use super::chunks::{CHUNK_BYTES, Chunks};
use super::parts::PartedUpload;

/// A part's bytes, where memory is measured.
const CHUNK_LENGTH: usize = CHUNK_BYTES as usize;
/// Bytes of one request for parts.
const RUN_BYTES_MAX: u64 = 16 * CHUNK_BYTES;
/// Requests of one reader at the same time.
const RUNS_AT_A_TIME: usize = 8;

/// A bucket of immutable objects.
#[derive(Debug)]
pub struct Bucket {
    inner: Arc<dyn ObjectStore>,
    chunks: Option<Chunks>,
}

impl Bucket {
    /// Over a bucket as `object_store` has it, or whatever stands for one.
    #[must_use]
    pub fn over(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, chunks: None }
    }

    /// The same, with at most `bytes_max` bytes of what was read kept in `folder`, which is there and empty.
    #[must_use]
    pub fn kept_in(self, folder: PathBuf, bytes_max: u64) -> Self {
        Self { chunks: Some(Chunks::new(folder, bytes_max)), ..self }
    }

    /// Ranges out of whole parts, of which those that are not kept are fetched, in as few requests as they have gaps.
    async fn get_by_chunks(&self, chunks: &Chunks, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let numbers: BTreeSet<u64> =
            ranges.iter().filter(|range| !range.is_empty()).flat_map(numbers).collect();
        let mut parts = BTreeMap::new();
        for number in &numbers {
            if let Some(bytes) = chunks.get(from, *number).await {
                parts.insert(*number, bytes);
            }
        }
        let missing: Vec<Range<u64>> = numbers
            .iter()
            .filter(|number| !parts.contains_key(number))
            .map(|number| number * CHUNK_BYTES..(number + 1) * CHUNK_BYTES)
            .collect();
        // Parts that touch become one request; the last one of an object ends where it ends.
        let runs = joined(missing);
        let fetched = futures::stream::iter(runs).map(|run| async move {
            let bytes = self.inner.get_range(from, run.clone()).await?;
            Ok::<_, Error>((run.start / CHUNK_BYTES, bytes))
        });
        let mut fetched = fetched.buffer_unordered(RUNS_AT_A_TIME).boxed();
        while let Some((first, bytes)) = fetched.try_next().await? {
            for (number, start) in (first..).zip((0..bytes.len()).step_by(CHUNK_LENGTH)) {
                let part = bytes.slice(start..(start + CHUNK_LENGTH).min(bytes.len()));
                chunks.keep(from, number, part.clone());
                parts.insert(number, part);
            }
        }
        ranges.iter().map(|range| cut(range, &parts)).collect()
    }
}

/// The parts that a range lies in.
fn numbers(range: &Range<u64>) -> Range<u64> {
    range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES)
}

/// Ranges in order, those that touch as one, but none that would be too long to wait for.
fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(run) if run.end == range.start && range.end - run.start <= RUN_BYTES_MAX => {
                run.end = range.end;
            }
            _ => runs.push(range),
        }
    }
    runs
}

/// A range out of its parts, without copying when it lies in one.
fn cut(range: &Range<u64>, parts: &BTreeMap<u64, Bytes>) -> Result<Bytes> {
    let ended = || Error::Generic { store: "bucket", source: "the object ends too early".into() };
    let mut pieces = Vec::new();
    for number in numbers(range).filter(|_| !range.is_empty()) {
        let part = parts.get(&number).ok_or_else(ended)?;
        let place = |at: u64| usize::try_from(at.saturating_sub(number * CHUNK_BYTES)).unwrap_or(usize::MAX);
        let (start, end) = (place(range.start), place(range.end).min(CHUNK_LENGTH));
        if end > part.len() {
            return Err(ended());
        }
        pieces.push(part.slice(start..end));
    }
    Ok(match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(PartedUpload::new(Arc::clone(&self.inner), to.clone(), options)))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, options).await
    }

    /// Ranges that are near each other in one request: what lies between costs less than another answer.
    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(chunks) = &self.chunks {
            return self.get_by_chunks(chunks, from, ranges).await;
        }
        let fetch = |range| self.inner.get_range(from, range);
        coalesce_ranges(ranges, fetch, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// Bytes of which no two parts are alike.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8 ^ (at / CHUNK_LENGTH) as u8).collect()
    }

    #[tokio::test]
    async fn ranges_are_the_same_with_and_without_parts_that_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (object, whole) = (Path::from("datasets/x"), bytes(5 * CHUNK_LENGTH / 2));
        inner.put(&object, whole.clone().into()).await.unwrap();
        let plain = Bucket::over(Arc::clone(&inner));
        let keeping = Bucket::over(inner).kept_in(folder.path().to_owned(), 10 << 20);
        let size = whole.len() as u64;
        let ranges = [
            size - 100..size,
            0..10,
            CHUNK_BYTES - 5..CHUNK_BYTES + 5,
            10..10,
            CHUNK_BYTES..2 * CHUNK_BYTES,
            5..size,
        ];
        let expected = plain.get_ranges(&object, &ranges).await.unwrap();
        // The second time, some or all of it is kept.
        for _ in 0..2 {
            assert_eq!(keeping.get_ranges(&object, &ranges).await.unwrap(), expected);
        }
        for (range, bytes) in ranges.iter().zip(&expected) {
            assert_eq!(bytes.as_ref(), &whole[range.start as usize..range.end as usize], "{range:?}");
        }
        let past = size - 5..size + 5;
        let beyond = keeping.get_ranges(&object, std::slice::from_ref(&past)).await.unwrap_err();
        assert!(beyond.to_string().contains("ends too early"), "{beyond}");
    }

    #[test]
    fn parts_that_touch_are_one_request() {
        let part = |number: u64| number * CHUNK_BYTES..(number + 1) * CHUNK_BYTES;
        let runs = joined([0, 1, 4, 5, 6].map(part).to_vec());
        assert_eq!(runs, [0..2 * CHUNK_BYTES, 4 * CHUNK_BYTES..7 * CHUNK_BYTES]);
        assert_eq!(joined((0..20).map(part).collect()).len(), 2, "none is longer than sixteen parts");
    }
}
