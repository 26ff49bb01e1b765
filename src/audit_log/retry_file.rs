//! The queue as a file: one record a line, each synced before it counts as kept.
//!
//! Forgetting moves a place in memory. The file shrinks when all of it is forgotten, or when its room is
//! needed; so a restart may offer records again that the store has, and loses none.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::retry::RetryQueue;
use crate::catalog::record::AuditRecord;
use crate::error::Error;

/// Most bytes of records that wait: some two hundred thousand.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A [`RetryQueue`] in one file.
#[derive(Debug)]
pub struct RetryFile {
    lines: Arc<Mutex<Lines>>,
    /// Beside the lock, so that asking does not wait for the disk.
    waiting: Arc<AtomicUsize>,
}

impl RetryFile {
    /// Opens the queue at `path`, and makes it when it is not there. A line that a crash cut off was never
    /// acknowledged and goes; one that cannot be read goes to the log.
    ///
    /// # Errors
    /// When the file can be neither read nor written.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, BYTES_MAX)
    }

    fn with_limit(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let lines = Lines::open(path.to_path_buf(), bytes_max)?;
        let waiting = Arc::new(AtomicUsize::new(lines.waiting));
        Ok(Self { lines: Arc::new(Mutex::new(lines)), waiting })
    }

    /// Does `work` with the file on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Lines) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (lines, waiting) = (Arc::clone(&self.lines), Arc::clone(&self.waiting));
        crate::tasks::blocking(move || {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = work(&mut lines);
            waiting.store(lines.waiting, Ordering::Release);
            outcome
        })
        .await
    }
}

#[async_trait]
impl RetryQueue for RetryFile {
    async fn push(&self, record: AuditRecord) -> Result<(), Error> {
        let mut line = serde_json::to_vec(&record).map_err(Error::internal)?;
        line.push(b'\n');
        self.with(move |lines| lines.push(&line)).await
    }

    async fn oldest(&self, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        let read = |line: &Vec<u8>| serde_json::from_slice(line).map_err(Error::internal);
        let found = self.with(move |lines| lines.read(limit).map_err(|cause| lines.failed(cause))).await?;
        found.iter().map(read).collect()
    }

    async fn forget(&self, count: usize) -> Result<(), Error> {
        self.with(move |lines| lines.forget(count).map_err(|cause| lines.failed(cause))).await
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
    bytes_max: u64,
    /// Where the oldest line starts.
    head: u64,
    /// Behind the newest line.
    end: u64,
    waiting: usize,
}

impl Lines {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = open_private(&path)?;
        sync_folder_of(&path)?;
        let mut lines = Self { path, file, bytes_max, head: 0, end: 0, waiting: 0 };
        lines.end = lines.file.metadata()?.len();
        let found = lines.read(usize::MAX)?;
        let whole =
            |line: &&Vec<u8>| line.ends_with(b"\n") && serde_json::from_slice::<AuditRecord>(line).is_ok();
        let kept: Vec<&Vec<u8>> = found.iter().filter(whole).collect();
        let kept_bytes: usize = kept.iter().map(|line| line.len()).sum();
        lines.waiting = kept.len();
        if kept_bytes as u64 != lines.end {
            for line in found.iter().filter(|line| line.ends_with(b"\n") && !whole(line)) {
                let line = String::from_utf8_lossy(line);
                tracing::error!(path = %lines.path.display(), %line, "a waiting audit record cannot be read");
            }
            lines.replace(&kept.into_iter().flatten().copied().collect::<Vec<u8>>())?;
        }
        Ok(lines)
    }

    fn push(&mut self, line: &[u8]) -> Result<(), Error> {
        let length = line.len() as u64;
        if self.end - self.head + length > self.bytes_max {
            let message =
                format!("`{}` holds {} bytes and is full", self.path.display(), self.end - self.head);
            return Err(Error::OverLimit(message));
        }
        self.append(line).map_err(|cause| self.failed(cause))
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.end + line.len() as u64 > self.bytes_max {
            let rest = self.read(usize::MAX)?.concat();
            self.replace(&rest)?;
        }
        let write = || {
            self.file.write_all_at(line, self.end)?;
            self.file.sync_data()
        };
        if let Err(cause) = write() {
            // Half a line must not stand before the next one. If this fails too, `open` clears it.
            let _ = self.file.set_len(self.end);
            return Err(cause);
        }
        self.end += line.len() as u64;
        self.waiting += 1;
        Ok(())
    }

