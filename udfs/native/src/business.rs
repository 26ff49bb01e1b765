//! Business days: counted once for the whole span of the law, so that every question is a look-up.

use std::sync::LazyLock;

use arrow::array::{Array as _, ArrayRef, StringViewArray};
use datafusion_common::{Result, exec_err};

use crate::arrays::{optional, texts};
use crate::calendar::{civil, weekday};
use crate::holidays::HOLIDAYS;

/// Whose days of rest count beside Saturdays, Sundays and the national holidays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calendar {
    /// Nobody's.
    National,
    /// Of banks: 31 December to 3 January (Order for Enforcement of the Banking Act, article 5).
    Bank,
    /// Of public offices: 29 December to 3 January (Act on Holidays of Administrative Organs, article 1).
    Government,
}

impl Calendar {
    fn parse(name: &str, text: &str) -> Result<Self> {
        Ok(match text {
            "national" => Self::National,
            "bank" => Self::Bank,
            "government" => Self::Government,
            _ => {
                let text: String = text.chars().take(40).collect();
                return exec_err!(
                    "`{name}` expects the calendar `national`, `bank` or `government`, got `{text}`"
                );
            }
        })
    }

    pub(crate) fn days(self) -> &'static BusinessDays {
        static NATIONAL: LazyLock<BusinessDays> = LazyLock::new(|| BusinessDays::of(Calendar::National));
        static BANK: LazyLock<BusinessDays> = LazyLock::new(|| BusinessDays::of(Calendar::Bank));
        static GOVERNMENT: LazyLock<BusinessDays> = LazyLock::new(|| BusinessDays::of(Calendar::Government));
        match self {
            Self::National => &NATIONAL,
            Self::Bank => &BANK,
            Self::Government => &GOVERNMENT,
        }
    }

    fn works(self, days: i32) -> bool {
        let date = civil(days);
        let first_of_december = match self {
            Self::National => 32,
            Self::Bank => 31,
            Self::Government => 29,
        };
        let rests_at_new_year = match (date.month, date.day) {
            (12, day) => day >= first_of_december,
            (1, day) => self != Self::National && day <= 3,
            _ => false,
        };
        weekday(days) < 5 && !rests_at_new_year && HOLIDAYS.name(days).is_none()
    }
}

/// The optional argument at `at`, row by row.
#[derive(Debug)]
pub(crate) struct Calendars {
    name: &'static str,
    given: Option<StringViewArray>,
}

impl Calendars {
    pub(crate) fn read(name: &'static str, arrays: &[ArrayRef], at: usize) -> Result<Self> {
        Ok(Self { name, given: optional(arrays, at, texts)? })
    }

    /// The business days to count by; `None` where the argument is NULL.
    pub(crate) fn at(&self, row: usize) -> Result<Option<&'static BusinessDays>> {
        let Some(given) = &self.given else { return Ok(Some(Calendar::National.days())) };
        let text = given.is_valid(row).then(|| given.value(row));
        text.map(|text| Ok(Calendar::parse(self.name, text)?.days())).transpose()
    }
}

/// The business days of the span that the law covers.
#[derive(Debug)]
pub(crate) struct BusinessDays {
    /// Days since 1970 of the first day of the span.
    first: i32,
    /// For each day of the span, how many business days there are up to it, itself included.
    up_to: Vec<u32>,
    /// Days since 1970 of each business day.
    all: Vec<i32>,
}

impl BusinessDays {
    fn of(calendar: Calendar) -> Self {
        let (first, last) = HOLIDAYS.span();
        let all: Vec<i32> = (first..=last).filter(|days| calendar.works(*days)).collect();
        let mut n_seen = 0;
        let up_to = (first..=last).map(|days| {
            n_seen += u32::from(all.get(n_seen as usize) == Some(&days));
            n_seen
        });
        Self { first, up_to: up_to.collect(), all }
    }

    /// Business days up to and with `days`; `None` outside of the span.
    fn up_to(&self, days: i32) -> Option<i64> {
        let at = usize::try_from(days.checked_sub(self.first)?).ok()?;
        self.up_to.get(at).copied().map(i64::from)
    }

    /// Business days before `days`.
    fn before(&self, days: i32) -> Option<i64> {
        Some(self.up_to(days)? - i64::from(self.is_one(days)?))
    }

