//! Looks at a file and says how to read it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use arrow::{
    datatypes::SchemaRef,
    util::display::{ArrayFormatter, FormatOptions},
};

use super::{
    cells::{Cells, Kind},
    chunk::Body,
    column_type::ColumnType,
    contract::{Basis, Compression, Contract, ContractColumn, Format, Terminator},
    detect::{self, Sample},
    encoding::TextEncoding,
    error::{DecodeError, LimitName},
    grammar::Grammar,
    header::{self, HeadRow},
    infer::{self, Candidates},
    ipc::IpcBatches,
    limits::DecodeLimits,
    ndjson,
    options::{NULL_VALUES, ReadOptions},
    parquet::ParquetBatches,
    plan::{self, Plan},
    reader::{self, ChunkReader},
    source::{Progress, Source},
    tokenise, xlsx,
};

const SAMPLE_ROWS: usize = 100;
/// Rows that are looked at for the question whether there is a header.
const HEAD_ROWS: usize = 100;

/// What was found about a file.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub contract: Contract,
    /// What batches of the file have.
    pub schema: SchemaRef,
    /// The first rows as text; `None` is null.
    pub sample_rows: Vec<Vec<Option<String>>>,
    /// Sentences for the user: what was changed or guessed.
    pub warnings: Vec<String>,
}

/// Finds out how to read a file from its first megabyte. All that `options` name is taken as named.
pub fn inspect(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
) -> Result<Inspection, DecodeError> {
    inspect_with(source, options, limits, None)
}

/// Finds out once more after the encoding failed at `offset` ([`Misfit::Encoding`](super::Misfit::Encoding)):
/// the text there shows what the first megabyte did not.
pub fn inspect_again(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
    offset: u64,
) -> Result<Inspection, DecodeError> {
    inspect_with(source, options, limits, Some(offset))
}

fn inspect_with(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
    failed_at: Option<u64>,
) -> Result<Inspection, DecodeError> {
    options.check()?;
    let sample = detect::sample(source, options, limits)?;
    if sample.format.is_typed() {
        return inspect_typed(source, sample.format, limits);
    }
    let (mut contract, mut warnings) = match sample.format {
        Format::Xlsx => inspect_sheet(source, options, limits)?,
        _ => inspect_text(source, &sample, options, limits, failed_at)?,
    };
    options.check_columns(contract.columns.iter().map(|column| column.name.as_str()))?;
    for column in &mut contract.columns {
        if let Some(named) = options.named_type(&column.name) {
            (column.column_type, column.basis) = (named, Basis::Given);
        }
    }
    let sample_rows = infer_sample(source, &mut contract, limits)?;
    if sample_rows.is_empty() {
        warnings.push("the file has no rows".to_owned());
    }
    Ok(Inspection { schema: contract.schema(), contract, sample_rows, warnings })
}

fn empty_contract(format: Format) -> Contract {
    Contract {
        format,
        compression: Compression::None,
        encoding: TextEncoding::Utf8,
        encoding_found: false,
        bom: false,
        delimiter: ',',
        quote: Some('"'),
        terminator: Terminator::Lf,
        has_header: false,
        skip_rows: 0,
        null_values: Vec::new(),
        era_dates: false,
        exact_decimals: false,
        sheet: None,
        columns_fixed: false,
        columns: Vec::new(),
    }
}

fn from_options(format: Format, options: &ReadOptions) -> Contract {
    // In JSON, null says itself what it is; `"NA"` is text unless the user says otherwise.
    let usual = if format == Format::Ndjson { &[][..] } else { &NULL_VALUES };
    let usual = || usual.iter().map(|spelling| (*spelling).to_owned()).collect();
    Contract {
        skip_rows: options.skip_rows.unwrap_or(0),
        null_values: options.null_values.clone().unwrap_or_else(usual),
        era_dates: options.era_dates.unwrap_or(false),
        exact_decimals: options.exact_decimals.unwrap_or(false),
        quote: Some(options.quote.unwrap_or('"')),
        delimiter: options.delimiter.unwrap_or(','),
        ..empty_contract(format)
    }
}

fn found_columns(names: Vec<String>) -> Vec<ContractColumn> {
    let column = |name| ContractColumn { name, column_type: ColumnType::String, basis: Basis::Found };
    names.into_iter().map(column).collect()
}

