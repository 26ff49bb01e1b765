//! The national holidays of Japan, by the Act on National Holidays (国民の祝日に関する法律, Act No. 178 of 1948, with its
//! amendments up to that of 2018) and the acts that made single days holidays. The Act leaves the days of the equinoxes
//! to the calendar that the National Astronomical Observatory announces each February for the next year; for later
//! years the formula here is a forecast. All days from 1949 to 2099 were compared with those of the Python package
//! `holidays` 0.109, and those from 1986 on also with `jpholiday` 1.0.3: there was no difference.

use std::sync::LazyLock;

use crate::calendar::{self, weekday};

/// The Act came into force on 1948-07-20.
const FIRST_YEAR: i32 = 1948;
const FIRST_DAY: (u32, u32, u32) = (1948, 7, 20);

/// The formula of the equinoxes holds until here.
const LAST_YEAR: i32 = 2099;

const SUNDAY: u32 = 6;

/// In what way a day of the calendar is fixed.
#[derive(Debug, Clone, Copy)]
enum On {
    Day(u32, u32),
    /// The n-th Monday of a month.
    Monday(u32, u32),
    SpringEquinox,
    AutumnEquinox,
}

/// Holidays of each year from one to another, in the order of the calendar.
const YEARLY: &[(&str, On, i32, i32)] = &[
    ("元日", On::Day(1, 1), 1949, LAST_YEAR),
    ("成人の日", On::Day(1, 15), 1949, 1999),
    ("成人の日", On::Monday(1, 2), 2000, LAST_YEAR),
    ("建国記念の日", On::Day(2, 11), 1967, LAST_YEAR),
    ("天皇誕生日", On::Day(2, 23), 2020, LAST_YEAR),
    ("春分の日", On::SpringEquinox, 1949, LAST_YEAR),
    ("天皇誕生日", On::Day(4, 29), 1949, 1988),
    ("みどりの日", On::Day(4, 29), 1989, 2006),
    ("昭和の日", On::Day(4, 29), 2007, LAST_YEAR),
    ("憲法記念日", On::Day(5, 3), 1949, LAST_YEAR),
    ("みどりの日", On::Day(5, 4), 2007, LAST_YEAR),
    ("こどもの日", On::Day(5, 5), 1949, LAST_YEAR),
    ("海の日", On::Day(7, 20), 1996, 2002),
    ("海の日", On::Monday(7, 3), 2003, 2019),
    // Moved for the Olympic Games of Tokyo, which were moved themselves.
    ("海の日", On::Day(7, 23), 2020, 2020),
    ("海の日", On::Day(7, 22), 2021, 2021),
    ("海の日", On::Monday(7, 3), 2022, LAST_YEAR),
    ("スポーツの日", On::Day(7, 24), 2020, 2020),
    ("スポーツの日", On::Day(7, 23), 2021, 2021),
    ("山の日", On::Day(8, 11), 2016, 2019),
    ("山の日", On::Day(8, 10), 2020, 2020),
    ("山の日", On::Day(8, 8), 2021, 2021),
    ("山の日", On::Day(8, 11), 2022, LAST_YEAR),
    ("敬老の日", On::Day(9, 15), 1966, 2002),
    ("敬老の日", On::Monday(9, 3), 2003, LAST_YEAR),
    ("秋分の日", On::AutumnEquinox, 1948, LAST_YEAR),
    ("体育の日", On::Day(10, 10), 1966, 1999),
    ("体育の日", On::Monday(10, 2), 2000, 2019),
    ("スポーツの日", On::Monday(10, 2), 2022, LAST_YEAR),
    ("文化の日", On::Day(11, 3), 1948, LAST_YEAR),
    ("勤労感謝の日", On::Day(11, 23), 1948, LAST_YEAR),
    ("天皇誕生日", On::Day(12, 23), 1989, 2018),
    ("皇太子明仁親王の結婚の儀", On::Day(4, 10), 1959, 1959),
    ("昭和天皇の大喪の礼", On::Day(2, 24), 1989, 1989),
    ("即位礼正殿の儀", On::Day(11, 12), 1990, 1990),
    ("皇太子徳仁親王の結婚の儀", On::Day(6, 9), 1993, 1993),
    ("天皇の即位の日", On::Day(5, 1), 2019, 2019),
    ("即位礼正殿の儀", On::Day(10, 22), 2019, 2019),
];

