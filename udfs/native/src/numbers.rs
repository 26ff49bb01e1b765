//! Exact arithmetic of two numbers: to which common type they go, and quotients of decimals that are rounded once.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, i256};
use datafusion_common::{Result, plan_err};

/// Digits after the point that a quotient has beyond those of its arguments.
const EXTRA_SCALE: i8 = 6;

/// Up to this scale a quotient gets all its extra digits; 18 digits are left before the point.
const COMFORTABLE_SCALE: i8 = 20;

/// The types to which two arguments go before they are divided: both `Float64` when one is a float, both `Int64`
/// when both are whole, and otherwise each a `Decimal128` of its own scale.
pub(crate) fn coerce_pair(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let [a, b] = types else {
        return plan_err!("`{name}` expects two numbers, got {} arguments", types.len());
    };
    let kinds = [Kind::of(a), Kind::of(b)];
    for (kind, given) in kinds.iter().zip(types) {
        if kind.is_none() {
            return plan_err!("`{name}` expects two numbers, got {given}: cast it to one");
        }
    }
    if kinds.contains(&Some(Kind::Float)) || a.is_null() && b.is_null() {
        return Ok(vec![DataType::Float64; 2]);
    }
    if !kinds.contains(&Some(Kind::Decimal)) {
        return Ok(vec![DataType::Int64; 2]);
    }
    Ok(types.iter().map(as_decimal).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Decimal,
    Float,
}

impl Kind {
    fn of(given: &DataType) -> Option<Self> {
        match given {
            DataType::Null => Some(Self::Integer),
            // Half of them do not fit in an `Int64`.
            DataType::UInt64 => Some(Self::Decimal),
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
                Some(Self::Decimal)
            }
            other if other.is_integer() => Some(Self::Integer),
            other if other.is_floating() => Some(Self::Float),
            _ => None,
        }
    }
}

fn as_decimal(given: &DataType) -> DataType {
    match given {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
        // Both 64-bit types fit.
        _ => DataType::Decimal128(20, 0),
    }
}

/// What two coerced types divide to.
pub(crate) fn quotient_type(types: &[DataType]) -> DataType {
    match types {
        [DataType::Decimal128(_, a), DataType::Decimal128(_, b)] => {
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, quotient_scale(*a, *b))
        }
        _ => DataType::Float64,
    }
}

/// The digits after the point of a quotient of decimals that have `a` and `b`.
pub(crate) fn quotient_scale(a: i8, b: i8) -> i8 {
    let scale = a.max(b).clamp(0, DECIMAL128_MAX_SCALE);
    scale.max((scale + EXTRA_SCALE).min(COMFORTABLE_SCALE))
}

/// A decimal: `unscaled / 10^scale`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact {
    pub(crate) unscaled: i256,
    pub(crate) scale: i8,
}

/// `a / b` with `scale` digits after the point, half away from zero; `None` when `b` is zero or the quotient has more
/// than 38 digits.
pub(crate) fn divide(a: Exact, b: Exact, scale: i8) -> Option<i128> {
    let shift = i32::from(scale) + i32::from(b.scale) - i32::from(a.scale);
    let power = power_of_ten(shift.unsigned_abs())?;
    let (above, below) = if shift >= 0 {
        (a.unscaled.checked_mul(power)?, b.unscaled)
    } else {
        (a.unscaled, b.unscaled.checked_mul(power)?)
    };
    if below == i256::ZERO {
        return None;
    }
    let (quotient, rest) = (above.checked_div(below)?, above.checked_rem(below)?);
    let rest = rest.wrapping_abs();
    // Twice the rest, without the chance that it overflows.
    let up = rest >= below.wrapping_abs().wrapping_sub(rest);
    let away = if above.is_negative() == below.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    let quotient = if up { quotient.checked_add(away)? } else { quotient };
    let quotient = quotient.to_i128()?;
    (quotient.unsigned_abs() < 10_u128.pow(u32::from(DECIMAL128_MAX_PRECISION))).then_some(quotient)
}

