//! The Gregorian calendar as arithmetic: days since 1970-01-01 to year, month and day, and back.

/// A day by its name in the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
}

/// From 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const DAYS_TO_1970: i32 = 719_468;

/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_CYCLE: i64 = 146_097;

/// Days since 1970-01-01; `None` for a day that the calendar does not have, and for years outside of 1 to 9999.
#[must_use]
#[inline]
pub fn days(year: u32, month: u32, day: u32) -> Option<i32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let since_zero = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    Some(since_zero.cast_signed() - DAYS_TO_1970)
}

/// The name of any day that Arrow's `Date32` can hold.
#[must_use]
pub fn civil(days: i32) -> Civil {
    let since_zero = i64::from(days) + i64::from(DAYS_TO_1970);
    let (cycle, of_cycle) = (since_zero.div_euclid(DAYS_PER_CYCLE), since_zero.rem_euclid(DAYS_PER_CYCLE));
    let year_of_cycle = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_based = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_based + 2) / 5 + 1;
    let (month, next_year) = if march_based < 10 { (march_based + 3, 0) } else { (march_based - 9, 1) };
    let year = year_of_cycle + cycle * 400 + next_year;
    // The last year of a `Date32` has seven digits.
    Civil { year: i32::try_from(year).unwrap_or(i32::MAX), month: small(month), day: small(day) }
}

/// 0 for Monday to 6 for Sunday.
#[must_use]
pub fn weekday(days: i32) -> u32 {
    // 1970-01-01 was a Thursday.
    small((i64::from(days) + 3).rem_euclid(7))
}

fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_have_names() {
        check(0, (1970, 1, 1), 3);
        check(-1, (1969, 12, 31), 2);
        check(19_727, (2024, 1, 5), 4);
        check(11_016, (2000, 2, 29), 1);
        check(-719_162, (1, 1, 1), 0);
        check(2_932_896, (9999, 12, 31), 4);

        #[track_caller]
        fn check(day: i32, (year, month, of_month): (u32, u32, u32), expected_weekday: u32) {
            assert_eq!(days(year, month, of_month), Some(day));
            assert_eq!(civil(day), Civil { year: year.cast_signed(), month, day: of_month });
            assert_eq!(weekday(day), expected_weekday);
        }
    }

    #[test]
    fn days_that_are_not_there() {
        for (year, month, day) in [
            (2023, 2, 29),
            (1900, 2, 29),
            (2024, 13, 1),
            (2024, 0, 1),
            (2024, 4, 31),
            (0, 1, 1),
            (10_000, 1, 1),
        ] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn the_ends_of_date32_have_names() {
        assert_eq!(civil(i32::MAX), Civil { year: 5_881_580, month: 7, day: 11 });
        assert_eq!(civil(i32::MIN), Civil { year: -5_877_641, month: 6, day: 23 });
    }

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_day(day in -719_162_i32..=2_932_896) {
            let Civil { year, month, day: of_month } = civil(day);
            prop_assert_eq!(days(year.cast_unsigned(), month, of_month), Some(day));
        }
    }
}