fn inspect_typed(source: &Source, format: Format, limits: &DecodeLimits) -> Result<Inspection, DecodeError> {
    let progress = Progress::of(source)?;
    let (schema, warnings, first) = if format == Format::Parquet {
        let (mut batches, warnings) = ParquetBatches::open(source, limits, &progress)?;
        (Arc::clone(batches.schema()), warnings, batches.next()?)
    } else {
        let (mut batches, warnings) = IpcBatches::open(source, format, limits, &progress)?;
        (Arc::clone(batches.schema()), warnings, batches.next()?)
    };
    let mut sample_rows = Vec::new();
    if let Some(batch) = first {
        let options = FormatOptions::default();
        let unreadable = |error: arrow::error::ArrowError| source.malformed(format, error);
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        for row in 0..batch.num_rows().min(SAMPLE_ROWS) {
            let cells = columns.iter().zip(batch.columns());
            let text = |(shown, array): (&ArrayFormatter<'_>, &arrow::array::ArrayRef)| {
                if array.is_null(row) { Ok(None) } else { shown.value(row).try_to_string().map(Some) }
            };
            sample_rows.push(cells.map(text).collect::<Result<_, _>>().map_err(unreadable)?);
        }
    }
    Ok(Inspection { contract: empty_contract(format), schema, sample_rows, warnings })
}

fn inspect_sheet(
    source: &Source,
    options: &ReadOptions,
    limits: &DecodeLimits,
) -> Result<(Contract, Vec<String>), DecodeError> {
    let mut contract = from_options(Format::Xlsx, options);
    let head = xlsx::head(source, options.sheet.as_deref(), contract.skip_rows, HEAD_ROWS, limits)?;
    contract.sheet = Some(head.sheet);
    let warnings = name_columns(&mut contract, &head.rows, options, limits)?;
    Ok((contract, warnings))
}

fn inspect_text(
    source: &Source,
    sample: &Sample,
    options: &ReadOptions,
    limits: &DecodeLimits,
    failed_at: Option<u64>,
) -> Result<(Contract, Vec<String>), DecodeError> {
    let mut contract = from_options(sample.format, options);
    contract.compression = sample.compression;
    (contract.encoding, contract.bom) = detect::text_encoding(sample, options.encoding)?;
    contract.encoding_found = options.encoding.is_none() && failed_at.is_none();
    if let Some(offset) = failed_at.filter(|_| options.encoding.is_none() && !contract.bom) {
        contract.encoding = encoding_at(source, sample, limits, offset)?.unwrap_or(contract.encoding);
    }
    let text = detect::text(sample, contract.encoding);
    if contract.format == Format::Ndjson {
        contract.columns = found_columns(all_keys(source, &contract, limits, Some(1))?);
        return Ok((contract, Vec::new()));
    }
    contract.terminator = detect::terminator(&text);
    // The text is decoded: no byte of it is half of a character.
    let grammar = Grammar { shift_jis: false, ..plan::grammar(&contract) };
    let delimiter = match options.delimiter {
        Some(delimiter) => u8::try_from(delimiter).unwrap_or(b','),
        None => detect::delimiter(&text, grammar, contract.skip_rows),
    };
    contract.delimiter = char::from(delimiter);
    let grammar = Grammar { delimiter, ..grammar };
    let rows: Vec<HeadRow> = detect::records(&text, grammar, contract.skip_rows, HEAD_ROWS)
        .into_iter()
        .map(|record| {
            tokenise::split_record(record, grammar).into_iter().map(|cell| (cell, Kind::Plain)).collect()
        })
        .collect();
    let warnings = name_columns(&mut contract, &rows, options, limits)?;
    Ok((contract, warnings))
}

/// The encoding of the text around a place where UTF-8 failed; `None` when it is UTF-8 with a fault in it.
fn encoding_at(
    source: &Source,
    sample: &Sample,
    limits: &DecodeLimits,
    offset: u64,
) -> Result<Option<TextEncoding>, DecodeError> {
    for part in source.parts() {
        // From a little before: an odd byte alone says nothing.
        let (bytes, at_end) = detect::read_at(part, sample.compression, limits, offset.saturating_sub(4096))?;
        let start = memchr::memchr(b'\n', &bytes).map_or(0, |line_end| line_end + 1);
        let text = &bytes[start..];
        // In a series, the file in which it failed is the one that is no UTF-8 there.
        if matches!(source, Source::Series { .. }) && TextEncoding::Utf8.first_fault(text, at_end).is_none() {
            continue;
        }
        return Ok(super::encoding::find(text, at_end));
    }
    Ok(None)
}

fn name_columns(
    contract: &mut Contract,
    rows: &[HeadRow],
    options: &ReadOptions,
    limits: &DecodeLimits,
) -> Result<Vec<String>, DecodeError> {
    let Some(first) = rows.first() else { return Err(DecodeError::Empty) };
    contract.has_header = options.has_header.unwrap_or_else(|| header::is_header(rows, contract));
    let (raw, nameless): (Vec<String>, bool) = match contract.has_header {
        true => (first.iter().map(|(text, _)| text.clone()).collect(), false),
        false => (vec![String::new(); first.len()], true),
    };
    if let Some(long) = raw.iter().map(String::len).find(|length| *length > limits.field_bytes) {
        let reason = format!("expected at most {} bytes in a column name, got {long}", limits.field_bytes);
        return Err(DecodeError::OverLimit { what: LimitName::FieldBytes, reason });
    }
    let (names, warnings) = header::names(&raw, limits)?;
    contract.columns = found_columns(names);
    Ok(if nameless { Vec::new() } else { warnings })
}

