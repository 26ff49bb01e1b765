//! Turns a block of text cells into an Arrow batch, column by column.

use std::ops::Range;
use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBuilder, PrimitiveArray, PrimitiveBuilder, StringBuilder},
    compute::filter_record_batch,
    datatypes::{
        ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
        UInt64Type,
    },
    error::ArrowError,
    record_batch::{RecordBatch, RecordBatchOptions},
};

use shirabe_native::era;

use super::{
    cells::{Cells, Kind},
    chunk::Misfit,
    column_type::ColumnType,
    contract::{Basis, ContractColumn},
    dates,
    error::{BadKind, BadRow},
    plan::Plan,
    values,
};

pub(super) struct Converted {
    pub(super) batch: RecordBatch,
    pub(super) bad: Vec<BadRow>,
    pub(super) misfits: Vec<Misfit>,
}

/// Rows with a value that does not fit a fixed type are left out of the batch; a value that does not fit a type
/// that was only found is a misfit, and then the batch is of no use.
pub(super) fn convert(cells: &Cells, plan: &Plan) -> Result<Converted, ArrowError> {
    let rows = cells.rows.len();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(plan.columns.len());
    let mut bad: Vec<Option<BadRow>> = Vec::new();
    let mut misfits = Vec::new();
    for (index, column) in plan.columns.iter().enumerate() {
        let mut view = View {
            cells,
            plan,
            index,
            column_type: column.column_type,
            loose: column.basis == Basis::Given,
            missed: Vec::new(),
        };
        arrays.push(view.array()?);
        for row in view.missed {
            if column.basis == Basis::Found {
                misfits.push(misfit(cells, row, index, column));
                break;
            }
            if bad.is_empty() {
                bad.resize(rows, None);
            }
            bad[row].get_or_insert_with(|| wrong_value(cells, row, index, column));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let mut batch = RecordBatch::try_new_with_options(Arc::clone(&plan.schema), arrays, &options)?;
    if !bad.is_empty() {
        let keep: BooleanArray = bad.iter().map(|row| Some(row.is_none())).collect();
        batch = filter_record_batch(&batch, &keep)?;
    }
    Ok(Converted { batch, bad: bad.into_iter().flatten().collect(), misfits })
}

fn misfit(cells: &Cells, row: usize, index: usize, column: &ContractColumn) -> Misfit {
    Misfit::Value {
        line: cells.rows[row].line,
        column: column.name.clone(),
        value: shown(cells.get(row, index)),
    }
}

fn wrong_value(cells: &Cells, row: usize, index: usize, column: &ContractColumn) -> BadRow {
    let reason = format!(
        "column `{}`: expected {}, got `{}`",
        column.name,
        column.column_type,
        shown(cells.get(row, index))
    );
    let bad = cells.bad_row(row, BadKind::Value, reason);
    BadRow { column: Some(index + 1), column_name: Some(column.name.clone()), ..bad }
}

fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 100;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One column of a block, and the rows of it that did not fit.
struct View<'a> {
    cells: &'a Cells,
    plan: &'a Plan,
    index: usize,
    column_type: ColumnType,
    loose: bool,
    missed: Vec<usize>,
}

impl View<'_> {
    fn array(&mut self) -> Result<ArrayRef, ArrowError> {
        let (loose, era_dates) = (self.loose, self.plan.era_dates);
        Ok(match self.column_type {
            ColumnType::Bool => Arc::new(self.booleans()),
            ColumnType::Int64 => Arc::new(self.numbers::<Int64Type>(|text| values::int64(text, loose))),
            ColumnType::Uint64 => Arc::new(self.numbers::<UInt64Type>(|text| values::uint64(text, loose))),
            ColumnType::Float64 => Arc::new(self.numbers::<Float64Type>(|text| values::float64(text, loose))),
            ColumnType::Decimal { precision, scale } => {
                let array =
                    self.numbers::<Decimal128Type>(|text| values::decimal(text, precision, scale, loose));
                Arc::new(array.with_precision_and_scale(precision, scale.cast_signed())?)
            }
            ColumnType::Date => Arc::new(self.numbers::<Date32Type>(|text| day(text, loose, era_dates))),
            ColumnType::Datetime => {
                Arc::new(self.numbers::<TimestampMicrosecondType>(|text| wall(text, loose, era_dates)))
            }
            ColumnType::DatetimeUtc => {
                let parse = |text: &[u8]| dates::datetime(text, loose).and_then(dates::Written::utc);
                Arc::new(self.numbers::<TimestampMicrosecondType>(parse).with_timezone("UTC"))
            }
            ColumnType::String => Arc::new(self.strings()),
        })
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        parse: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.cells.rows.len());
        let bytes = self.cells.text.as_bytes();
        self.each(|cell| {
            let value = cell.clone().and_then(|cell| parse(&bytes[cell]));
            builder.append_option(value);
            cell.is_none() || value.is_some()
        });
        builder.finish()
    }

    fn booleans(&mut self) -> BooleanArray {
        let mut builder = BooleanBuilder::with_capacity(self.cells.rows.len());
        let bytes = self.cells.text.as_bytes();
        self.each(|cell| {
            let value = cell.clone().and_then(|cell| values::boolean(&bytes[cell]));
            builder.append_option(value);
            cell.is_none() || value.is_some()
        });
        builder.finish()
    }

    fn strings(&mut self) -> arrow::array::StringArray {
        let cells = self.cells;
        let bytes = cells.column(self.index).map(|cell| cell.len()).sum();
        let mut builder = StringBuilder::with_capacity(cells.rows.len(), bytes);
        self.each(|cell| {
            builder.append_option(cell.map(|cell| &cells.text[cell]));
            true
        });
        builder.finish()
    }

    /// Gives `take` every cell's place in the text, `None` for null, and notes the rows where it answers `false`.
    #[inline]
    fn each(&mut self, mut take: impl FnMut(Option<Range<usize>>) -> bool) {
        let (cells, nulls) = (self.cells, &self.plan.nulls);
        let bytes = cells.text.as_bytes();
        let all_plain = cells.kinds.is_empty();
        for (row, cell) in cells.column(self.index).enumerate() {
            let kind = if all_plain { Kind::Plain } else { cells.kind(row, self.index) };
            let null = kind == Kind::Null || nulls.has(&bytes[cell.clone()]);
            let written_so = all_plain || null || self.loose || written_as(kind, self.column_type);
            if !take((!null).then_some(cell)) || !written_so {
                self.missed.push(row);
            }
        }
    }
}

