//! Whether two engines gave the same rows.

use std::io::Cursor;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use shirabe_benches::Outcome;

/// How far apart fractions may be: one engine divides decimals, another floats.
const TOLERANCE: f64 = 1e-4;

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Null,
    Number(f64),
    Text(String),
}

/// The batches of an Arrow stream.
pub(super) fn of_ipc(body: &[u8]) -> Outcome<Vec<RecordBatch>> {
    Ok(StreamReader::try_new(Cursor::new(body), None)?.collect::<Result<_, _>>()?)
}

/// Fails unless both hold the same rows, in whatever order; whole numbers and text are compared exactly.
pub(super) fn same(what: &str, ours: &[RecordBatch], theirs: &[RecordBatch]) -> Outcome<()> {
    let (ours, theirs) = (sorted(ours)?, sorted(theirs)?);
    if ours.len() != theirs.len() {
        return Err(format!("{what}: {} rows here, {} there", ours.len(), theirs.len()).into());
    }
    match ours.iter().zip(&theirs).find(|(ours, theirs)| !near(ours, theirs)) {
        None => Ok(()),
        Some((ours, theirs)) => Err(format!("{what}: {ours:?} here, {theirs:?} there").into()),
    }
}

pub(super) fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn near(ours: &[Cell], theirs: &[Cell]) -> bool {
    let near = |pair: (&Cell, &Cell)| match pair {
        (Cell::Number(a), Cell::Number(b)) if a.fract() != 0.0 || b.fract() != 0.0 => {
            (a - b).abs() <= TOLERANCE * a.abs().max(1.0)
        }
        (a, b) => a == b,
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(near)
}

fn sorted(batches: &[RecordBatch]) -> Outcome<Vec<Vec<Cell>>> {
    let mut rows = Vec::with_capacity(count(batches));
    for batch in batches {
        let columns = batch.columns().iter().map(cells).collect::<Outcome<Vec<_>>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|cells| cells[row].clone()).collect()),
        );
    }
    rows.sort_by(|a: &Vec<Cell>, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    Ok(rows)
}

fn cells(column: &ArrayRef) -> Outcome<Vec<Cell>> {
    let is_number = column.data_type().is_numeric();
    if is_number {
        let numbers = cast(column, &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        return Ok(numbers.iter().map(|number| number.map_or(Cell::Null, Cell::Number)).collect());
    }
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let cell = |row| {
        if column.is_null(row) { Ok(Cell::Null) } else { Ok(Cell::Text(text.value(row).try_to_string()?)) }
    };
    (0..column.len()).map(cell).collect()
}
