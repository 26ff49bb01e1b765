//! XLSX sheets as cells, row by row: never as a dense range, which one cell in the last corner would make enormous.

use std::{
    io::{BufReader, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use calamine::{Cell, CellErrorType, DataRef, ExcelDateTime, Reader, Xlsx, XlsxCellReader};

use super::{
    cells::{Cells, Kind, offset},
    chunk::{Body, Chunk},
    contract::{Contract, Format},
    error::{BadKind, BadRow, DecodeError, LimitName},
    header::HeadRow,
    limits::DecodeLimits,
    source::{Counted, Progress, ReadSeek, Source},
    typed,
};

type Input = BufReader<Counted<Box<dyn ReadSeek>>>;

/// The XML of a workbook, when `DecodeLimits` has no absolute cap.
const DECOMPRESSED_BYTES_MAX: u64 = 4 << 30;
/// Shared strings are in memory as a whole.
const SHARED_STRINGS_BYTES_MAX: u64 = 512 << 20;

/// The cells of one row that hold something, with the row's number (from 1).
struct SheetRow {
    number: u64,
    cells: Vec<(usize, String, Kind)>,
}

/// The first rows of a sheet, and the sheet's name.
pub(super) struct Head {
    pub(super) sheet: String,
    pub(super) rows: Vec<HeadRow>,
}

/// Reads at most `count` rows below the rows to skip.
pub(super) fn head(
    source: &Source,
    sheet: Option<&str>,
    skip_rows: u64,
    count: usize,
    limits: &DecodeLimits,
) -> Result<Head, DecodeError> {
    check_sizes(source, limits)?;
    let progress = Progress::of(source)?;
    let mut book = open_book(source, &progress)?;
    let sheet = choose(source, &book, sheet)?;
    let mut sparse = Vec::new();
    let mut rows = open_rows(source, &mut book, &sheet)?;
    while sparse.len() < count
        && let Some(row) = typed::guarded(source, Format::Xlsx, &format!("sheet `{sheet}`"), || rows.next())?
    {
        if row.number > skip_rows {
            sparse.push(row);
        }
    }
    let width = sparse.iter().flat_map(|row| &row.cells).map(|(column, ..)| column + 1).max().unwrap_or(0);
    if width > limits.columns {
        let reason = format!("expected at most {} columns, got a cell in column {width}", limits.columns);
        return Err(DecodeError::OverLimit { what: LimitName::Columns, reason });
    }
    let dense = |row: SheetRow| {
        let mut cells = vec![(String::new(), Kind::Null); width];
        for (column, text, kind) in row.cells {
            cells[column] = (text, kind);
        }
        cells
    };
    Ok(Head { sheet, rows: sparse.into_iter().map(dense).collect() })
}

/// Chunks of cells, made by a thread of their own: the reader of a sheet borrows its workbook.
pub(super) struct SheetChunks {
    chunks: Receiver<Result<Chunk, DecodeError>>,
}

impl SheetChunks {
    pub(super) fn open(
        source: &Source,
        contract: &Contract,
        limits: &DecodeLimits,
        progress: &Progress,
    ) -> Result<Self, DecodeError> {
        check_sizes(source, limits)?;
        // Two chunks ahead are enough to keep parsers busy.
        let (sender, chunks) = sync_channel(2);
        let work = Work {
            source: source.clone(),
            contract: contract.clone(),
            limits: limits.clone(),
            progress: progress.clone(),
        };
        thread::Builder::new().name("xlsx".to_owned()).spawn(move || {
            let read =
                typed::guarded(&work.source, Format::Xlsx, "sheet", || Ok::<_, String>(work.run(&sender)));
            if let Err(error) | Ok(Err(error)) = read {
                // The other end is gone when nobody wants the rest.
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(Self { chunks })
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk>, DecodeError> {
        self.chunks.recv().ok().transpose()
    }
}

struct Work {
    source: Source,
    contract: Contract,
    limits: DecodeLimits,
    progress: Progress,
}

impl Work {
    fn run(&self, sender: &SyncSender<Result<Chunk, DecodeError>>) -> Result<(), DecodeError> {
        let mut book = open_book(&self.source, &self.progress)?;
        let sheet = choose(&self.source, &book, self.contract.sheet.as_deref())?;
        let mut rows = open_rows(&self.source, &mut book, &sheet)?;
        let mut header = self.contract.has_header;
        let mut block = self.block();
        let malformed = |error| self.source.malformed(Format::Xlsx, format!("sheet `{sheet}`: {error}"));
        while let Some(row) = rows.next().map_err(malformed)? {
            if row.number <= self.contract.skip_rows {
                continue;
            }
            if std::mem::take(&mut header) {
                continue;
            }
            self.add(&mut block, row);
            if block.0.text.len() >= self.limits.chunk_bytes
                || block.0.fields.len() * 8 >= self.limits.chunk_bytes
            {
                let (cells, bad) = std::mem::replace(&mut block, self.block());
                if sender.send(Ok(Chunk(Body::Cells { cells, bad }))).is_err() {
                    return Ok(());
                }
            }
        }
        let (cells, bad) = block;
        let _ = sender.send(Ok(Chunk(Body::Cells { cells, bad })));
        Ok(())
    }

    fn block(&self) -> (Cells, Vec<BadRow>) {
        (Cells { columns: self.contract.columns.len(), ..Cells::default() }, Vec::new())
    }

    /// Cells to the right of the table and cells that are too long make a row wrong; missing cells are empty.
    fn add(&self, (cells, bad): &mut (Cells, Vec<BadRow>), row: SheetRow) {
        let start = cells.text.len();
        let first = cells.fields.len();
        cells.fields.resize(first + cells.columns, (offset(start), offset(start)));
        cells.kinds.resize(first + cells.columns, Kind::Null);
        let mut wrong = None;
        for (column, text, kind) in row.cells {
            let place = cells.text.len();
            cells.text.push_str(&text);
            if column >= cells.columns {
                let reason =
                    format!("expected {} columns, got a cell in column {}", cells.columns, column + 1);
                wrong = Some((BadKind::Ragged, reason));
            } else {
                cells.fields[first + column] = (offset(place), offset(place + text.len()));
                cells.kinds[first + column] = kind;
            }
            if text.len() > self.limits.field_bytes {
                let reason = format!(
                    "expected at most {} bytes in a cell, got {}",
                    self.limits.field_bytes,
                    text.len()
                );
                wrong = Some((BadKind::TooLong(LimitName::FieldBytes), reason));
            }
            cells.text.push('\t');
        }
        match wrong {
            None => cells.push_row(row.number, start, cells.text.len()),
            Some((kind, reason)) => {
                bad.push(BadRow::new(row.number, kind, reason, &cells.text.as_bytes()[start..]));
                cells.fields.truncate(first);
                cells.kinds.truncate(first);
                cells.text.truncate(start);
            }
        }
    }
}

/// Gathers the stream of cells into rows. Empty rows are no rows.
struct Rows<'a> {
    cells: XlsxCellReader<'a, Input>,
    held: Option<(u32, usize, String, Kind)>,
    /// The reader must not be asked again after its end.
    done: bool,
}

impl Rows<'_> {
    fn next(&mut self) -> Result<Option<SheetRow>, calamine::XlsxError> {
        let mut row: Option<(u32, SheetRow)> = None;
        loop {
            let cell = match self.held.take() {
                Some(cell) => cell,
                None if self.done => return Ok(row.map(|(_, row)| row)),
                None => match self.cells.next_cell()? {
                    None => {
                        self.done = true;
                        continue;
                    }
                    Some(cell) => match read_cell(&cell) {
                        Some(cell) => cell,
                        None => continue,
                    },
                },
            };
            let (index, column, text, kind) = cell;
            match &mut row {
                None => {
                    let cells = vec![(column, text, kind)];
                    row = Some((index, SheetRow { number: u64::from(index) + 1, cells }));
                }
                Some((same, row)) if *same == index => row.cells.push((column, text, kind)),
                Some(_) => {
                    self.held = Some((index, column, text, kind));
                    return Ok(row.map(|(_, row)| row));
                }
            }
        }
    }
}

fn read_cell(cell: &Cell<DataRef<'_>>) -> Option<(u32, usize, String, Kind)> {
    let (row, column) = cell.get_position();
    let (text, kind) = match cell.get_value() {
        DataRef::Empty | DataRef::Error(CellErrorType::NA) => return None,
        DataRef::Int(value) => (value.to_string(), Kind::Number),
        DataRef::Float(value) => (number(*value), Kind::Number),
        DataRef::String(text) => (text.clone(), Kind::Text),
        DataRef::SharedString(text) => ((*text).to_owned(), Kind::Text),
        DataRef::Bool(value) => (value.to_string(), Kind::Bool),
        DataRef::DateTime(value) => moment(value),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => (text.clone(), Kind::Text),
        DataRef::Error(error) => (error.to_string(), Kind::Text),
    };
    Some((row, usize::try_from(column).unwrap_or(usize::MAX), text, kind))
}

/// A day, a day with a time, a time alone, or a length of time in days: a sheet keeps all four as one number.
fn moment(value: &ExcelDateTime) -> (String, Kind) {
    if value.is_duration() {
        return (number(value.as_f64()), Kind::Number);
    }
    let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}.{milli:03}");
    let text = match (value.as_f64() < 1.0, (hour, minute, second, milli)) {
        (true, _) => time,
        (false, (0, 0, 0, 0)) => format!("{year:04}-{month:02}-{day:02}"),
        (false, _) => format!("{year:04}-{month:02}-{day:02}T{time}"),
    };
    (text, Kind::Text)
}

/// Every number of a sheet is a double; whole ones are shown without a point, as the sheet shows them.
fn number(value: f64) -> String {
    format!("{value}")
}

fn open_book(source: &Source, progress: &Progress) -> Result<Xlsx<Input>, DecodeError> {
    let input = BufReader::new(Counted { inner: source.open()?, progress: progress.clone() });
    typed::guarded(source, Format::Xlsx, "workbook", || Xlsx::new(input))
}

fn open_rows<'a>(source: &Source, book: &'a mut Xlsx<Input>, sheet: &str) -> Result<Rows<'a>, DecodeError> {
    let place = format!("sheet `{sheet}`");
    let cells = typed::guarded(source, Format::Xlsx, &place, || book.worksheet_cells_reader(sheet))?;
    Ok(Rows { cells, held: None, done: false })
}

fn choose(source: &Source, book: &Xlsx<Input>, wanted: Option<&str>) -> Result<String, DecodeError> {
    let names = book.sheet_names();
    let found = match wanted {
        None => names.first(),
        Some(wanted) => names.iter().find(|name| *name == wanted),
    };
    found.cloned().ok_or_else(|| match wanted {
        None => source.malformed(Format::Xlsx, "it has no sheets"),
        Some(wanted) => DecodeError::BadOption {
            option: "sheet",
            reason: format!("no sheet named `{wanted}`; the sheets are `{}`", names.join("`, `")),
        },
    })
}

/// Decompresses every part of the archive into nothing: what its directory says about sizes may be a lie.
fn check_sizes(source: &Source, limits: &DecodeLimits) -> Result<(), DecodeError> {
    let over = |reason| DecodeError::OverLimit { what: LimitName::DecompressedBytes, reason };
    let input = BufReader::new(source.open()?);
    let mut archive = typed::guarded(source, Format::Xlsx, "archive", || zip::ZipArchive::new(input))?;
    let ratio = source.size()?.saturating_mul(limits.ratio).max(limits.ratio_free_bytes);
    let max = limits.decompressed_bytes.unwrap_or(DECOMPRESSED_BYTES_MAX).min(ratio);
    let mut left = max;
    for index in 0..archive.len() {
        let place = format!("part {index}");
        let (name, length) = typed::guarded(source, Format::Xlsx, &place, || {
            let part = archive.by_index(index).map_err(|error| error.to_string())?;
            let name = part.name().map_err(|error| error.to_string())?.into_owned();
            let length = std::io::copy(&mut part.take(left + 1), &mut std::io::sink());
            length.map(|length| (name, length)).map_err(|error| error.to_string())
        })?;
        let strings = name.ends_with("sharedStrings.xml") && length > SHARED_STRINGS_BYTES_MAX;
        if strings {
            return Err(over(format!(
                "expected at most {SHARED_STRINGS_BYTES_MAX} bytes of shared strings, got {length}"
            )));
        }
        left = left
            .checked_sub(length)
            .ok_or_else(|| over(format!("expected at most {max} bytes, got more")))?;
    }
    Ok(())
}