/// The day after a holiday that falls on a Sunday, since the amendment of 1973-04-12.
const SUBSTITUTE: &str = "振替休日";
/// A day between two holidays, since the amendment of 1985-12-27.
const BETWEEN: &str = "国民の休日";

/// The first amendment moved a holiday to the Monday only; since 2007 it is the next day that is no holiday itself.
const MOVES_PAST_HOLIDAYS_SINCE: i32 = 2007;

/// The days that the law covers, and what each of them is called.
#[derive(Debug)]
pub(crate) struct Holidays {
    /// Days since 1970 of the first name.
    start: i32,
    names: Vec<Option<&'static str>>,
    /// Days since 1970 of the first day on which the Act was in force.
    first: i32,
}

/// From the first day of the Act to the last day for which the formula holds.
pub(crate) static HOLIDAYS: LazyLock<Holidays> = LazyLock::new(Holidays::by_law);

impl Holidays {
    /// Days since 1970 of the first and the last day that the law covers.
    pub(crate) fn span(&self) -> (i32, i32) {
        (self.first, self.start + i32::try_from(self.names.len()).unwrap_or(i32::MAX) - 1)
    }

    /// What the holiday on a day is called, if it is one.
    pub(crate) fn name(&self, days: i32) -> Option<&'static str> {
        *self.names.get(usize::try_from(days.checked_sub(self.start)?).ok()?)?
    }

    fn by_law() -> Self {
        let day = |year: i32, month, of_month| calendar::days(year.cast_unsigned(), month, of_month);
        let (start, end) = (day(FIRST_YEAR, 1, 1).unwrap_or(0), day(LAST_YEAR, 12, 31).unwrap_or(0));
        let first = calendar::days(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2).unwrap_or(start);
        let index = |days: i32| usize::try_from(days - start).unwrap_or(usize::MAX);
        let mut law = vec![None; index(end) + 1];
        for year in FIRST_YEAR..=LAST_YEAR {
            for (name, on, from, to) in YEARLY {
                let Some(days) = on.days(year) else { continue };
                if (*from..=*to).contains(&year) {
                    law[index(days)] = Some(*name);
                }
            }
        }
        let mut names = law.clone();
        let substitutes_since = day(1973, 4, 12).unwrap_or(end);
        for days in substitutes_since..=end {
            if law[index(days)].is_some() && weekday(days) == SUNDAY {
                let moves_on = calendar::civil(days).year >= MOVES_PAST_HOLIDAYS_SINCE;
                let free = law[index(days) + 1..].iter().position(Option::is_none).unwrap_or(0);
                if free == 0 || moves_on {
                    names[index(days) + 1 + free] = Some(SUBSTITUTE);
                }
            }
        }
        let between_since = day(1985, 12, 27).unwrap_or(end);
        for days in between_since..end {
            let at = index(days);
            let both = law[at - 1].is_some() && law[at + 1].is_some();
            if both && names[at].is_none() && weekday(days) != SUNDAY {
                names[at] = Some(BETWEEN);
            }
        }
        Self { start, names, first }
    }
}

impl On {
    fn days(self, year: i32) -> Option<i32> {
        let day = |month, of_month| calendar::days(year.cast_unsigned(), month, of_month);
        match self {
            Self::Day(month, of_month) => day(month, of_month),
            Self::Monday(month, n) => {
                let first = day(month, 1)?;
                let to_monday = (7 - weekday(first)) % 7;
                day(month, 1 + to_monday + 7 * (n - 1))
            }
            Self::SpringEquinox => day(3, equinox(year, [208_357, 208_431])),
            Self::AutumnEquinox => day(9, equinox(year, [232_588, 232_488])),
        }
    }
}