/// Whether a cell that the format marks as `kind` may become a value of the type that was found.
fn written_as(kind: Kind, column_type: ColumnType) -> bool {
    match kind {
        Kind::Plain | Kind::Null => true,
        _ if column_type == ColumnType::String => true,
        Kind::Bool => column_type == ColumnType::Bool,
        Kind::Number => matches!(
            column_type,
            ColumnType::Int64 | ColumnType::Uint64 | ColumnType::Float64 | ColumnType::Decimal { .. }
        ),
        Kind::Text => {
            matches!(column_type, ColumnType::Date | ColumnType::Datetime | ColumnType::DatetimeUtc)
        }
        Kind::Nested => false,
    }
}

fn day(text: &[u8], loose: bool, era_dates: bool) -> Option<i32> {
    dates::date(text, loose).or_else(|| {
        let text = if era_dates { std::str::from_utf8(text).ok()? } else { return None };
        era::date(text)
    })
}

/// Microseconds on the wall clock; a day alone is its midnight.
fn wall(text: &[u8], loose: bool, era_dates: bool) -> Option<i64> {
    match dates::datetime(text, loose) {
        Some(written) if written.offset_minutes.is_none() => Some(written.micros),
        Some(_) => None,
        None => day(text, loose, era_dates).map(dates::midnight),
    }
}
