//! Reads a file front to back, on one thread, into chunks that can be parsed on many.

use std::{collections::VecDeque, io::Read, sync::PoisonError};

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
    /// The files of a series that come after this one.
    rest: Rest,
}

/// What is needed to go on with the next file of a series.
#[derive(Default)]
struct Rest {
    parts: VecDeque<Source>,
    opening: Option<Box<(Contract, DecodeLimits)>>,
    /// The first file's header, which the others have to repeat, and that file's name.
    header: Option<(Vec<u8>, String)>,
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
    if let Source::Series { parts, .. } = source {
        return open_series(parts, contract, limits, progress);
    }
    let kind = match contract.format {
        Format::Csv | Format::Ndjson => open_text(source, contract, limits, &progress)?.0,
        Format::Xlsx => Kind::Sheet(SheetChunks::open(source, contract, limits, &progress)?),
        Format::Parquet => Kind::Parquet(Box::new(ParquetBatches::open(source, limits, &progress)?.0)),
        format @ (Format::ArrowFile | Format::ArrowStream) => {
            Kind::Ipc(Box::new(IpcBatches::open(source, format, limits, &progress)?.0))
        }
    };
    Ok(ChunkReader { source: source.clone(), format: contract.format, progress, kind, rest: Rest::default() })
}

fn open_series(
    parts: &[Source],
    contract: &Contract,
    limits: &DecodeLimits,
    progress: Progress,
) -> Result<ChunkReader, DecodeError> {
    let mut parts: VecDeque<Source> = parts.iter().cloned().collect();
    let Some(source) = parts.pop_front() else { return Err(DecodeError::Empty) };
    if !matches!(contract.format, Format::Csv | Format::Ndjson) {
        return Err(source.malformed(contract.format, "only text can be read from many files"));
    }
    let (kind, header) = open_text(&source, contract, limits, &progress)?;
    let header = header.map(|header| (header, source.name()));
    let opening = Some(Box::new((contract.clone(), limits.clone())));
    Ok(ChunkReader { source, format: contract.format, progress, kind, rest: Rest { parts, opening, header } })
}

fn open_text(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    progress: &Progress,
) -> Result<(Kind, Option<Vec<u8>>), DecodeError> {
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
    let mut header = None;
    if contract.format == Format::Csv && contract.has_header {
        header = cutter.next_record().map_err(failed)?;
        if let Some((.., line)) = header.as_ref().filter(|(record, ..)| record.len() > limits.record_bytes) {
            let reason = format!(
                "line {line}: expected at most {} bytes in the header, got more; if it is none, say so with \
                 `has_header`",
                limits.record_bytes
            );
            return Err(DecodeError::OverLimit { what: LimitName::RecordBytes, reason });
        }
    }
    Ok((Kind::Text { cutter, faults }, header.map(|(record, ..)| record)))
}

impl ChunkReader {
    /// The next chunk; `None` at the end of the file. After an error the reader is of no more use.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, DecodeError> {
        loop {
            match self.next_of_file()? {
                None if self.open_next()? => {}
                chunk => return Ok(chunk),
            }
        }
    }

    /// Goes on with the next file of a series; false when there is none.
    fn open_next(&mut self) -> Result<bool, DecodeError> {
        let (Some(source), Some(opening)) = (self.rest.parts.pop_front(), &self.rest.opening) else {
            return Ok(false);
        };
        let (contract, limits) = &**opening;
        let (kind, header) = open_text(&source, contract, limits, &self.progress)?;
        if let (Some((expected, first)), Some(header)) = (&self.rest.header, &header)
            && trimmed(expected) != trimmed(header)
        {
            let reason = format!("its header is not that of `{first}`");
            return Err(source.malformed(self.format, reason));
        }
        (self.source, self.kind) = (source, kind);
        Ok(true)
    }

    fn next_of_file(&mut self) -> Result<Option<Chunk>, DecodeError> {
        match &mut self.kind {
            Kind::Text { cutter, faults } => {
                let piece =
                    cutter.next().map_err(|error| source::from_io(error, &self.source, self.format))?;
                let Some(piece) = piece else { return Ok(None) };
                let file = self.rest.opening.is_some().then(|| self.source.name());
                let end = piece.offset + piece.bytes.len() as u64;
                let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
                let within = faults.partition_point(|(place, _)| *place < end);
                let faults = faults.drain(..within).collect();
                Ok(Some(Chunk(Body::Text { piece, faults, file })))
            }
            Kind::Sheet(chunks) => chunks.next(),
            Kind::Parquet(batches) => Ok(batches.next()?.map(|batch| Chunk(Body::Typed(batch)))),
            Kind::Ipc(batches) => Ok(batches.next()?.map(|batch| Chunk(Body::Typed(batch)))),
        }
    }

    /// How much has been read; to be watched from another thread.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

/// A header without its line end, which the last line of a file may lack.
fn trimmed(header: &[u8]) -> &[u8] {
    header.trim_ascii_end()
}