    fn forget(&mut self, count: usize) -> io::Result<()> {
        let gone = self.read(count)?;
        self.head += gone.iter().map(|line| line.len() as u64).sum::<u64>();
        self.waiting -= gone.len();
        if self.head == self.end {
            self.file.set_len(0)?;
            self.file.sync_all()?;
            (self.head, self.end) = (0, 0);
        }
        Ok(())
    }

    /// Lines from the oldest on, each with its end of line.
    fn read(&mut self, limit: usize) -> io::Result<Vec<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(self.head))?;
        let mut rest = BufReader::new((&self.file).take(self.end - self.head));
        let mut lines = Vec::new();
        while lines.len() < limit {
            let mut line = Vec::new();
            if rest.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// Makes `bytes` the whole file: the old one or the new one is there, whatever happens meanwhile.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let staged = self.path.with_extension("new");
        // What a crash left there is of no use.
        match fs::remove_file(&staged) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let mut file = open_private(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, &self.path)?;
        sync_folder_of(&self.path)?;
        (self.file, self.head, self.end) = (file, 0, bytes.len() as u64);
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::unusable(&self.path, cause)
    }
}

/// Records name people, so only the owner reads them.
fn open_private(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit_log::Entry;
    use crate::catalog::record::AuditEvent;
    use crate::clock::Timestamp;

    fn records(count: i64) -> Vec<AuditRecord> {
        let entry = Entry {
            event: AuditEvent::UserLogin,
            by: None,
            target: ("user", "user_1"),
            details: serde_json::json!({ "email": "花子@example.com\n" }),
            request_id: None,
        };
        (0..count).map(|n| entry.clone().record(Timestamp::from_seconds(n))).collect()
    }

    async fn push_all(queue: &RetryFile, records: &[AuditRecord]) {
        for record in records {
            queue.push(record.clone()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.ndjson");
        let made = records(5);
        let queue = RetryFile::open(&path).unwrap();
        push_all(&queue, &made).await;
        queue.forget(2).await.unwrap();
        assert_eq!((queue.oldest(2).await.unwrap(), queue.waiting()), (made[2..4].to_vec(), 3));
        // What was forgotten may come again, what was not must.
        let again = RetryFile::open(&path).unwrap();
        assert_eq!((again.oldest(9).await.unwrap(), again.waiting()), (made.clone(), 5));
        again.forget(5).await.unwrap();
        assert_eq!((again.waiting(), fs::metadata(&path).unwrap().len()), (0, 0));
        assert_eq!(RetryFile::open(&path).unwrap().waiting(), 0);
    }

    /// A crash in the middle of a write, at every byte of it.
    #[tokio::test]
    async fn a_line_cut_off_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.ndjson");
        let made = records(3);
        push_all(&RetryFile::open(&path).unwrap(), &made).await;
        let bytes = fs::read(&path).unwrap();
        let two = bytes.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum::<usize>();
        for length in two..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let queue = RetryFile::open(&path).unwrap();
            push_all(&queue, &made[2..]).await;
            assert_eq!(queue.oldest(9).await.unwrap(), made, "cut at {length}");
            assert_eq!(RetryFile::open(&path).unwrap().oldest(9).await.unwrap(), made, "cut at {length}");
        }
    }

    #[tokio::test]
    async fn a_damaged_line_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.ndjson");
        let made = records(3);
        push_all(&RetryFile::open(&path).unwrap(), &made).await;
        let mut bytes = fs::read(&path).unwrap();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes[second] = b'?';
        fs::write(&path, bytes).unwrap();
        let queue = RetryFile::open(&path).unwrap();
        assert_eq!(queue.oldest(9).await.unwrap(), [made[0].clone(), made[2].clone()]);
        assert_eq!(queue.waiting(), 2);
    }

    #[tokio::test]
    async fn it_is_bounded_and_uses_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.ndjson");
        let made = records(10);
        let line = serde_json::to_vec(&made[0]).unwrap().len() as u64 + 1;
        // Later records have a longer time.
        let bytes_max = 4 * (line + 8);
        let queue = RetryFile::with_limit(&path, bytes_max).unwrap();
        push_all(&queue, &made[..4]).await;
        assert!(matches!(queue.push(made[4].clone()).await, Err(Error::OverLimit(_))));
        queue.forget(1).await.unwrap();
        queue.push(made[4].clone()).await.unwrap();
        assert_eq!((queue.oldest(9).await.unwrap(), queue.waiting()), (made[1..5].to_vec(), 4));
        assert!(fs::metadata(&path).unwrap().len() <= bytes_max);
        assert_eq!(RetryFile::open(&path).unwrap().oldest(9).await.unwrap(), made[1..5]);
    }
}