/// Finds the types of the columns in the first chunks, and keeps the first rows to show.
fn infer_sample(
    source: &Source,
    contract: &mut Contract,
    limits: &DecodeLimits,
) -> Result<Vec<Vec<Option<String>>>, DecodeError> {
    let plan = Plan::new(contract, limits);
    let mut reader = reader::open(source, contract, limits)?;
    let mut candidates = vec![Candidates::all(); contract.columns.len()];
    let mut rows = Vec::new();
    // More than one chunk only where bad rows fill the first.
    for _ in 0..8 {
        let Some(chunk) = reader.next_chunk()? else { break };
        let cells = chunk.split(&plan).cells;
        infer::narrow(&cells, &plan, &mut candidates);
        rows.extend(
            (0..cells.rows.len()).take(SAMPLE_ROWS - rows.len()).map(|row| shown(&cells, row, &plan)),
        );
        if rows.len() == SAMPLE_ROWS {
            break;
        }
    }
    decide(contract, &candidates);
    Ok(rows)
}

fn shown(cells: &Cells, row: usize, plan: &Plan) -> Vec<Option<String>> {
    let cell = |column| {
        let text = cells.get(row, column);
        let null = cells.kind(row, column) == Kind::Null || plan.nulls.has(text.as_bytes());
        (!null).then(|| text.to_owned())
    };
    (0..cells.columns).map(cell).collect()
}

/// A column without any value keeps the type that was expected of it, which is `string` for a new one.
fn decide(contract: &mut Contract, candidates: &[Candidates]) {
    for (column, candidates) in contract.columns.iter_mut().zip(candidates) {
        if column.basis == Basis::Found && candidates.has_seen() {
            column.column_type = candidates.decide(contract.exact_decimals);
        }
    }
}

/// The contract with types that all values of the file fit, found on `threads` threads. What is named or kept stays.
pub fn infer_all(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    threads: usize,
) -> Result<Contract, DecodeError> {
    let mut contract = contract.clone();
    if contract.format.is_typed() {
        return Ok(contract);
    }
    if contract.format == Format::Ndjson && !contract.columns_fixed {
        for name in all_keys(source, &contract, limits, None)? {
            if !contract.columns.iter().any(|column| column.name == name) {
                contract.columns.extend(found_columns(vec![name]));
            }
        }
    }
    let plan = Plan::new(&contract, limits);
    let reader = Mutex::new(reader::open(source, &contract, limits)?);
    let merged = Mutex::new(Ok(vec![Candidates::all(); contract.columns.len()]));
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let found = narrow_chunks(&reader, &plan);
                let mut merged = merged.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *merged, found) {
                    (Ok(all), Ok(found)) => {
                        all.iter_mut().zip(found).for_each(|(all, found)| all.merge(found))
                    }
                    (merged @ Ok(_), Err(error)) => *merged = Err(error),
                    (Err(_), _) => {}
                }
            });
        }
    });
    let candidates = merged.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    decide(&mut contract, &candidates);
    Ok(contract)
}

fn narrow_chunks(reader: &Mutex<ChunkReader>, plan: &Plan) -> Result<Vec<Candidates>, DecodeError> {
    let mut candidates = vec![Candidates::all(); plan.columns.len()];
    loop {
        // Locked to read only; the chunk is parsed beside the other threads.
        let chunk = reader.lock().unwrap_or_else(PoisonError::into_inner).next_chunk()?;
        let Some(chunk) = chunk else { return Ok(candidates) };
        infer::narrow(&chunk.split(plan).cells, plan, &mut candidates);
    }
}

/// The keys of the objects of an NDJSON file, or of its first chunks, in the order in which they appear.
fn all_keys(
    source: &Source,
    contract: &Contract,
    limits: &DecodeLimits,
    chunks: Option<usize>,
) -> Result<Vec<String>, DecodeError> {
    let plan = Plan::new(contract, limits);
    let mut reader = reader::open(source, contract, limits)?;
    let mut found = BTreeMap::new();
    for _ in 0..chunks.unwrap_or(usize::MAX) {
        let Some(chunk) = reader.next_chunk()? else { break };
        if let Body::Text { piece, faults, .. } = chunk.0 {
            ndjson::keys(&super::chunk::decode(piece, &faults, &plan), &mut found);
        }
        if found.len() > limits.columns {
            let reason = format!("expected at most {} keys, got {}", limits.columns, found.len());
            return Err(DecodeError::OverLimit { what: LimitName::Columns, reason });
        }
    }
    let mut keys: Vec<_> = found.into_iter().collect();
    keys.sort_by_key(|(_, place)| *place);
    Ok(keys.into_iter().map(|(name, _)| name).collect())
}
