//! Spilled rows in one file that is open already, for a process that may open none.
//!
//! ```text
//!  file    │ 0 │ 1 │ 2 │ 3 │ 4 │      extents of equal size
//!  rows A    ■       ■                 each spilled file is a list of extents;
//!  rows B        ■       ■             those of one that is dropped are used again
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datafusion::error::Result;
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};

use super::spill_file::{PIECE_BYTES, Pieces, pieces};
use crate::error::Error;

const EXTENT_BYTES: u64 = 1 << 20;

/// A file to spill to. Clones are the same file.
#[derive(Debug, Clone)]
pub struct OneFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    extents_max: u64,
    extents: Mutex<Extents>,
}

#[derive(Debug, Default)]
struct Extents {
    /// How many the file has.
    made: u64,
    free: Vec<u64>,
}

impl OneFile {
    /// Spills at most `bytes_max` bytes to `file`, which is written from its beginning.
    #[must_use]
    pub fn new(file: File, bytes_max: u64) -> Self {
        let extents_max = bytes_max / EXTENT_BYTES;
        Self(Arc::new(Inner { file, extents_max, extents: Mutex::default() }))
    }

    fn extents(&self) -> MutexGuard<'_, Extents> {
        self.0.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> io::Result<u64> {
        let mut extents = self.extents();
        if let Some(extent) = extents.free.pop() {
            return Ok(extent);
        }
        if extents.made >= self.0.extents_max {
            return Err(io::Error::other(Error::OverLimit(format!(
                "the query needs more spill space than it may use: {} bytes",
                self.0.extents_max * EXTENT_BYTES
            ))));
        }
        extents.made += 1;
        Ok(extents.made - 1)
    }

    fn give_back(&self, given: Vec<u64>) {
        let mut extents = self.extents();
        extents.free.extend(given);
        if extents.free.len() as u64 == extents.made {
            // What cannot be given back to the disk now is used again, or goes with the file.
            let _ = self.0.file.set_len(0);
            *extents = Extents::default();
        }
    }
}

impl TempFileFactory for OneFile {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        Ok(Arc::new(Spilled(Arc::new(Content { file: self.clone(), layout: Mutex::default() }))))
    }
}

/// What stands for a file of its own.
#[derive(Debug)]
struct Spilled(Arc<Content>);

#[derive(Debug)]
struct Content {
    file: OneFile,
    layout: Mutex<Layout>,
}

#[derive(Debug, Default)]
struct Layout {
    extents: Vec<u64>,
    bytes: u64,
}

impl Content {
    fn layout(&self) -> MutexGuard<'_, Layout> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what still fits into the last extent.
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut layout = self.layout();
        let within = layout.bytes % EXTENT_BYTES;
        if within == 0 && layout.extents.len() as u64 * EXTENT_BYTES == layout.bytes {
            let extent = self.file.take()?;
            layout.extents.push(extent);
        }
        let Some(extent) = layout.extents.last() else { return Ok(0) };
        let room = usize::try_from(EXTENT_BYTES - within).unwrap_or(usize::MAX);
        let part = &bytes[..bytes.len().min(room)];
        self.file.0.file.write_all_at(part, extent * EXTENT_BYTES + within)?;
        layout.bytes += part.len() as u64;
        Ok(part.len())
    }

    /// The bytes from `at` on, as far as one read goes; none at the end.
    fn read(&self, at: u64) -> io::Result<Bytes> {
        let (place, length) = {
            let layout = self.layout();
            let index = usize::try_from(at / EXTENT_BYTES).unwrap_or(usize::MAX);
            let Some(extent) = layout.extents.get(index) else { return Ok(Bytes::new()) };
            let within = at % EXTENT_BYTES;
            let length = PIECE_BYTES.min(EXTENT_BYTES - within).min(layout.bytes.saturating_sub(at));
            (extent * EXTENT_BYTES + within, usize::try_from(length).unwrap_or(usize::MAX))
        };
        let mut bytes = vec![0; length];
        self.file.0.file.read_exact_at(&mut bytes, place)?;
        Ok(bytes.into())
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let extents = std::mem::take(&mut self.layout().extents);
        self.file.give_back(extents);
    }
}

impl SpillFile for Spilled {
    fn size(&self) -> Option<u64> {
        Some(self.0.layout().bytes)
    }

    fn read_stream(&self) -> Result<Pieces> {
        let content = Arc::clone(&self.0);
        Ok(pieces(move |at| content.read(at)))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer(Arc::clone(&self.0))))
    }
}

struct Writer(Arc<Content>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { self.0.append(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;
    use datafusion::error::DataFusionError;
    use futures::TryStreamExt as _;

    use super::super::classify::classify;
    use super::*;
    use crate::error::Code;

    async fn read(file: &Arc<dyn SpillFile>) -> Vec<u8> {
        file.read_stream().unwrap().map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap()
    }

    #[tokio::test]
    async fn files_share_one_and_give_their_room_back() {
        let disk = tempfile::tempfile().unwrap();
        let space = OneFile::new(disk.try_clone().unwrap(), 4 * EXTENT_BYTES);
        let [a, b] = ["a", "b"].map(|name| space.create_temp_file(name).unwrap());
        // Turn by turn, in pieces that fit no extent, so that extents of both lie among each other.
        let piece = |of: u8| vec![of; 700_001];
        for _ in 0..2 {
            a.open_writer().unwrap().write_all(&piece(1)).unwrap();
            b.open_writer().unwrap().write_all(&piece(2)).unwrap();
        }
        assert_eq!(a.size(), Some(1_400_002));
        assert!(read(&a).await == vec![1; 1_400_002] && read(&b).await == vec![2; 1_400_002]);

        let full = b.open_writer().unwrap().write_all(&piece(2)).unwrap_err();
        // Operators that several wait for share their error.
        let shared = Arc::new(DataFusionError::from(ArrowError::from(full)));
        let full = classify(DataFusionError::Shared(Arc::clone(&shared)));
        assert_eq!(full.code(), Code::OverLimit, "{full} of {shared}");
        assert!(full.to_string().contains("more spill space than it may use: 4194304 bytes"), "{full}");

        drop(a);
        let c = space.create_temp_file("c").unwrap();
        c.open_writer().unwrap().write_all(&piece(3)).unwrap();
        assert!(read(&c).await == piece(3), "room of one that is gone is used again");
        assert!(disk.metadata().unwrap().len() <= 4 * EXTENT_BYTES);
        drop((b, c));
        assert_eq!(disk.metadata().unwrap().len(), 0);
    }
}
