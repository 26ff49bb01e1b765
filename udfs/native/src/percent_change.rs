//! `percent_change(old, new)`

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::arrays::over_arrays;
use crate::numbers::{Exact, coerce_pair, divide, power_of_ten, quotient_scale, quotient_type};

#[user_doc(
    doc_section(label = "Arithmetic"),
    description = "The change from an old to a new value in percent of the old one: 25 for 100 and 125, where \
`pct_change` of pandas gives 0.25. It is measured against the size of the old value, so that its sign tells the \
direction also when the old value was negative, and is NULL when the old value is zero. Decimals stay exact, with six \
digits after the point more than the arguments.",
    syntax_example = "percent_change(old, new)",
    sql_example = r#"```sql
> SELECT percent_change(100, 125) AS up, percent_change(-100, -150) AS down, percent_change(0, 5) AS nothing;
+------+-------+---------+
| up   | down  | nothing |
+------+-------+---------+
| 25.0 | -50.0 |         |
+------+-------+---------+
```"#,
    argument(name = "old", description = "The number before; zero gives NULL."),
    argument(name = "new", description = "The number after."),
    related_udf(name = "safe_divide")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PercentChange {
    signature: Signature,
}

impl PercentChange {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PercentChange {
    fn name(&self) -> &str {
        "percent_change"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_pair(self.name(), types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(quotient_type(types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(args, |arrays| Ok(changes(&arrays[0], &arrays[1])))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn changes(old: &ArrayRef, new: &ArrayRef) -> ArrayRef {
    match (old.data_type(), new.data_type()) {
        (DataType::Decimal128(_, old_scale), DataType::Decimal128(_, new_scale)) => {
            let (old_scale, new_scale) = (*old_scale, *new_scale);
            let scale = quotient_scale(old_scale, new_scale);
            let (old, new) = (old.as_primitive::<Decimal128Type>(), new.as_primitive::<Decimal128Type>());
            let changes: Decimal128Array = old
                .iter()
                .zip(new)
                .map(|(old, new)| exact((old?, old_scale), (new?, new_scale), scale))
                .collect();
            Arc::new(changes.with_data_type(DataType::Decimal128(38, scale)))
        }
        (DataType::Int64, DataType::Int64) => {
            let (old, new) = (old.as_primitive::<Int64Type>(), new.as_primitive::<Int64Type>());
            let changes = old.iter().zip(new).map(|(old, new)| whole(old?, new?));
            Arc::new(changes.collect::<Float64Array>())
        }
        _ => {
            let (old, new) = (old.as_primitive::<Float64Type>(), new.as_primitive::<Float64Type>());
            let changes = old.iter().zip(new).map(|(old, new)| float(old?, new?));
            Arc::new(changes.collect::<Float64Array>())
        }
    }
}

fn float(old: f64, new: f64) -> Option<f64> {
    (old != 0.0).then(|| (new - old) / old.abs() * 100.0)
}

/// The difference is taken before there is a float, so that large numbers that are near each other differ.
fn whole(old: i64, new: i64) -> Option<f64> {
    let difference = i128::from(new) - i128::from(old);
    (old != 0).then(|| difference as f64 * 100.0 / i128::from(old).abs() as f64)
}

fn exact(old: (i128, i8), new: (i128, i8), scale: i8) -> Option<i128> {
    let common = old.1.max(new.1);
    let at_common = |(unscaled, scale): (i128, i8)| {
        let shift = i32::from(common) - i32::from(scale);
        i256::from_i128(unscaled).checked_mul(power_of_ten(shift.unsigned_abs())?)
    };
    let (old, new) = (at_common(old)?, at_common(new)?);
    let difference = new.checked_sub(old)?.checked_mul(i256::from_i128(100))?;
    let part = |unscaled| Exact { unscaled, scale: common };
    divide(part(difference), part(old.wrapping_abs()), scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, decimals, shown};

    #[test]
    fn changes_have_the_sign_of_their_direction() {
        let whole = |value: i64| column::<Int64Type>(&[Some(value)]);
        let float = |value: f64| column::<Float64Type>(&[Some(value)]);
        check(&whole(100), &whole(125), "25.0");
        check(&whole(100), &whole(100), "0.0");
        check(&whole(-100), &whole(50), "150.0");
        check(&whole(-100), &whole(-150), "-50.0");
        check(&whole(0), &whole(5), "");
        check(&whole(9_007_199_254_740_993), &whole(9_007_199_254_740_994), "1.1102230246251565e-14");
        check(&whole(i64::MIN), &whole(i64::MAX), "200.0");
        check(&float(0.5), &float(0.75), "50.0");
        check(&float(0.0), &float(0.75), "");
        check(&column::<Int64Type>(&[None]), &whole(1), "");
        check(&decimals(&[Some(300)], 2), &decimals(&[Some(1)], 0), "-66.66666667");
        check(&decimals(&[Some(0)], 2), &decimals(&[Some(1)], 0), "");
        check(&decimals(&[Some(i128::MAX / 10)], 38), &decimals(&[Some(i128::MIN / 10)], -38), "");

        #[track_caller]
        fn check(old: &ArrayRef, new: &ArrayRef, expected: &str) {
            assert_eq!(shown(&changes(old, new)), [expected]);
        }
    }
}
