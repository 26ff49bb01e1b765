//! An object that is read front to back without ever being here as a whole.
//!
//! What is asked for grows from a few hundred kilobytes, which is enough to find a format, to pieces that are worth
//! a request; from then on the next piece is on its way while the last one is parsed. Two pieces are held at most.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::S3Address;
use super::refusal::refusal;
use crate::dataset::decode::{ReadSeek, RemoteFile};
use crate::error::Error;
use crate::tasks;

const FIRST_PIECE_BYTES: u64 = 256 << 10;
const PIECE_BYTES_MAX: u64 = 8 << 20;

/// One object, as it was when it was found.
#[derive(Debug, Clone)]
pub(super) struct RemoteObject {
    store: Arc<dyn ObjectStore>,
    /// What its user named: the object itself or the prefix that it is below.
    address: S3Address,
    key: Path,
    name: String,
    byte_count: u64,
    e_tag: Option<String>,
    /// Where requests run: readers are on threads that block.
    runtime: Handle,
}

impl RemoteObject {
    /// To be called where tasks run.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        address: S3Address,
        key: Path,
        name: String,
        meta: &ObjectMeta,
    ) -> Self {
        let (byte_count, e_tag, runtime) = (meta.size, meta.e_tag.clone(), Handle::current());
        Self { store, address, key, name, byte_count, e_tag, runtime }
    }

    pub(super) fn address(&self) -> &S3Address {
        &self.address
    }

    /// Bytes of it, if it is still the same object.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let length = range.end - range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.e_tag.clone(),
            ..GetOptions::default()
        };
        let read = async { self.store.get_opts(&self.key, options).await?.bytes().await };
        let bytes = read.await.map_err(|cause| refusal(&self.address, cause))?;
        if bytes.len() as u64 != length {
            let message = format!("`{}` cannot be read: an answer ended too early", self.address);
            return Err(Error::Unavailable { message, cause: None });
        }
        Ok(bytes)
    }

    /// The piece of at most `length` bytes at `start`.
    pub(super) fn piece(&self, start: u64, length: u64) -> Range<u64> {
        start..start.saturating_add(length).min(self.byte_count)
    }
}

impl RemoteFile for RemoteObject {
    fn name(&self) -> &str {
        &self.name
    }

    fn byte_count(&self) -> u64 {
        self.byte_count
    }

    fn open(&self) -> Box<dyn ReadSeek> {
        Box::new(Pieces {
            object: Arc::new(self.clone()),
            at: 0,
            start: 0,
            piece: Bytes::new(),
            piece_bytes: FIRST_PIECE_BYTES,
            ahead: None,
        })
    }
}

type Coming = AbortOnDropHandle<Result<Bytes, Error>>;

/// A reader of one object.
struct Pieces {
    object: Arc<RemoteObject>,
    at: u64,
    /// Where `piece` begins.
    start: u64,
    piece: Bytes,
    piece_bytes: u64,
    /// The piece that is asked for before it is wanted.
    ahead: Option<(u64, Coming)>,
}

impl Pieces {
    fn ask(&self, start: u64) -> Coming {
        let object = Arc::clone(&self.object);
        let range = object.piece(start, self.piece_bytes);
        let _entered = self.object.runtime.enter();
        tasks::spawn(async move { object.read(range).await })
    }

    fn fetch(&mut self) -> io::Result<()> {
        let is_first = self.piece.is_empty();
        let coming = match self.ahead.take() {
            Some((start, coming)) if start == self.at => coming,
            _ => self.ask(self.at),
        };
        let fetched = self.object.runtime.block_on(coming).map_err(io::Error::other)?;
        self.piece = fetched.map_err(io::Error::other)?;
        self.start = self.at;
        let next = self.start + self.piece.len() as u64;
        self.piece_bytes = (2 * self.piece_bytes).min(PIECE_BYTES_MAX);
        // Whoever only looks at the start does not want more.
        if !is_first && next < self.object.byte_count {
            self.ahead = Some((next, self.ask(next)));
        }
        Ok(())
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.object.byte_count || buffer.is_empty() {
            return Ok(0);
        }
        let here = self.start..self.start + self.piece.len() as u64;
        if !here.contains(&self.at) {
            self.fetch()?;
        }
        let from = usize::try_from(self.at - self.start).map_err(io::Error::other)?;
        let rest = &self.piece[from..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Pieces {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.object.byte_count.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::*;
    use crate::dataset::decode::{DecodeLimits, ReadOptions, Source, infer_all, inspect};
    use crate::dataset::failure;
    use crate::error::Code;

    async fn put(store: &Arc<dyn ObjectStore>, bytes: Vec<u8>) -> RemoteObject {
        let key = Path::from("a.csv");
        store.put(&key, bytes.into()).await.unwrap();
        let meta = store.head(&key).await.unwrap();
        let address = S3Address::new("sales", "a.csv").unwrap();
        RemoteObject::new(Arc::clone(store), address, key, "a.csv".to_owned(), &meta)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pieces_follow_each_other_from_any_place() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let whole = bytes(3 << 20);
        let object = put(&store, whole.clone()).await;
        let read = tasks::blocking(move || {
            let mut reader = object.open();
            let (mut all, mut end) = (Vec::new(), Vec::new());
            reader.read_to_end(&mut all).unwrap();
            reader.seek(SeekFrom::End(-1000)).unwrap();
            reader.read_to_end(&mut end).unwrap();
            reader.seek(SeekFrom::Start(10)).unwrap();
            let mut start = [0; 5];
            reader.read_exact(&mut start).unwrap();
            Ok::<_, Error>((all, end, start))
        });
        let (all, end, start) = read.await.unwrap();
        assert!(all == whole);
        assert_eq!(end, whole[whole.len() - 1000..]);
        assert_eq!(start, whole[10..15]);
    }

    /// Also from inside a compression, whose own errors are of broken data.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_object_that_changes_while_it_is_read_is_a_conflict() {
        let mut csv = String::from("id,text\n");
        for id in 0..200_000 {
            csv.push_str(&format!("{id},{}\n", crate::storage::hash(&[id as u8, (id >> 8) as u8])));
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(csv.as_bytes()).unwrap();
        for content in [csv.into_bytes(), gzip.finish().unwrap()] {
            assert!(content.len() > 2 << 20, "{} bytes are one piece", content.len());
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let object = put(&store, content).await;
            let source = Source::Remote(Arc::new(object));
            let (first, limits) = (source.clone(), DecodeLimits::default());
            let found = tasks::blocking(move || {
                inspect(&first, &ReadOptions::default(), &limits).map_err(|error| failure::of_file(&error))
            });
            let contract = found.await.unwrap().contract;
            put(&store, bytes(4 << 20)).await;
            let again = tasks::blocking(move || {
                infer_all(&source, &contract, &DecodeLimits::default(), 2)
                    .map_err(|error| failure::of_file(&error))
            });
            let error = again.await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict, "{error}");
            assert!(error.to_string().contains("`s3://sales/a.csv` changed while it was read"), "{error}");
        }
    }
}
