//! Fiscal years: where a day lies in a year that begins with another month than January.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, Int32Array};
use datafusion_common::{Result, exec_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};

use crate::arrays::{self, dates, integers, optional, over_arrays};
use crate::calendar::civil;

/// April, as for the state and most companies of Japan.
const START_MONTH_DEFAULT: u32 = 4;

/// A day's place in its fiscal year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fiscal {
    /// The calendar year in which the fiscal year begins.
    pub(crate) year: i32,
    /// 1 to 12, counted from the first month of the fiscal year.
    pub(crate) period: u32,
}

impl Fiscal {
    /// `start_month` is 1 to 12.
    pub(crate) fn of(days: i32, start_month: u32) -> Self {
        let date = civil(days);
        let months = (date.month + 12 - start_month) % 12;
        Self { year: date.year - i32::from(date.month < start_month), period: months + 1 }
    }

    /// 1 to 4.
    pub(crate) fn quarter(self) -> u32 {
        (self.period - 1) / 3 + 1
    }
}

/// A date, and perhaps a month.
pub(crate) fn signature() -> Signature {
    arrays::signature_with([arrays::date()], arrays::integer())
}

/// Runs `part` over each date and its year's first month.
pub(crate) fn map(
    name: &str,
    args: ScalarFunctionArgs,
    part: impl Fn(Fiscal) -> i32,
) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let (dates, months) = (dates(&arrays[0])?, optional(arrays, 1, integers)?);
        let mut parts = Int32Array::builder(dates.len());
        for (row, days) in dates.iter().enumerate() {
            let month = match &months {
                None => Some(START_MONTH_DEFAULT),
                Some(months) => {
                    months.is_valid(row).then(|| start_month(name, months.value(row))).transpose()?
                }
            };
            parts.append_option(days.zip(month).map(|(days, month)| part(Fiscal::of(days, month))));
        }
        Ok(Arc::new(parts.finish()) as ArrayRef)
    })
}

fn start_month(name: &str, month: i64) -> Result<u32> {
    match u32::try_from(month) {
        Ok(month @ 1..=12) => Ok(month),
        _ => exec_err!("`{name}` expects a month from 1 to 12 with which the year begins, got {month}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar;
    use proptest::prelude::*;

    #[test]
    fn days_have_a_place_in_their_year() {
        check((2024, 3, 31), 4, (2023, 4, 12));
        check((2024, 4, 1), 4, (2024, 1, 1));
        check((2024, 12, 31), 4, (2024, 3, 9));
        check((2025, 1, 1), 4, (2024, 4, 10));
        check((2024, 1, 1), 1, (2024, 1, 1));
        check((2024, 12, 31), 1, (2024, 4, 12));
        check((2024, 11, 30), 12, (2023, 4, 12));
        check((2024, 12, 1), 12, (2024, 1, 1));
        check((2024, 9, 30), 10, (2023, 4, 12));

        #[track_caller]
        fn check(date: (u32, u32, u32), start_month: u32, expected: (i32, u32, u32)) {
            let fiscal = Fiscal::of(calendar::days(date.0, date.1, date.2).unwrap(), start_month);
            assert_eq!((fiscal.year, fiscal.quarter(), fiscal.period), expected);
        }
    }

    proptest! {
        #[test]
        fn every_date_has_a_place(days in any::<i32>(), start_month in 1_u32..=12) {
            let fiscal = Fiscal::of(days, start_month);
            prop_assert!((1..=12).contains(&fiscal.period) && (1..=4).contains(&fiscal.quarter()));
        }
    }
}
