//! The file to read, and its bytes as text: counted, decompressed, bounded, without a byte order mark.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{
    contract::{Compression, Contract, Format},
    encoding::byte_order_mark,
    error::{DecodeError, LimitName},
    limits::DecodeLimits,
    utf16::{Faults, Utf16Reader},
};

/// Something that can be opened more than once: inference may have to read the whole file before it is converted.
#[derive(Debug, Clone)]
pub enum Source {
    /// `name` is what its user calls it; an upload lies under another one.
    File {
        path: PathBuf,
        name: String,
    },
    Bytes {
        name: String,
        bytes: Bytes,
    },
    Remote(Arc<dyn RemoteFile>),
    /// Files of one text format that follow each other, each with the same header.
    Series {
        name: String,
        /// At least one.
        parts: Arc<[Source]>,
    },
}

/// A file that is elsewhere and comes in pieces.
pub trait RemoteFile: fmt::Debug + Send + Sync {
    fn name(&self) -> &str;
    fn byte_count(&self) -> u64;
    /// A reader that blocks. Its errors may hold one of ours, which then is the one to tell.
    fn open(&self) -> Box<dyn ReadSeek>;
}

/// Bytes that can be read from any place; what readers of Parquet and XLSX need.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

impl Source {
    /// The file name, without its folder.
    pub fn name(&self) -> String {
        match self {
            Self::File { name, .. } | Self::Bytes { name, .. } | Self::Series { name, .. } => name.clone(),
            Self::Remote(file) => file.name().to_owned(),
        }
    }

    /// Bytes as stored.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::File { path, .. } => Ok(path.metadata()?.len()),
            Self::Bytes { bytes, .. } => Ok(bytes.len() as u64),
            Self::Remote(file) => Ok(file.byte_count()),
            Self::Series { parts, .. } => parts.iter().map(Self::size).sum(),
        }
    }

    /// The files that it is made of.
    pub(super) fn parts(&self) -> &[Self] {
        match self {
            Self::Series { parts, .. } => parts,
            single => std::slice::from_ref(single),
        }
    }

    /// Of a series, the first file, by which all are judged.
    pub(super) fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match self {
            Self::File { path, .. } => Box::new(File::open(path)?),
            Self::Bytes { bytes, .. } => Box::new(Cursor::new(bytes.clone())),
            Self::Remote(file) => file.open(),
            Self::Series { parts, .. } => return parts.first().ok_or(io::ErrorKind::NotFound)?.open(),
        })
    }

    pub(super) fn malformed(&self, format: Format, reason: impl ToString) -> DecodeError {
        DecodeError::Malformed { format, file: self.name(), reason: reason.to_string() }
    }
}

/// How much of a file has been read, for a progress bar on another thread.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    pub(super) fn of(source: &Source) -> io::Result<Self> {
        Ok(Self { read: Arc::default(), total: source.size()? })
    }

    /// Bytes as stored (compressed, if the file is).
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed).min(self.total)
    }

    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    pub(super) fn add(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The text of a file, and what is needed to place its bytes.
pub(super) struct TextStream {
    pub(super) reader: Box<dyn Read + Send>,
    /// Of the first byte of `reader` in the decompressed file.
    pub(super) offset: u64,
    /// Places that no character stands at, when `reader` is made from UTF-16.
    pub(super) faults: Faults,
}

/// Opens a text format for reading from its first character on.
pub(super) fn open_text(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    progress: &Progress,
) -> Result<TextStream, DecodeError> {
    let mut reader = decompressed(source, contract.compression, limits, progress)?;
    let mut head = Vec::with_capacity(3);
    reader
        .by_ref()
        .take(3)
        .read_to_end(&mut head)
        .map_err(|error| from_io(error, source, contract.format))?;
    let mark = byte_order_mark(&head)
        .filter(|(encoding, _)| *encoding == contract.encoding)
        .map_or(0, |(_, length)| length);
    head.drain(..mark);
    let reader = Cursor::new(head).chain(reader);
    let faults = Faults::default();
    if contract.encoding.is_utf16() {
        let reader = Utf16Reader::new(reader, contract.encoding, mark as u64, Arc::clone(&faults));
        return Ok(TextStream { reader: Box::new(reader), offset: 0, faults });
    }
    Ok(TextStream { reader: Box::new(reader), offset: mark as u64, faults })
}

/// The decompressed bytes of a file.
pub(super) fn decompressed(
    source: &Source,
    compression: Compression,
    limits: &DecodeLimits,
    progress: &Progress,
) -> io::Result<Box<dyn Read + Send>> {
    let counted = Counted { inner: source.open()?, progress: progress.clone() };
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None => return Ok(Box::new(counted)),
        Compression::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 17, counted)))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(counted)?),
    };
    Ok(Box::new(Bounded { inner, progress: progress.clone(), limits: limits.clone(), out: 0 }))
}

/// Reports what is read to the progress.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add(read);
        Ok(read)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Stops a bomb: a small file that decompresses to more than any table would.
struct Bounded {
    inner: Box<dyn Read + Send>,
    progress: Progress,
    limits: DecodeLimits,
    out: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).map_err(|error| match is_ours(&error) {
            true => error,
            false => io::Error::other(Stop::Broken(error.to_string())),
        })?;
        self.out += read as u64;
        if let Some(max) = self.limits.decompressed_bytes.filter(|max| self.out > *max) {
            let reason = format!("expected at most {max} bytes, got more");
            return Err(io::Error::other(Stop::OverLimit(LimitName::DecompressedBytes, reason)));
        }
        let read_in = self.progress.read.load(Ordering::Relaxed).max(1);
        if self.out > self.limits.ratio_free_bytes && self.out / read_in >= self.limits.ratio {
            let reason = format!(
                "expected at most {} bytes out of one, got {} out of {read_in}",
                self.limits.ratio, self.out
            );
            return Err(io::Error::other(Stop::OverLimit(LimitName::DecompressedRatio, reason)));
        }
        Ok(read)
    }
}

/// Whether the bytes could not be had, for a reason that has a name already.
fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<crate::error::Error>())
}

/// Our own errors on their way through `io::Read`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("{0} is over the limit: {1}")]
    OverLimit(LimitName, String),
    #[error("the compressed data is broken: {0}")]
    Broken(String),
}

/// Finds our own errors again behind `io::Error`.
pub(super) fn from_io(error: io::Error, source: &Source, format: Format) -> DecodeError {
    match error.downcast::<Stop>() {
        Ok(Stop::OverLimit(what, reason)) => DecodeError::OverLimit { what, reason },
        Ok(broken @ Stop::Broken(_)) => source.malformed(format, broken),
        Err(error) => DecodeError::Io(error),
    }
}
