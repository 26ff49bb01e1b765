//! A sum that cannot be wrong: a value of the type that is added, and how often it went past the end of it.

use std::fmt::Debug;
use std::hash::Hash;

use arrow::array::{Array as _, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Decimal128Type, DecimalType as _, Int64Type, UInt64Type,
};
use datafusion::error::{DataFusionError, Result};

use crate::error::Error;

/// A number that is added.
pub(super) trait Addend: ArrowNativeType + Eq + Hash {
    const ZERO: Self;

    /// The sum as it is within the type, and 1 when it went past the upper end, -1 when past the lower one.
    fn plus(self, other: Self) -> (Self, i64);

    /// The same for a difference.
    fn minus(self, other: Self) -> (Self, i64);

    /// All of `values` together; at most 2^31.
    fn total(values: impl Iterator<Item = Self>) -> Total<Self>;

    /// Whether it has no more digits than values of `data_type` may have.
    fn fits(self, _data_type: &DataType) -> bool {
        true
    }
}

/// A type of columns that are added.
pub(super) trait Summed: ArrowPrimitiveType<Native: Addend> + Debug + Send + Sync {}

impl Summed for Int64Type {}
impl Summed for UInt64Type {}
impl Summed for Decimal128Type {}

impl Addend for i64 {
    const ZERO: Self = 0;

    fn plus(self, other: Self) -> (Self, i64) {
        let (sum, past) = self.overflowing_add(other);
        (sum, if past { other.signum() } else { 0 })
    }

    fn minus(self, other: Self) -> (Self, i64) {
        let (difference, past) = self.overflowing_sub(other);
        (difference, if past { -other.signum() } else { 0 })
    }

    /// Both halves of each value apart, so that nothing goes past an end and the loop needs no branch.
    fn total(values: impl Iterator<Item = Self>) -> Total<Self> {
        let (mut upper, mut lower) = (0_i64, 0_i64);
        for value in values {
            upper += value >> 32;
            lower += value & 0xFFFF_FFFF;
        }
        let total = (i128::from(upper) << 32) + i128::from(lower);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half, and what is above it")]
        Total { value: total as i64, past: ((total - i128::from(total as i64)) >> 64) as i64 }
    }
}

impl Addend for u64 {
    const ZERO: Self = 0;

    fn plus(self, other: Self) -> (Self, i64) {
        let (sum, past) = self.overflowing_add(other);
        (sum, i64::from(past))
    }

    fn minus(self, other: Self) -> (Self, i64) {
        let (difference, past) = self.overflowing_sub(other);
        (difference, -i64::from(past))
    }

    /// As that of signed numbers.
    fn total(values: impl Iterator<Item = Self>) -> Total<Self> {
        let (mut upper, mut lower) = (0_u64, 0_u64);
        for value in values {
            upper += value >> 32;
            lower += value & 0xFFFF_FFFF;
        }
        let total = (u128::from(upper) << 32) + u128::from(lower);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half, and what is above it")]
        Total { value: total as u64, past: (total >> 64) as i64 }
    }
}

impl Addend for i128 {
    const ZERO: Self = 0;

    fn plus(self, other: Self) -> (Self, i64) {
        let (sum, past) = self.overflowing_add(other);
        (sum, if past { other.signum() as i64 } else { 0 })
    }

    fn minus(self, other: Self) -> (Self, i64) {
        let (difference, past) = self.overflowing_sub(other);
        (difference, if past { -other.signum() as i64 } else { 0 })
    }

    fn total(values: impl Iterator<Item = Self>) -> Total<Self> {
        values.fold(Total::default(), |mut total, value| {
            total.add(Total { value, past: 0 });
            total
        })
    }

    fn fits(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Decimal128(precision, _) => {
                Decimal128Type::is_valid_decimal_precision(self, *precision)
            }
            _ => true,
        }
    }
}

/// A sum: `value`, and `past` times as many as the type has numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Total<V> {
    pub(super) value: V,
    pub(super) past: i64,
}

impl<V: Addend> Default for Total<V> {
    fn default() -> Self {
        Self { value: V::ZERO, past: 0 }
    }
}

impl<V: Addend> Total<V> {
    /// All values of a column that are there together; None when none is.
    pub(super) fn of<T: Summed<Native = V>>(column: &PrimitiveArray<T>) -> Option<Self> {
        if column.null_count() == column.len() {
            return None;
        }
        let values = column.values().iter().copied();
        Some(match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => V::total(values),
            Some(nulls) => {
                V::total(values.zip(nulls).map(|(value, there)| if there { value } else { V::ZERO }))
            }
        })
    }

    pub(super) fn add(&mut self, other: Self) {
        let (value, past) = self.value.plus(other.value);
        *self = Self { value, past: self.past + other.past + past };
    }

    pub(super) fn subtract(&mut self, other: Self) {
        let (value, past) = self.value.minus(other.value);
        *self = Self { value, past: self.past - other.past + past };
    }

    /// The value, if it is all there is.
    ///
    /// # Errors
    /// `BadData` when it is not.
    pub(super) fn exact(self, data_type: &DataType) -> Result<V> {
        if self.past == 0 && self.value.fits(data_type) { Ok(self.value) } else { Err(overflow(data_type)) }
    }
}

/// A total that its type does not hold.
pub(super) fn overflow(data_type: &DataType) -> DataFusionError {
    let what = match data_type {
        DataType::Decimal128(precision, _) => format!("the total has more than {precision} digits"),
        _ => "the total is no integer of 64 bits; add decimals, as in `sum(CAST(x AS DECIMAL(38, 0)))`"
            .to_owned(),
    };
    DataFusionError::External(Box::new(Error::BadData(format!("overflow happened on `sum`: {what}"))))
}
