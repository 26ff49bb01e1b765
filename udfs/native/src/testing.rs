//! What tests need to make arrays and to read them.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, ArrowPrimitiveType, Decimal128Array, PrimitiveArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

pub(crate) fn column<T: ArrowPrimitiveType>(values: &[Option<T::Native>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<PrimitiveArray<T>>())
}

pub(crate) fn decimals(unscaled: &[Option<i128>], scale: i8) -> ArrayRef {
    let decimals: Decimal128Array = unscaled.iter().copied().collect();
    Arc::new(decimals.with_data_type(DataType::Decimal128(38, scale)))
}

/// The values as text; NULL is empty.
pub(crate) fn shown(array: &ArrayRef) -> Vec<String> {
    (0..array.len()).map(|row| array_value_to_string(array, row).unwrap()).collect()
}
