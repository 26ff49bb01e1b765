//! `leading_digits(number, n)`

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, UInt64Type};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::arrays::{integers, over_arrays, texts};

/// As many digits as always fit in an `Int64`.
const DIGITS_MAX: i64 = 18;

#[user_doc(
    doc_section(label = "Arithmetic"),
    description = "The first n significant digits of a number, for Benford tests: sign, leading zeros and the place of \
the point count for nothing, and what is shorter ends in zeros, because 7 is 7.0. Decimals, integers and numbers in text are read digit \
by digit and never pass through a float, so that 0.58 is 58 and not 57. A float counts as the shortest decimal that reads \
back as it. NULL for zero, for what is not finite, and for text that is no number.",
    syntax_example = "leading_digits(number, n)",
    sql_example = r#"```sql
> SELECT leading_digits(-0.00581, 2) AS two, leading_digits(1500000, 1) AS one, leading_digits('7', 2) AS padded;
+-----+-----+--------+
| two | one | padded |
+-----+-----+--------+
| 58  | 1   | 70     |
+-----+-----+--------+
```"#,
    argument(
        name = "number",
        description = "A number, or text that spells one such as `-1234.50` or `1e-7`."
    ),
    argument(name = "n", description = "How many digits, 1 to 18.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeadingDigits {
    signature: Signature,
}

impl LeadingDigits {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LeadingDigits {
    fn name(&self) -> &str {
        "leading_digits"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [number, n] = types else {
            return plan_err!(
                "`leading_digits` expects a number and how many digits, got {} arguments",
                types.len()
            );
        };
        if !n.is_integer() && !n.is_null() {
            return plan_err!("`leading_digits` expects a whole number of digits, got {n}");
        }
        let number = match number {
            DataType::Null => DataType::Int64,
            DataType::UInt64 => DataType::UInt64,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            DataType::Decimal128(..) | DataType::Decimal256(..) => number.clone(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
            other if other.is_integer() => DataType::Int64,
            other if other.is_floating() => DataType::Float64,
            other => return plan_err!("`leading_digits` expects a number or text, got {other}"),
        };
        Ok(vec![number, DataType::Int64])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(args, |arrays| {
            let counts = counts(&integers(&arrays[1])?)?;
            Ok(Arc::new(digits(&arrays[0], &counts)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn counts(given: &Int64Array) -> Result<Vec<Option<u32>>> {
    let check = |n: Option<i64>| match n {
        Some(n) if !(1..=DIGITS_MAX).contains(&n) => {
            exec_err!("`leading_digits` expects 1 to {DIGITS_MAX} digits, got {n}")
        }
        n => Ok(n.and_then(|n| u32::try_from(n).ok())),
    };
    given.iter().map(check).collect()
}

fn digits(numbers: &ArrayRef, counts: &[Option<u32>]) -> Result<Int64Array> {
    let rows = counts.iter().copied();
    Ok(match numbers.data_type() {
        DataType::Int64 => {
            let numbers = numbers.as_primitive::<Int64Type>().iter();
            numbers.zip(rows).map(|(number, n)| of_integer(number?.unsigned_abs().into(), n?)).collect()
        }
        DataType::UInt64 => {
            let numbers = numbers.as_primitive::<UInt64Type>().iter();
            numbers.zip(rows).map(|(number, n)| of_integer(number?.into(), n?)).collect()
        }
        DataType::Decimal128(..) => {
            let numbers = numbers.as_primitive::<Decimal128Type>().iter();
            numbers.zip(rows).map(|(number, n)| of_integer(number?.unsigned_abs(), n?)).collect()
        }
        DataType::Decimal256(..) => {
            let numbers = numbers.as_primitive::<Decimal256Type>().iter();
            let mut text = String::new();
            numbers.zip(rows).map(|(number, n)| of_shown(number?, n?, &mut text)).collect()
        }
        DataType::Float64 => {
            let numbers = numbers.as_primitive::<Float64Type>().iter();
            let mut text = String::new();
            numbers.zip(rows).map(|(number, n)| of_shown(number?, n?, &mut text)).collect()
        }
        _ => texts(numbers)?.iter().zip(rows).map(|(text, n)| of_text(text?, n?)).collect(),
    })
}

/// The first `n` digits of a number without its point.
fn of_integer(mut number: u128, n: u32) -> Option<i64> {
    if number == 0 {
        return None;
    }
    let (low, high) = (10_u128.pow(n - 1), 10_u128.pow(n));
    while number >= high {
        number /= 10;
    }
    while number < low {
        number *= 10;
    }
    i64::try_from(number).ok()
}

fn of_shown(number: impl std::fmt::Display, n: u32, text: &mut String) -> Option<i64> {
    text.clear();
    write!(text, "{number}").ok()?;
    of_text(text, n)
}

/// The first `n` digits of `[+-]digits[.digits][e[+-]digits]`; `None` for any other text.
fn of_text(text: &str, n: u32) -> Option<i64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !is_digits(digits) {
            return None;
        }
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let significant = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let first =
        significant.take(n as usize).fold(0_u128, |first, digit| first * 10 + u128::from(digit - b'0'));
    of_integer(first, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, decimals};
    use arrow::array::StringViewArray;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_every_kind() {
        let text = |text: &str| Arc::new(StringViewArray::from(vec![text])) as ArrayRef;
        check(decimals(&[Some(58)], 2), 2, Some(58));
        check(decimals(&[Some(-5_810)], 6), 2, Some(58));
        check(decimals(&[Some(700)], 2), 2, Some(70));
        check(decimals(&[Some(7)], 0), 2, Some(70));
        check(decimals(&[Some(0)], 4), 1, None);
        check(decimals(&[Some(i128::MIN)], 0), 3, Some(170));
        check(column::<Int64Type>(&[Some(1_500_000)]), 2, Some(15));
        check(column::<Int64Type>(&[Some(3_000_000)]), 2, Some(30));
        check(column::<Int64Type>(&[Some(i64::MIN)]), 18, Some(922_337_203_685_477_580));
        check(column::<Int64Type>(&[None]), 2, None);
        check(column::<UInt64Type>(&[Some(u64::MAX)]), 3, Some(184));
        check(column::<Float64Type>(&[Some(0.58)]), 2, Some(58));
        check(column::<Float64Type>(&[Some(-1e-300)]), 1, Some(1));
        check(column::<Float64Type>(&[Some(f64::NAN)]), 1, None);
        check(column::<Float64Type>(&[Some(f64::INFINITY)]), 1, None);
        check(column::<Float64Type>(&[Some(0.0)]), 1, None);
        check(text("0012.5"), 2, Some(12));
        check(text(" -.05 "), 1, Some(5));
        check(text("5."), 1, Some(5));
        check(text("1.25e-7"), 3, Some(125));
        check(text("12345678901234567890123456789"), 4, Some(1_234));
        for no_number in
            ["", "-", ".", "abc", "12a", "1.2.3", "1,234", "e5", "1e", "1e+", "--1", "NaN", "１２"]
        {
            check(text(no_number), 1, None);
        }

        #[track_caller]
        fn check(number: ArrayRef, n: u32, expected: Option<i64>) {
            let found = digits(&number, &[Some(n)]).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), [expected]);
        }
    }

    #[test]
    fn counts_out_of_range_are_refused() {
        for n in [i64::MIN, -1, 0, 19, i64::MAX] {
            let error = counts(&Int64Array::from(vec![n])).unwrap_err().strip_backtrace();
            assert!(error.contains(&format!("expects 1 to 18 digits, got {n}")), "{error}");
        }
        assert_eq!(counts(&Int64Array::from(vec![None, Some(18)])).unwrap(), [None, Some(18)]);
    }

    proptest! {
        #[test]
        fn digits_are_those_that_are_written(number in 1_u128.., n in 1_u32..=18) {
            let written: String = number.to_string().chars().chain(std::iter::repeat('0')).take(n as usize).collect();
            prop_assert_eq!(of_integer(number, n), written.parse().ok());
            prop_assert_eq!(of_text(&number.to_string(), n), written.parse().ok());
        }

        #[test]
        fn any_text_is_read_or_not(text in ".*", n in 1_u32..=18) {
            let _ = of_text(&text, n);
        }
    }
}
