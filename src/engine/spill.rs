//! Rows of queries on disk: each query has a limit of its own, and all together have one.
//!
//! Why not DataFusion's counting: its manager counts for one query or for all, not for both, and makes a folder for
//! each query whether it spills or not.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};

use super::classify::classify;
use super::one_file::OneFile;
use super::spill_file::{Pieces, UnnamedFiles};
use super::wanted::Wanted;
use crate::error::Error;

/// The disk that all queries share.
pub(super) struct SpillSpace {
    bytes_max: u64,
    used: AtomicU64,
    files: Arc<dyn TempFileFactory>,
}

impl fmt::Debug for SpillSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillSpace").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl SpillSpace {
    /// At most `bytes_max` bytes in `folder`, which must exist.
    pub(super) fn new(folder: PathBuf, bytes_max: u64) -> crate::error::Result<Arc<Self>> {
        // Found out now, and not by the first query that spills.
        tempfile::tempfile_in(&folder).map_err(Error::internal)?;
        Self::of(Arc::new(UnnamedFiles(folder)), bytes_max)
    }

    /// At most `bytes_max` bytes in `file`.
    pub(super) fn in_file(file: OneFile, bytes_max: u64) -> crate::error::Result<Arc<Self>> {
        Self::of(Arc::new(file), bytes_max)
    }

    fn of(files: Arc<dyn TempFileFactory>, bytes_max: u64) -> crate::error::Result<Arc<Self>> {
        Ok(Arc::new(Self { bytes_max, used: AtomicU64::new(0), files }))
    }

    /// Bytes on disk now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Where one query spills, at most `bytes_max` bytes, as long as it is `wanted`.
    pub(super) fn share(
        self: &Arc<Self>,
        bytes_max: u64,
        wanted: Wanted,
    ) -> crate::error::Result<Arc<DiskManager>> {
        let own = Own { space: Arc::clone(self), bytes_max, used: Arc::default(), wanted };
        let manager = DiskManagerBuilder::default().with_temp_file_factory(Arc::new(own));
        Ok(Arc::new(manager.build().map_err(classify)?))
    }
}

/// What one query has on disk.
#[derive(Debug, Clone)]
struct Own {
    space: Arc<SpillSpace>,
    bytes_max: u64,
    used: Arc<AtomicU64>,
    wanted: Wanted,
}

impl Own {
    fn take(&self, bytes: u64) -> std::io::Result<()> {
        self.wanted.check().map_err(std::io::Error::other)?;
        let own = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.space.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let over = |of: &str, max: u64| {
            self.give_back(bytes);
            // Writers of spilled rows know only I/O errors; `classify` reads ours out of it.
            Err(std::io::Error::other(Error::OverLimit(format!(
                "the query needs more spill space than {of}: {max} bytes"
            ))))
        };
        match (own > self.bytes_max, all > self.space.bytes_max) {
            (true, _) => over("one query may use", self.bytes_max),
            (_, true) => over("all queries together may use", self.space.bytes_max),
            _ => Ok(()),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.space.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl TempFileFactory for Own {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        let file = self.space.files.create_temp_file(description)?;
        Ok(Arc::new(Counted { file, bytes: Arc::default(), own: self.clone() }))
    }
}

/// A file whose bytes are given back when it is dropped.
struct Counted {
    file: Arc<dyn SpillFile>,
    bytes: Arc<AtomicU64>,
    own: Own,
}

impl SpillFile for Counted {
    fn size(&self) -> Option<u64> {
        self.file.size()
    }

    fn read_stream(&self) -> Result<Pieces> {
        self.file.read_stream()
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        let writer = self.file.open_writer()?;
        Ok(Box::new(CountedWriter { writer, bytes: Arc::clone(&self.bytes), own: self.own.clone() }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.own.give_back(self.bytes.load(Ordering::Relaxed));
    }
}

struct CountedWriter {
    writer: Box<dyn SpillWriter>,
    bytes: Arc<AtomicU64>,
    own: Own,
}

impl Write for CountedWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len() as u64;
        self.own.take(count)?;
        // Counted before it is written: a write that fails half-way may have left bytes in the file.
        self.bytes.fetch_add(count, Ordering::Relaxed);
        self.writer.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

impl SpillWriter for CountedWriter {
    fn finish(&mut self) -> Result<()> {
        self.writer
            .finish()
            .map_err(|cause: DataFusionError| cause.context("while spilled rows were written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_twice_and_given_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let space = SpillSpace::new(folder.path().to_owned(), 100).unwrap();
        let wanted = Wanted::default();
        let [a, b] = [wanted.clone(), Wanted::default()].map(|wanted| space.share(60, wanted).unwrap());
        let of_a = a.create_tmp_file("test").unwrap();
        let mut to_a = of_a.open_writer().unwrap();
        to_a.write_all(&[0; 50]).unwrap();
        let waits = wanted.by();
        check(to_a.write_all(&[0; 11]), "than one query may use: 60 bytes");
        let of_b = b.create_tmp_file("test").unwrap();
        let mut to_b = of_b.open_writer().unwrap();
        to_b.write_all(&[0; 50]).unwrap();
        check(to_b.write_all(&[0; 1]), "than all queries together may use: 100 bytes");
        assert_eq!(space.used(), 100);
        drop(waits);
        check(to_a.write_all(&[0; 1]), "cancelled");
        drop((of_a, to_a));
        assert_eq!(space.used(), 50);
        to_b.write_all(&[0; 10]).unwrap();
        drop((of_b, to_b));
        assert_eq!(space.used(), 0);
        let left =
            std::fs::read_dir(folder.path()).unwrap().flat_map(|at| at.unwrap().path().read_dir().unwrap());
        assert_eq!(left.count(), 0, "files are removed");

        #[track_caller]
        fn check(written: std::io::Result<()>, expected: &str) {
            let error = written.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