pub(crate) fn power_of_ten(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(unscaled: i128, scale: i8) -> Exact {
        Exact { unscaled: i256::from_i128(unscaled), scale }
    }

    #[test]
    fn quotients_are_rounded_once() {
        check((1, 0), (3, 0), 6, Some(333_333));
        check((2, 0), (3, 0), 6, Some(666_667));
        check((-2, 0), (3, 0), 6, Some(-666_667));
        check((2, 0), (-3, 0), 6, Some(-666_667));
        check((5, 0), (10, 0), 0, Some(1));
        check((-5, 0), (10, 0), 0, Some(-1));
        check((4, 0), (10, 0), 0, Some(0));
        check((1_000, 2), (4, 0), 2, Some(250));
        check((1, 0), (25, 2), 2, Some(400));
        check((1, -3), (1, 0), 0, Some(1_000));
        check((1, 10), (1, 0), 2, Some(0));
        check((0, 0), (7, 0), 6, Some(0));
        check((7, 0), (0, 0), 6, None);
        check((0, 0), (0, 3), 6, None);
        check((i128::MAX, 0), (1, 0), 6, None);
        check((i128::MIN, 0), (1, 38), 38, None);
        check((1, 38), (i128::MAX, -38), 38, Some(0));

        #[track_caller]
        fn check(a: (i128, i8), b: (i128, i8), scale: i8, expected: Option<i128>) {
            assert_eq!(divide(exact(a.0, a.1), exact(b.0, b.1), scale), expected);
        }
    }

    #[test]
    fn types_go_to_a_common_one() {
        use DataType as T;
        check(&[T::Int32, T::Int64], "Int64, Int64 -> Float64");
        check(&[T::Int8, T::Float32], "Float64, Float64 -> Float64");
        check(&[T::Decimal128(18, 2), T::Int64], "Decimal128(18, 2), Decimal128(20, 0) -> Decimal128(38, 8)");
        check(&[T::Decimal128(18, 2), T::Float64], "Float64, Float64 -> Float64");
        check(&[T::UInt64, T::Int64], "Decimal128(20, 0), Decimal128(20, 0) -> Decimal128(38, 6)");
        check(
            &[T::Decimal64(9, 3), T::Decimal128(38, 20)],
            "Decimal128(9, 3), Decimal128(38, 20) -> Decimal128(38, 20)",
        );
        check(&[T::Null, T::Decimal128(5, 1)], "Decimal128(20, 0), Decimal128(5, 1) -> Decimal128(38, 7)");
        check(&[T::Null, T::Null], "Float64, Float64 -> Float64");
        check(&[T::Utf8, T::Int64], "got Utf8");
        check(&[T::Int64, T::Boolean], "got Boolean");
        check(&[T::Int64], "got 1 arguments");

        #[track_caller]
        fn check(types: &[DataType], expected: &str) {
            let got = match coerce_pair("f", types) {
                Ok(types) => format!("{}, {} -> {}", types[0], types[1], quotient_type(&types)),
                Err(error) => error.strip_backtrace(),
            };
            assert!(got.contains(expected), "{got}");
        }
    }

    proptest! {
        #[test]
        fn any_two_decimals_divide_or_do_not(
            a in any::<i128>(), b in any::<i128>(), scales in (-38_i8..=38, -38_i8..=38, 0_i8..=38),
        ) {
            let quotient = divide(exact(a, scales.0), exact(b, scales.1), scales.2);
            prop_assert!(b != 0 || quotient.is_none());
        }

        /// The same by whole numbers that a machine word holds.
        #[test]
        fn a_quotient_is_the_nearest(a in -1_000_000_i64..=1_000_000, b in 1_i64..=1_000) {
            let quotient = divide(exact(i128::from(a), 0), exact(i128::from(b), 0), 2).unwrap();
            let off = (i128::from(a) * 100 - quotient * i128::from(b)).abs();
            prop_assert!(off * 2 <= i128::from(b));
        }
    }
}
