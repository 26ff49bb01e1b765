//! Spilled rows in files without a name, which are gone with the process whatever ends it.
//!
//! Why not DataFusion's: it reads them through a pool of threads, a piece at a time. What one thread takes from the
//! allocator and another one gives back stays with the first, and a sort of 3 GB with a share of 256 MB grew to 3 GB
//! of memory by it. A piece is read where its rows are merged instead, as spilled rows are written where they are made.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;

/// Bytes that are read at a time.
pub(super) const PIECE_BYTES: u64 = 128 << 10;

/// Bytes that are written at a time: rows are written in many small parts.
const WRITTEN_BYTES: usize = 256 << 10;

/// Makes files in a folder.
#[derive(Debug)]
pub(super) struct UnnamedFiles(pub(super) PathBuf);

impl TempFileFactory for UnnamedFiles {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        let file = tempfile::tempfile_in(&self.0)?;
        Ok(Arc::new(Unnamed(Arc::new(Content { file, bytes: AtomicU64::new(0) }))))
    }
}

struct Unnamed(Arc<Content>);

struct Content {
    file: File,
    bytes: AtomicU64,
}

impl Content {
    fn read(&self, at: u64) -> io::Result<Bytes> {
        let length = self.bytes.load(Ordering::Acquire).saturating_sub(at).min(PIECE_BYTES);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }
}

impl SpillFile for Unnamed {
    fn size(&self) -> Option<u64> {
        Some(self.0.bytes.load(Ordering::Acquire))
    }

    fn read_stream(&self) -> Result<Pieces> {
        let content = Arc::clone(&self.0);
        Ok(pieces(move |at| content.read(at)))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer(BufWriter::with_capacity(WRITTEN_BYTES, Appending(Arc::clone(&self.0))))))
    }
}

/// What is read of a file.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What `read` gives from the beginning on, until it gives nothing.
pub(super) fn pieces(read: impl Fn(u64) -> io::Result<Bytes> + Send + 'static) -> Pieces {
    let mut at = 0;
    let next = move || match read(at) {
        Ok(bytes) if bytes.is_empty() => None,
        Ok(bytes) => {
            at += bytes.len() as u64;
            Some(Ok(bytes))
        }
        Err(cause) => Some(Err(DataFusionError::IoError(cause))),
    };
    Box::pin(futures::stream::iter(std::iter::from_fn(next)))
}

struct Appending(Arc<Content>);

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.0.bytes.load(Ordering::Relaxed);
        let written = self.0.file.write_at(bytes, at)?;
        // A reader sees only what is there as a whole.
        self.0.bytes.store(at + written as u64, Ordering::Release);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer(BufWriter<Appending>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_flushed_is_read_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = UnnamedFiles(folder.path().to_owned()).create_temp_file("rows").unwrap();
        let mut writer = file.open_writer().unwrap();
        let rows: Vec<u8> = (0..400_001_u32).map(|n| (n % 251) as u8).collect();
        writer.write_all(&rows).unwrap();
        writer.flush().unwrap();
        check(&file, &rows).await;
        writer.write_all(&rows).unwrap();
        writer.finish().unwrap();
        check(&file, &[&rows[..], &rows[..]].concat()).await;
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it has no name");

        async fn check(file: &Arc<dyn SpillFile>, expected: &[u8]) {
            let read = file.read_stream().unwrap().map_ok(|bytes| bytes.to_vec()).try_concat().await;
            assert!(read.unwrap() == expected);
            assert_eq!(file.size(), Some(expected.len() as u64));
        }
    }
}
