//! From a stream of batches to the Parquet files of one version.
//!
//! Why here and not `ArrowWriter`: row groups are encoded side by side, closed by bytes as well as by
//! rows (a table of a thousand columns must not need a thousand times the memory), hashed while they
//! are stored, and split by day where the dataset asks for it. Knows nothing of where rows came from,
//! nor of who may see them; nothing it writes is visible until a manifest names it.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore;
use parquet::arrow::arrow_writer::ArrowColumnChunk;

use crate::catalog::manifest::DataFile;
use crate::error::Error;
use crate::ids::DatasetId;
use crate::limits::FILES_PER_VERSION_MAX;
use crate::storage::keys;

mod days;
mod encode;
mod file;
mod groups;
mod properties;
mod stats;

use days::Run;
use encode::Encoder;
use file::FileWriter;
use groups::Groups;

pub(super) use days::day_column;
pub(super) use properties::sort_column;

/// How the files of a version are laid out.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Rows arrive sorted by this column; said in the files.
    pub sort_column: Option<String>,
    /// Rows arrive sorted by this date column, and each of its days gets files of its own.
    pub partition_column: Option<String>,
}

/// Sizes at which row groups and files are closed, and how much is encoded at a time.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Rows of a row group. Small enough that a date range prunes well.
    pub group_rows: usize,
    /// Bytes of a row group in memory.
    pub group_bytes: usize,
    /// Bytes of a file on disk.
    pub file_bytes: u64,
    /// Row groups that are encoded at the same time.
    pub threads: usize,
}

impl Sizes {
    /// What imports use, with `threads` row groups at a time.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { group_rows: 256 << 10, group_bytes: 64 << 20, file_bytes: 512 << 20, threads: threads.max(1) }
    }
}

/// Where the files of one version go.
#[derive(Debug, Clone)]
pub struct Target {
    pub store: Arc<dyn ObjectStore>,
    pub id: DatasetId,
    pub label: String,
}

/// Batches on their way to a file.
pub type Batches = BoxStream<'static, Result<RecordBatch, Error>>;

/// Writes all batches, and returns the files in the order of their rows. A version without rows has
/// one empty file, so that its schema can be read from a file like any other.
///
/// # Errors
/// What the stream fails with, `StorageFull`, `Unavailable`, or `Internal` when Parquet refuses a value.
/// Files written until then are named by nothing.
pub async fn write(
    target: &Target,
    schema: &SchemaRef,
    layout: &Layout,
    sizes: Sizes,
    batches: Batches,
) -> Result<Vec<DataFile>, Error> {
    // On the heap: open Parquet files are large, and callers hold this among futures of their own.
    Box::pin(write_files(target, schema, layout, sizes, batches)).await
}

async fn write_files(
    target: &Target,
    schema: &SchemaRef,
    layout: &Layout,
    sizes: Sizes,
    batches: Batches,
) -> Result<Vec<DataFile>, Error> {
    let runs = days::split(batches, schema, layout.partition_column.as_deref())?;
    let mut groups = Groups::new(runs, sizes.group_rows, sizes.group_bytes).peekable();
    let sample = match Pin::new(&mut groups).peek().await {
        Some(Ok(first)) => first.batches.clone(),
        // The error itself comes again below, as the first group.
        Some(Err(_)) | None => Vec::new(),
    };
    let properties = properties::choose(schema, layout, &sample)?;
    let encoder = Arc::new(Encoder::new(schema, properties)?);

    let encoding = Arc::clone(&encoder);
    let mut encoded = groups
        .map_ok(move |group| encoding.start(group.batches, group.run))
        .try_buffered(sizes.threads)
        .boxed();

    let mut files = Files { target, encoder: &encoder, sizes, open: None, done: Vec::new() };
    while let Some((chunks, run)) = encoded.try_next().await? {
        files.append(chunks, run).await?;
    }
    files.finish().await
}

/// The files of a version, the last of which may be open.
struct Files<'a> {
    target: &'a Target,
    encoder: &'a Encoder,
    sizes: Sizes,
    open: Option<FileWriter>,
    done: Vec<DataFile>,
}

impl Files<'_> {
    async fn append(&mut self, chunks: Vec<ArrowColumnChunk>, run: Run) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|file| !file.takes(&run, self.sizes.file_bytes)) {
            self.close().await?;
        }
        if self.done.len() >= FILES_PER_VERSION_MAX {
            let message = format!(
                "the dataset would have more than {FILES_PER_VERSION_MAX} files: split it by another column, or not at all"
            );
            return Err(Error::OverLimit(message));
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => FileWriter::start(self.target, self.encoder, run, self.done.len()).await?,
        };
        file.append(chunks).await?;
        self.open = Some(file);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        if let Some(file) = self.open.take() {
            self.done.push(file.finish(self.encoder).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<DataFile>, Error> {
        self.close().await?;
        if self.done.is_empty() {
            let empty = FileWriter::start(self.target, self.encoder, Run::default(), 0).await?;
            self.done.push(empty.finish(self.encoder).await?);
        }
        Ok(self.done)
    }
}

/// Removes what a write that came to nothing has left. What cannot be removed now is the collector's.
pub(super) async fn discard(target: &Target) {
    for prefix in keys::data_folders(&target.id, &target.label) {
        let found = target.store.list(Some(&prefix)).map_ok(|object| object.location).boxed();
        let removed = target.store.delete_stream(found).try_for_each(|_| std::future::ready(Ok(()))).await;
        if let Err(cause) = removed {
            tracing::warn!(%prefix, %cause, "files of a failed import stay until the collector comes");
        }
    }
}

#[cfg(test)]
mod tests;
