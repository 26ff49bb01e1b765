//! How many bytes each row of an argument holds.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::growth;

/// What a value takes beside its bytes: an offset or a view.
const SLOT_BYTES: u64 = 8;

/// One call of a function on one batch.
#[derive(Debug)]
pub(super) struct Call<'a> {
    args: &'a [ColumnarValue],
    constant: bool,
    /// Rows that the function works on: one when all its arguments are constants.
    pub(super) rows: usize,
}

/// A number for each row, or one for all of them.
#[derive(Debug)]
pub(super) enum PerRow<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T: Copy> PerRow<T> {
    pub(super) fn at(&self, row: usize) -> T {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[row],
        }
    }
}

impl PerRow<i64> {
    pub(super) fn each(&self, rows: usize) -> impl Iterator<Item = i64> {
        (0..rows).map(|row| self.at(row))
    }
}

impl PerRow<u64> {
    pub(super) fn total(&self, rows: usize) -> u64 {
        match self {
            Self::Same(value) => value.saturating_mul(rows as u64),
            Self::Each(values) => values.iter().fold(0, |sum, value| sum.saturating_add(*value)),
        }
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(args: &'a [ColumnarValue], rows: usize) -> Self {
        let constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        Self { args, constant, rows: if constant { 1 } else { rows } }
    }

    /// Whether no argument differs from row to row.
    pub(super) fn is_constant(&self) -> bool {
        self.constant
    }

    pub(super) fn count(&self) -> usize {
        self.args.len()
    }

    pub(super) fn has(&self, arg: usize) -> bool {
        arg < self.args.len()
    }

    fn of<T: Copy>(&self, arg: usize, read: impl Fn(&ArrayRef) -> Result<Vec<T>>) -> Result<PerRow<T>> {
        match &self.args[arg] {
            ColumnarValue::Array(array) => Ok(PerRow::Each(read(array)?)),
            ColumnarValue::Scalar(scalar) => Ok(PerRow::Same(read(&scalar.to_array()?)?[0])),
        }
    }

    /// Bytes of each row, text without what it takes beside them.
    pub(super) fn bytes(&self, arg: usize) -> Result<PerRow<u64>> {
        self.of(arg, |array| Ok(row_bytes(array)))
    }

    /// Elements of each list.
    pub(super) fn elements(&self, arg: usize) -> Result<PerRow<u64>> {
        self.of(arg, |array| Ok(list_lengths(array)))
    }

    /// Whole numbers; NULL is 0, and so is what is no number.
    pub(super) fn numbers(&self, arg: usize) -> Result<PerRow<i64>> {
        self.of(arg, |array| {
            let Ok(numbers) = cast(array, &DataType::Int64) else { return Ok(vec![0; array.len()]) };
            Ok(numbers.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect())
        })
    }

    /// Nanoseconds of the unit of a time; `None` for an argument that is a number.
    pub(super) fn unit_ns(&self, arg: usize) -> Option<i128> {
        match self.args[arg].data_type() {
            DataType::Date32 => Some(86_400_000_000_000),
            DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
            _ => None,
        }
    }

    /// Intervals in nanoseconds; NULL is 0.
    pub(super) fn interval_ns(&self, arg: usize) -> Result<PerRow<i128>> {
        self.of(arg, |array| {
            let monthly = DataType::Interval(IntervalUnit::MonthDayNano);
            let Ok(intervals) = cast(array, &monthly) else { return Ok(vec![0; array.len()]) };
            let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
            let each = intervals.iter().map(|interval| {
                interval.map_or(0, |it| growth::interval_ns(it.months, it.days, it.nanoseconds))
            });
            Ok(each.collect())
        })
    }

    /// The one value of a constant text; `None` for another argument.
    pub(super) fn constant(&self, arg: usize) -> Option<&str> {
        match self.args.get(arg)? {
            ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        }
    }

    /// The texts of an argument; of a constant, one.
    pub(super) fn texts(&self, arg: usize) -> Result<Vec<String>> {
        let array = match &self.args[arg] {
            ColumnarValue::Array(array) => ArrayRef::clone(array),
            ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        };
        let Ok(texts) = cast(&array, &DataType::Utf8) else { return Ok(Vec::new()) };
        Ok(texts.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
    }

    /// Bytes that a character of the argument has at most.
    pub(super) fn widest(&self, arg: usize) -> u64 {
        let ascii = match &self.args[arg] {
            ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten().is_none_or(str::is_ascii),
            ColumnarValue::Array(array) => match array.data_type() {
                DataType::Utf8 => array.as_string::<i32>().is_ascii(),
                DataType::LargeUtf8 => array.as_string::<i64>().is_ascii(),
                DataType::Utf8View => array.as_string_view().is_ascii(),
                _ => true,
            },
        };
        if ascii { 1 } else { 4 }
    }
}

/// Bytes of each row of `array`.
pub(super) fn row_bytes(array: &dyn Array) -> Vec<u64> {
    match array.data_type() {
        DataType::Utf8 => lengths(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => lengths(array.as_string::<i64>().value_offsets()),
        DataType::Binary => lengths(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => lengths(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => without_nulls(array, array.as_string_view().lengths()),
        DataType::BinaryView => without_nulls(array, array.as_binary_view().lengths()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            spans(list.value_offsets(), list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            spans(list.value_offsets(), list.values())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            spans(map.value_offsets(), map.entries())
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or_default();
            let offsets: Vec<i64> = (0..=array.len()).map(|row| (row * size) as i64).collect();
            spans(&offsets, array.as_fixed_size_list().values())
        }
        DataType::Struct(_) => {
            let mut sums = vec![0_u64; array.len()];
            for column in array.as_struct().columns() {
                for (sum, bytes) in sums.iter_mut().zip(row_bytes(column)) {
                    *sum = sum.saturating_add(bytes).saturating_add(SLOT_BYTES);
                }
            }
            sums
        }
        DataType::FixedSizeBinary(size) => vec![u64::from(size.unsigned_abs()); array.len()],
        other => vec![other.primitive_width().map_or(2 * SLOT_BYTES, |width| width as u64); array.len()],
    }
}

/// A view of NULL may say any length.
fn without_nulls(array: &dyn Array, lengths: impl Iterator<Item = u32>) -> Vec<u64> {
    lengths.enumerate().map(|(row, length)| if array.is_null(row) { 0 } else { u64::from(length) }).collect()
}

fn list_lengths(array: &dyn Array) -> Vec<u64> {
    match array.data_type() {
        DataType::List(_) => lengths(array.as_list::<i32>().value_offsets()),
        DataType::LargeList(_) => lengths(array.as_list::<i64>().value_offsets()),
        DataType::FixedSizeList(_, size) => vec![u64::from(size.unsigned_abs()); array.len()],
        _ => vec![1; array.len()],
    }
}

fn lengths<O: arrow::array::OffsetSizeTrait>(offsets: &[O]) -> Vec<u64> {
    offsets.windows(2).map(|pair| (pair[1] - pair[0]).as_usize() as u64).collect()
}

/// What the elements of each list add up to.
fn spans<O: arrow::array::OffsetSizeTrait>(offsets: &[O], elements: &dyn Array) -> Vec<u64> {
    if let Some(width) = elements.data_type().primitive_width() {
        let each = width as u64 + SLOT_BYTES;
        return lengths(offsets).into_iter().map(|count| count.saturating_mul(each)).collect();
    }
    let mut sums = Vec::with_capacity(elements.len() + 1);
    let mut sum = 0_u64;
    sums.push(sum);
    for bytes in row_bytes(elements) {
        sum = sum.saturating_add(bytes).saturating_add(SLOT_BYTES);
        sums.push(sum);
    }
    offsets.windows(2).map(|pair| sums[pair[1].as_usize()].saturating_sub(sums[pair[0].as_usize()])).collect()
}
