//! Types that are too large: values of a fixed size take it in each row, and a structure that holds another twice
//! doubles with each level.

use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::bounded::refused;
use crate::limits;

/// Refuses the type that `from` (a function or an operator) would make.
pub(super) fn check_type(from: &str, data_type: &DataType) -> Result<()> {
    let mut budget = Budget { parts: limits::TYPE_PARTS_MAX, row_bytes: limits::FIXED_SIZE_BYTES_MAX };
    if budget.take(data_type, 1) {
        return Ok(());
    }
    Err(refused(format!(
        "the type that `{from}` makes is too large: at most {} fields, and values of a fixed size of at most {} bytes",
        limits::TYPE_PARTS_MAX,
        limits::FIXED_SIZE_BYTES_MAX
    )))
}

struct Budget {
    parts: usize,
    row_bytes: u64,
}

impl Budget {
    /// Whether the type, `times` in each row, is still within bounds. Stops as soon as it is not.
    fn take(&mut self, data_type: &DataType, times: u64) -> bool {
        let Some(parts) = self.parts.checked_sub(1) else { return false };
        self.parts = parts;
        match data_type {
            DataType::FixedSizeBinary(size) => self.bytes(times.saturating_mul(size.unsigned_abs().into())),
            DataType::FixedSizeList(field, size) => {
                let times = times.saturating_mul(size.unsigned_abs().into());
                self.bytes(times) && self.take(field.data_type(), times)
            }
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::Map(field, _) => self.take(field.data_type(), 1),
            DataType::Struct(fields) => fields.iter().all(|field| self.take(field.data_type(), times)),
            DataType::Union(fields, _) => fields.iter().all(|(_, field)| self.take(field.data_type(), times)),
            DataType::Dictionary(_, values) => self.take(values, times),
            DataType::RunEndEncoded(_, values) => self.take(values.data_type(), times),
            other => {
                times == 1 || self.bytes(times.saturating_mul(other.primitive_width().unwrap_or(16) as u64))
            }
        }
    }

    fn bytes(&mut self, bytes: u64) -> bool {
        self.row_bytes = self.row_bytes.saturating_sub(bytes);
        self.row_bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields};

    use super::*;

    #[test]
    fn only_types_of_a_reasonable_size_pass() {
        let list =
            |size| DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Int64, true)), size);
        check(&DataType::Int64, true);
        check(&DataType::FixedSizeBinary(32), true);
        check(&DataType::FixedSizeBinary(2_000_000_000), false);
        check(&DataType::FixedSizeBinary(-1), true);
        check(&list(100), true);
        check(&list(1_000_000_000), false);
        let mut nested = DataType::Int64;
        for level in 0..30 {
            let field = |name| Field::new(name, nested.clone(), true);
            nested = DataType::Struct(Fields::from(vec![field("a"), field("b")]));
            check(&nested, level < 9);
        }

        #[track_caller]
        fn check(data_type: &DataType, expected: bool) {
            assert_eq!(check_type("f", data_type).is_ok(), expected);
        }
    }
}
