//! Reads a file front to back, on one thread, into chunks that can be parsed on many.

use std::{io::Read, sync::PoisonError};

use super::{
    chunk::{Body, Chunk},
    contract::{Contract, Format},
    cut::Cutter,
    error::{DecodeError, LimitName},
    ipc::IpcBatches,
    limits::DecodeLimits,
    parquet::ParquetBatches,
    plan,
    source::{self, Progress, Source},
    utf16::Faults,
    xlsx::SheetChunks,
};

/// The chunks of one file in their order. Blocks on the disk; use it on a thread that may.
pub struct ChunkReader {
    source: Source,
    format: Format,
    progress: Progress,
    kind: Kind,
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader")
            .field("source", &self.source)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

enum Kind {
    Text { cutter: Cutter<Box<dyn Read + Send>>, faults: Faults },
    Sheet(SheetChunks),
    Parquet(Box<ParquetBatches>),
    Ipc(Box<IpcBatches>),
}

/// Opens a file as its contract says, past its header.
pub fn open(source: &Source, contract: &Contract, limits: &DecodeLimits) -> Result<ChunkReader, DecodeError> {
    let progress = Progress::of(source)?;
    let kind = match contract.format {
        Format::Csv | Format::Ndjson => open_text(source, contract, limits, &progress)?,
        Format::Xlsx => Kind::Sheet(SheetChunks::open(source, contract, limits, &progress)?),
        Format::Parquet => Kind::Parquet(Box::new(ParquetBatches::open(source, limits, &progress)?.0)),
        format @ (Format::ArrowFile | Format::ArrowStream) => {
            Kind::Ipc(Box::new(IpcBatches::open(source, format, limits, &progress)?.0))
        }
    };
    Ok(ChunkReader { source: source.clone(), format: contract.format, progress, kind })
}

fn open_text(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    progress: &Progress,
) -> Result<Kind, DecodeError> {
    let stream = source::open_text(source, contract, limits, progress)?;
    let faults = stream.faults;
    let mut cutter = Cutter::new(
        stream.reader,
        plan::grammar(contract),
        stream.offset,
        limits.chunk_bytes,
        limits.record_bytes,
    );
    let failed = |error| source::from_io(error, source, contract.format);
    cutter.skip_lines(contract.skip_rows).map_err(failed)?;
    if contract.format == Format::Csv && contract.has_header {
        let header = cutter.next_record().map_err(failed)?;
        if let Some((.., line)) = header.filter(|(record, ..)| record.len() > limits.record_bytes) {
            let reason = format!(
                "line {line}: expected at most {} bytes in the header, got more; if it is none, say so with \
                 `has_header`",
                limits.record_bytes
            );
            return Err(DecodeError::OverLimit { what: LimitName::RecordBytes, reason });
        }
    }
    Ok(Kind::Text { cutter, faults })
}

impl ChunkReader {
    /// The next chunk; `None` at the end of the file. After an error the reader is of no more use.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        match &mut self.kind {
            Kind::Text { cutter, faults } => {
                let piece =
                    cutter.next().map_err(|error| source::from_io(error, &self.source, self.format))?;
                let Some(piece) = piece else { return Ok(None) };
                let end = piece.offset + piece.bytes.len() as u64;
                let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                let within = faults.partition_point(|(place, _)| *place < end);
                let faults = faults.drain(..within).collect();
                Ok(Some(Chunk(Body::Text { piece, faults })))
            }
            Kind::Sheet(chunks) => chunks.next(),
            Kind::Parquet(batches) => Ok(batches.next()?.map(|batch| Chunk(Body::Typed(batch)))),
            Kind::Ipc(batches) => Ok(batches.next()?.map(|batch| Chunk(Body::Typed(batch)))),
        }
    }

    /// How much of the file has been read; to be watched from another thread.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}
