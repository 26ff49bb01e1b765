//! A part of a file, read but not yet parsed: parsing is pure, so that callers do it on many threads.

use arrow::record_batch::RecordBatch;

use super::{
    cells::Cells,
    contract::Format,
    convert, csv,
    cut::Piece,
    encoding::TextEncoding,
    error::{BadKind, BadRow, DecodeError},
    ndjson,
    plan::Plan,
};

/// Some rows of a file, in the order of the file.
#[derive(Debug)]
pub struct Chunk(pub(super) Body);

#[derive(Debug)]
pub(super) enum Body {
    /// Whole records of CSV or NDJSON, still in the file's encoding.
    Text {
        piece: Piece,
        faults: Vec<(u64, u64)>,
        /// Set when it is one of several, so that a wrong row is found.
        file: Option<String>,
    },
    /// Rows of a sheet.
    Cells {
        cells: Cells,
        bad: Vec<BadRow>,
    },
    Typed(RecordBatch),
}

/// What became of a chunk.
#[derive(Debug)]
pub struct Parsed {
    pub batch: RecordBatch,
    /// Rows left out of `batch`, by line.
    pub bad_rows: Vec<BadRow>,
    /// Not empty: what was found about the file is wrong, `batch` is of no use, and the caller looks at the whole
    /// file ([`infer_all`](super::infer_all)) and starts again.
    pub misfits: Vec<Misfit>,
}

/// How a chunk contradicts what was found in the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    Value {
        line: u64,
        column: String,
        value: String,
    },
    /// NDJSON: a key that the sample did not have.
    NewColumn {
        line: u64,
        column: String,
    },
    /// Text that the encoding found does not have. `offset` is for [`inspect_again`](super::inspect_again).
    Encoding {
        line: u64,
        offset: u64,
    },
}

/// Cells of a chunk with the rows that never became cells.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) cells: Cells,
    pub(super) bad: Vec<BadRow>,
    pub(super) misfits: Vec<Misfit>,
}

impl Chunk {
    /// Converts the chunk by a plan made from the contract it was opened with.
    pub fn parse(self, plan: &Plan) -> Result<Parsed, DecodeError> {
        let file = match &self.0 {
            Body::Text { file, .. } => file.clone(),
            Body::Cells { .. } | Body::Typed(_) => None,
        };
        let split = match self.0 {
            Body::Typed(batch) => return Ok(Parsed { batch, bad_rows: Vec::new(), misfits: Vec::new() }),
            body => Self(body).split(plan),
        };
        let internal = |error: arrow::error::ArrowError| DecodeError::Malformed {
            format: plan.format,
            file: "rows".to_owned(),
            reason: error.to_string(),
        };
        let converted = convert::convert(&split.cells, plan).map_err(internal)?;
        split.cells.leave_room();
        let mut bad_rows = split.bad;
        bad_rows.extend(converted.bad);
        bad_rows.sort_by_key(|row| row.line);
        if let Some(file) = file {
            bad_rows.iter_mut().for_each(|row| row.reason.push_str(&format!(" (in `{file}`)")));
        }
        let mut misfits = split.misfits;
        misfits.extend(converted.misfits);
        Ok(Parsed { batch: converted.batch, bad_rows, misfits })
    }

    /// The chunk as cells. A typed chunk has none.
    pub(super) fn split(self, plan: &Plan) -> Split {
        match self.0 {
            Body::Typed(_) => Split::default(),
            Body::Cells { cells, bad } => Split { cells, bad, misfits: Vec::new() },
            Body::Text { piece, faults, .. } => {
                let texts = decode(piece, &faults, plan);
                if plan.format == Format::Ndjson {
                    ndjson::split(texts, plan)
                } else {
                    csv::split(texts, plan)
                }
            }
        }
    }
}

/// Decoded records, and those that could not be.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Runs of whole records with the line that each begins on: one, unless broken records lie between.
    pub(super) runs: Vec<(String, u64)>,
    pub(super) bad: Vec<BadRow>,
    pub(super) misfits: Vec<Misfit>,
}

pub(super) fn decode(piece: Piece, faults: &[(u64, u64)], plan: &Plan) -> Texts {
    let (offset, line) = (piece.offset, piece.line);
    match plan.encoding.decode(piece.bytes) {
        Ok(text) => Texts { runs: vec![(text, line)], bad: piece.bad, misfits: Vec::new() },
        Err(bytes) => sift(&Piece { bytes, bad: Vec::new(), offset, line }, faults, plan, piece.bad),
    }
}

/// Decodes record by record and sets the broken ones aside.
fn sift(piece: &Piece, faults: &[(u64, u64)], plan: &Plan, bad: Vec<BadRow>) -> Texts {
    let mut texts = Texts { bad, ..Texts::default() };
    let mut run = (String::new(), piece.line);
    let (mut start, mut line) = (0, piece.line);
    while start < piece.bytes.len() {
        let end = start + plan.grammar.record(&piece.bytes[start..]);
        let record = &piece.bytes[start..end];
        let lines = memchr::memchr_iter(plan.grammar.terminator, record).count() as u64;
        match plan.encoding.first_fault(record, true) {
            None => run.0.push_str(&plan.encoding.decode_lossy(record)),
            Some(place) => {
                let offset = in_file(piece.offset + (start + place) as u64, faults);
                let fault_line =
                    line + memchr::memchr_iter(plan.grammar.terminator, &record[..place]).count() as u64;
                texts.bad.push(broken(record, fault_line, offset, plan));
                if plan.encoding_found && plan.encoding == TextEncoding::Utf8 && faults.is_empty() {
                    texts.misfits.push(Misfit::Encoding { line: fault_line, offset });
                }
                let next = (String::new(), line + lines);
                texts.runs.push(std::mem::replace(&mut run, next));
            }
        }
        start = end;
        line += lines;
    }
    texts.runs.push(run);
    texts.misfits.truncate(1);
    texts
}

/// The offset in the file of a place in the text, which differ where UTF-16 was made UTF-8.
fn in_file(place: u64, faults: &[(u64, u64)]) -> u64 {
    faults.iter().find(|(at, _)| *at == place).map_or(place, |(_, offset)| *offset)
}

fn broken(record: &[u8], line: u64, offset: u64, plan: &Plan) -> BadRow {
    let reason = format!("the bytes are not {}", plan.encoding_name);
    BadRow::new(line, BadKind::Encoding { offset }, reason, plan.encoding.decode_lossy(record).as_bytes())
}