    /// Whether a day is a business day; `None` outside of the span.
    pub(crate) fn is_one(&self, days: i32) -> Option<bool> {
        let n = self.up_to(days)?;
        Some(n > 0 && self.nth(n - 1) == Some(days))
    }

    fn nth(&self, n: i64) -> Option<i32> {
        self.all.get(usize::try_from(n).ok()?).copied()
    }

    /// The `n`-th business day after `days`, or before it for a negative `n`; the day itself for zero. `None` outside
    /// of the span.
    pub(crate) fn add(&self, days: i32, n: i64) -> Option<i32> {
        match n {
            0 => self.up_to(days).map(|_| days),
            1.. => self.nth(self.up_to(days)?.checked_add(n - 1)?),
            _ => self.nth(self.before(days)?.checked_add(n)?),
        }
    }

    /// How many business days lie after `from` up to and with `to`; when `to` is earlier, those from `to` until before
    /// `from`, as a negative number. So `add` of the outcome reaches `to`, when that is a business day.
    pub(crate) fn between(&self, from: i32, to: i32) -> Option<i64> {
        if to >= from {
            Some(self.up_to(to)? - self.up_to(from)?)
        } else {
            Some(self.before(to)? - self.before(from)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::days;
    use proptest::prelude::*;

    fn day(text: &str) -> i32 {
        let mut parts = text.split('-').map(|part| part.parse().unwrap());
        let mut next = || parts.next().unwrap();
        days(next(), next(), next()).unwrap()
    }

    #[test]
    fn days_of_work_and_rest() {
        use Calendar as C;
        check(C::National, "2024-01-05", true);
        check(C::National, "2024-01-06", false);
        check(C::National, "2024-01-07", false);
        check(C::National, "2024-01-08", false);
        check(C::National, "2024-01-01", false);
        check(C::National, "2024-01-02", true);
        check(C::Bank, "2024-01-02", false);
        check(C::Bank, "2024-01-04", true);
        check(C::Bank, "2024-12-30", true);
        check(C::Bank, "2024-12-31", false);
        check(C::Government, "2024-12-30", false);
        check(C::Government, "2023-12-28", true);

        #[track_caller]
        fn check(calendar: Calendar, text: &str, expected: bool) {
            assert_eq!(calendar.days().is_one(day(text)), Some(expected));
        }
    }

    #[test]
    fn days_are_added_and_counted() {
        // Friday; Monday 2024-01-08 is a holiday.
        check("2024-01-05", 1, "2024-01-09");
        check("2024-01-05", -1, "2024-01-04");
        check("2024-01-05", 0, "2024-01-05");
        check("2024-01-06", 1, "2024-01-09");
        check("2024-01-06", -1, "2024-01-05");
        check("2024-01-06", 0, "2024-01-06");
        check("2024-01-05", 250, "2025-01-09");

        #[track_caller]
        fn check(from: &str, n: i64, expected: &str) {
            let national = Calendar::National.days();
            let reached = national.add(day(from), n).unwrap();
            assert_eq!(civil(reached), civil(day(expected)));
            assert_eq!(national.between(day(from), reached), Some(n));
        }
    }

    #[test]
    fn beyond_the_span_there_is_no_answer() {
        let national = Calendar::National.days();
        let (first, last) = HOLIDAYS.span();
        for outside in [i32::MIN, first - 1, last + 1, i32::MAX] {
            assert_eq!(national.is_one(outside), None);
            assert_eq!(national.add(outside, 0), None);
            assert_eq!(national.add(outside, 1), None);
            assert_eq!(national.between(first, outside), None);
            assert_eq!(national.between(outside, last), None);
        }
        for n in [i64::MIN, -1, 1_000_000, i64::MAX] {
            assert_eq!(national.add(first, n), None);
        }
        assert_eq!(national.add(last, 1), None);
    }

    proptest! {
        #[test]
        fn adding_and_counting_undo_each_other(from in -7_000_i32..60_000, n in -2_000_i64..2_000) {
            let bank = Calendar::Bank.days();
            if let Some(reached) = bank.add(from, n) {
                prop_assert_eq!(bank.between(from, reached), Some(n));
                prop_assert!(n == 0 || bank.is_one(reached) == Some(true));
            }
        }
    }
}