/// The day of March or September on which the equinox falls in Japan, by the formula in general use (暦計算研究会編
/// 新こよみ便利帳). `offsets`, in ten-thousandths of a day, are those for the years before 1980 and those since.
fn equinox(year: i32, offsets: [i64; 2]) -> u32 {
    let offset = offsets[usize::from(year >= 1980)] * 100;
    let since = i64::from(year) - 1980;
    // All in millionths of a day.
    let day = (offset + 242_194 * since - since.div_euclid(4) * 1_000_000).div_euclid(1_000_000);
    u32::try_from(day).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{civil, days};

    /// All holidays of a year, as the gazette lists them.
    #[test]
    fn years_with_every_rule() {
        check(1948, "9-23 秋分の日, 11-3 文化の日, 11-23 勤労感謝の日");
        check(
            1973,
            "1-1 元日, 1-15 成人の日, 2-11 建国記念の日, 3-21 春分の日, 4-29 天皇誕生日, 4-30 振替休日, 5-3 憲法記念日, \
             5-5 こどもの日, 9-15 敬老の日, 9-23 秋分の日, 9-24 振替休日, 10-10 体育の日, 11-3 文化の日, 11-23 勤労感謝の日",
        );
        check(
            1988,
            "1-1 元日, 1-15 成人の日, 2-11 建国記念の日, 3-20 春分の日, 3-21 振替休日, 4-29 天皇誕生日, 5-3 憲法記念日, \
             5-4 国民の休日, 5-5 こどもの日, 9-15 敬老の日, 9-23 秋分の日, 10-10 体育の日, 11-3 文化の日, 11-23 勤労感謝の日",
        );
        check(
            2009,
            "1-1 元日, 1-12 成人の日, 2-11 建国記念の日, 3-20 春分の日, 4-29 昭和の日, 5-3 憲法記念日, 5-4 みどりの日, \
             5-5 こどもの日, 5-6 振替休日, 7-20 海の日, 9-21 敬老の日, 9-22 国民の休日, 9-23 秋分の日, 10-12 体育の日, \
             11-3 文化の日, 11-23 勤労感謝の日, 12-23 天皇誕生日",
        );
        check(
            2019,
            "1-1 元日, 1-14 成人の日, 2-11 建国記念の日, 3-21 春分の日, 4-29 昭和の日, 4-30 国民の休日, 5-1 天皇の即位の日, \
             5-2 国民の休日, 5-3 憲法記念日, 5-4 みどりの日, 5-5 こどもの日, 5-6 振替休日, 7-15 海の日, 8-11 山の日, \
             8-12 振替休日, 9-16 敬老の日, 9-23 秋分の日, 10-14 体育の日, 10-22 即位礼正殿の儀, 11-3 文化の日, \
             11-4 振替休日, 11-23 勤労感謝の日",
        );
        check(
            2021,
            "1-1 元日, 1-11 成人の日, 2-11 建国記念の日, 2-23 天皇誕生日, 3-20 春分の日, 4-29 昭和の日, 5-3 憲法記念日, \
             5-4 みどりの日, 5-5 こどもの日, 7-22 海の日, 7-23 スポーツの日, 8-8 山の日, 8-9 振替休日, 9-20 敬老の日, \
             9-23 秋分の日, 11-3 文化の日, 11-23 勤労感謝の日",
        );

        #[track_caller]
        fn check(year: u32, expected: &str) {
            let (from, to) = (days(year, 1, 1).unwrap(), days(year, 12, 31).unwrap());
            let found = (from..=to).filter_map(|day| {
                let (name, civil) = (HOLIDAYS.name(day)?, civil(day));
                Some(format!("{}-{} {name}", civil.month, civil.day))
            });
            assert_eq!(found.collect::<Vec<_>>().join(", "), expected);
        }
    }

    #[test]
    fn a_sunday_moved_no_further_than_monday_before_2007() {
        // Both 1986-05-04 (a Sunday between two holidays) and the Monday after it, a holiday already.
        assert_eq!(HOLIDAYS.name(days(1986, 5, 4).unwrap()), None);
        assert_eq!(HOLIDAYS.name(days(1987, 5, 4).unwrap()), Some(SUBSTITUTE));
        assert_eq!(HOLIDAYS.name(days(1973, 2, 12).unwrap()), None, "before the amendment");
    }

    #[test]
    fn days_outside_of_the_law_have_no_name() {
        let (first, last) = HOLIDAYS.span();
        assert_eq!((first, last), (days(1948, 7, 20).unwrap(), days(2099, 12, 31).unwrap()));
        for day in [i32::MIN, -100_000, last + 1, i32::MAX] {
            assert_eq!(HOLIDAYS.name(day), None);
        }
    }
}
