//! `safe_divide(a, b)`

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::arrays::over_arrays;
use crate::numbers::{Exact, coerce_pair, divide, quotient_scale, quotient_type};

#[user_doc(
    doc_section(label = "Arithmetic"),
    description = "Divides, and gives NULL where the divisor is zero, so that one empty group does not fail a whole \
report; like `SAFE_DIVIDE` of BigQuery, whole numbers give a fraction. Decimals stay exact: the quotient has six digits \
after the point more than its arguments, rounded half away from zero, and is NULL past 38 digits. For an exact quotient \
of whole numbers cast one of them to DECIMAL.",
    syntax_example = "safe_divide(dividend, divisor)",
    sql_example = r#"```sql
> SELECT safe_divide(10, 4) AS ratio, safe_divide(10.00::DECIMAL(9, 2), 3) AS exact, safe_divide(1, 0) AS nothing;
+-------+------------+---------+
| ratio | exact      | nothing |
+-------+------------+---------+
| 2.5   | 3.33333333 |         |
+-------+------------+---------+
```"#,
    argument(name = "dividend", description = "A number."),
    argument(name = "divisor", description = "A number; zero gives NULL."),
    related_udf(name = "percent_change")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct SafeDivide {
    signature: Signature,
}

impl SafeDivide {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SafeDivide {
    fn name(&self) -> &str {
        "safe_divide"
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
        over_arrays(args, |arrays| Ok(quotients(&arrays[0], &arrays[1])))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn quotients(a: &ArrayRef, b: &ArrayRef) -> ArrayRef {
    match (a.data_type(), b.data_type()) {
        (DataType::Decimal128(_, a_scale), DataType::Decimal128(_, b_scale)) => {
            let (a_scale, b_scale) = (*a_scale, *b_scale);
            let scale = quotient_scale(a_scale, b_scale);
            let (a, b) = (a.as_primitive::<Decimal128Type>(), b.as_primitive::<Decimal128Type>());
            let exact = |unscaled, scale| Exact { unscaled: i256::from_i128(unscaled), scale };
            let quotients: Decimal128Array =
                a.iter().zip(b).map(|(a, b)| divide(exact(a?, a_scale), exact(b?, b_scale), scale)).collect();
            Arc::new(quotients.with_data_type(DataType::Decimal128(38, scale)))
        }
        (DataType::Int64, DataType::Int64) => {
            let (a, b) = (a.as_primitive::<Int64Type>(), b.as_primitive::<Int64Type>());
            let quotients = a.iter().zip(b).map(|(a, b)| fraction(a? as f64, b? as f64));
            Arc::new(quotients.collect::<Float64Array>())
        }
        _ => {
            let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
            Arc::new(a.iter().zip(b).map(|(a, b)| fraction(a?, b?)).collect::<Float64Array>())
        }
    }
}

fn fraction(a: f64, b: f64) -> Option<f64> {
    (b != 0.0).then_some(a / b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, decimals};

    #[test]
    fn divides_or_gives_nothing() {
        let floats = |values: &[Option<f64>]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let whole = |values: &[Option<i64>]| column::<Int64Type>(values);
        check(&floats(&[Some(6.0)]), &floats(&[Some(3.0)]), "2.0");
        check(&floats(&[Some(6.0)]), &floats(&[Some(0.0)]), "");
        check(&floats(&[Some(6.0)]), &floats(&[Some(-0.0)]), "");
        check(&floats(&[None]), &floats(&[Some(3.0)]), "");
        check(&floats(&[Some(3.0)]), &floats(&[None]), "");
        check(&whole(&[Some(1)]), &whole(&[Some(4)]), "0.25");
        check(&whole(&[Some(1)]), &whole(&[Some(0)]), "");
        check(&whole(&[Some(i64::MIN)]), &whole(&[Some(-1)]), "9.223372036854776e18");
        check(&decimals(&[Some(100)], 2), &decimals(&[Some(3)], 0), "0.33333333");
        check(&decimals(&[Some(100)], 2), &decimals(&[Some(0)], 5), "");
        check(&decimals(&[Some(i128::MAX / 10)], 0), &decimals(&[Some(1)], 30), "");

        #[track_caller]
        fn check(a: &ArrayRef, b: &ArrayRef, expected: &str) {
            let got = quotients(a, b);
            assert_eq!(crate::testing::shown(&got), [expected]);
        }
    }
}
