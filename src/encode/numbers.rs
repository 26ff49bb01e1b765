//! Numbers and dates as text, where the library's own way takes several times as long.

use arrow::array::PrimitiveArray;
use arrow::datatypes::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use arrow::json::Encoder;
use arrow::json::writer::NullableEncoder;

/// The largest integer that a double, and with it JavaScript, holds exactly with all its neighbours.
const EXACT_MAX: u64 = (1 << 53) - 1;

const DAY_MICROS: i64 = 86_400_000_000;

/// Days from the beginning of the year 0 to 1970.
const EPOCH_DAYS: i64 = 719_528;

/// Days of the years that have four digits, counted from 1970.
const FOUR_DIGITS: std::ops::Range<i64> = -EPOCH_DAYS..2_932_897;

/// Signed integers of 64 bits, in quotes beyond the exact ones.
pub(super) struct Int64s<'a>(pub(super) &'a PrimitiveArray<Int64Type>);

impl Encoder for Int64s<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.0.value(index);
        integer(value, value.unsigned_abs() > EXACT_MAX, out);
    }
}

/// The same without a sign.
pub(super) struct UInt64s<'a>(pub(super) &'a PrimitiveArray<UInt64Type>);

impl Encoder for UInt64s<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.0.value(index);
        integer(value, value > EXACT_MAX, out);
    }
}

fn integer(value: impl itoa::Integer, quoted: bool, out: &mut Vec<u8>) {
    if quoted {
        out.push(b'"');
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    if quoted {
        out.push(b'"');
    }
}

/// Decimals with a scale of 0 to 38, always in quotes.
pub(super) struct Decimals<'a> {
    pub(super) values: &'a PrimitiveArray<Decimal128Type>,
    pub(super) scale: usize,
}

impl Encoder for Decimals<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.values.value(index);
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value.unsigned_abs()).as_bytes();
        out.push(b'"');
        if value < 0 {
            out.push(b'-');
        }
        if digits.len() > self.scale {
            let (whole, fraction) = digits.split_at(digits.len() - self.scale);
            out.extend_from_slice(whole);
            if self.scale > 0 {
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
        } else {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + self.scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
        out.push(b'"');
    }
}

/// Dates. Those whose year has not four digits are left to the library.
pub(super) struct Dates<'a> {
    pub(super) values: &'a PrimitiveArray<Date32Type>,
    pub(super) plain: NullableEncoder<'a>,
}

impl Encoder for Dates<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let days = i64::from(self.values.value(index));
        if !FOUR_DIGITS.contains(&days) {
            return self.plain.encode(index, out);
        }
        out.push(b'"');
        date(days, out);
        out.push(b'"');
    }
}

/// Times without a zone.
pub(super) struct Times<'a> {
    pub(super) values: &'a PrimitiveArray<TimestampMicrosecondType>,
    pub(super) plain: NullableEncoder<'a>,
}

impl Encoder for Times<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.values.value(index);
        let (days, micros) = (value.div_euclid(DAY_MICROS), value.rem_euclid(DAY_MICROS));
        if !FOUR_DIGITS.contains(&days) {
            return self.plain.encode(index, out);
        }
        out.push(b'"');
        date(days, out);
        out.push(b'T');
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        digits(seconds / 3600, 2, out);
        out.push(b':');
        digits(seconds / 60 % 60, 2, out);
        out.push(b':');
        digits(seconds % 60, 2, out);
        if fraction != 0 {
            out.push(b'.');
            match fraction % 1000 {
                0 => digits(fraction / 1000, 3, out),
                _ => digits(fraction, 6, out),
            }
        }
        out.push(b'"');
    }
}

/// `2024-01-31`, by the days since 1970. The calendar is taken from Howard Hinnant's `civil_from_days`, in which years
/// begin in March, so that the day that may be missing is the last.
fn date(days: i64, out: &mut Vec<u8>) {
    // From the first of March of the year 0.
    let days = days + EPOCH_DAYS - 60;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
}

/// The last `count` digits of a number that is not negative.
fn digits(mut value: i64, count: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + count, b'0');
    for place in out[start..].iter_mut().rev() {
        // 0 to 9.
        *place += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array as _, ArrayRef};
    use arrow::datatypes::{DataType, Field, TimeUnit};
    use arrow::json::EncoderOptions;
    use arrow::json::writer::make_encoder;
    use proptest::prelude::*;

    use super::super::values;
    use super::*;

    /// What the library writes for the only value of `column`, and what we do.
    fn both(column: ArrayRef) -> (String, String) {
        let field = Arc::new(Field::new("x", column.data_type().clone(), true));
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        let options = EncoderOptions::default();
        make_encoder(&field, column.as_ref(), &options).unwrap().encode(0, &mut theirs);
        values::encoder_of(&field, &column).unwrap().encode(0, &mut ours);
        (String::from_utf8(theirs).unwrap(), String::from_utf8(ours).unwrap())
    }

    #[test]
    fn the_edges_of_the_calendar_are_right() {
        for days in [-719_528, -719_529, -719_468, -1, 0, 58, 59, 60, 11_016, 19_782, 2_932_896, 2_932_897] {
            let (theirs, ours) = both(Arc::new(PrimitiveArray::<Date32Type>::from(vec![days])));
            assert_eq!(theirs, ours, "{days}");
        }
    }

    proptest! {
        #[test]
        fn ours_is_what_the_library_writes(
            days in -800_000_i32..3_000_000,
            micros in -62_200_000_000_000_000_i64..253_500_000_000_000_000,
            coarse in -4_000_000_000_i64..4_000_000_000,
            digits in any::<i64>(), scale in 0_i8..38,
        ) {
            let (theirs, ours) = both(Arc::new(PrimitiveArray::<Date32Type>::from(vec![days])));
            prop_assert_eq!(theirs, ours);
            for value in [micros, coarse * 1000, coarse * 1_000_000] {
                let times = PrimitiveArray::<TimestampMicrosecondType>::from(vec![value]);
                prop_assert_eq!(times.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
                let (theirs, ours) = both(Arc::new(times));
                prop_assert_eq!(theirs, ours);
            }
            let decimals = PrimitiveArray::<Decimal128Type>::from(vec![i128::from(digits)]);
            let (theirs, ours) = both(Arc::new(decimals.with_precision_and_scale(38, scale).unwrap()));
            prop_assert_eq!(format!("\"{theirs}\""), ours);
        }
    }
}
