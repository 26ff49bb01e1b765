//! Japanese dates: `令和6年1月5日`, `R6.1.5`, `2024年1月5日`.

use std::fmt::{self, Write};

use crate::calendar::{self, Civil};

/// First and last day of each era, year 1 in the Gregorian calendar, and its two spellings. Two eras share the day
/// on which one emperor followed another, because papers of that day carry either name. Meiji begins with 1873:
/// before it the calendar was another one, and a day of it cannot be turned by arithmetic.
const ERAS: [(&str, char, u32, Day, Day); 5] = [
    ("令和", 'R', 2019, (2019, 5, 1), (9999, 12, 31)),
    ("平成", 'H', 1989, (1989, 1, 8), (2019, 4, 30)),
    ("昭和", 'S', 1926, (1926, 12, 25), (1989, 1, 7)),
    ("大正", 'T', 1912, (1912, 7, 30), (1926, 12, 25)),
    ("明治", 'M', 1868, (1873, 1, 1), (1912, 7, 30)),
];

type Day = (u32, u32, u32);

/// Days since 1970-01-01; `None` when the text is no such date or the era did not have that day.
#[must_use]
pub fn date(text: &str) -> Option<i32> {
    // The longest form has 12 characters; longer texts are not looked at.
    if text.len() > 64 {
        return None;
    }
    let text: String = text.chars().map(narrow).collect();
    for (name, letter, first, from, to) in ERAS {
        let Some(rest) = text.strip_prefix(name).or_else(|| text.strip_prefix(letter)) else { continue };
        let (of_era, month, day) = parts(rest)?;
        let day = (first + of_era.checked_sub(1)?, month, day);
        let within = from <= day && day <= to;
        return within.then(|| calendar::days(day.0, day.1, day.2)).flatten();
    }
    let (year, month, day) = kanji_parts(&text)?;
    (year >= 1000).then(|| calendar::days(year, month, day)).flatten()
}

/// How an era date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `令和6年1月5日`; the first year of an era is `元年`.
    Long,
    /// `R6.1.5`.
    Short,
}

/// Appends the era date of a day; appends nothing to `out` and says `false` when no era that counts by the Gregorian
/// calendar has it. A day of two eras belongs to the newer one.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write(days: i32, style: Style, out: &mut impl Write) -> Result<bool, fmt::Error> {
    let Civil { year, month, day } = calendar::civil(days);
    let Ok(year) = u32::try_from(year) else { return Ok(false) };
    let date = (year, month, day);
    let Some((name, letter, first, ..)) = ERAS.iter().find(|(.., from, to)| (*from..=*to).contains(&date))
    else {
        return Ok(false);
    };
    match (style, year - first + 1) {
        (Style::Long, 1) => write!(out, "{name}元年{month}月{day}日")?,
        (Style::Long, year) => write!(out, "{name}{year}年{month}月{day}日")?,
        (Style::Short, year) => write!(out, "{letter}{year}.{month}.{day}")?,
    }
    Ok(true)
}

/// Full-width digits, letters and signs as their ASCII ones.
fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

fn parts(text: &str) -> Option<(u32, u32, u32)> {
    kanji_parts(text)
        .or_else(|| separated(text, '.'))
        .or_else(|| separated(text, '/'))
        .or_else(|| separated(text, '-'))
}

fn kanji_parts(text: &str) -> Option<(u32, u32, u32)> {
    let (year, rest) = text.split_once('年')?;
    let (month, rest) = rest.split_once('月')?;
    let year = if year == "元" { 1 } else { number(year, 4)? };
    Some((year, number(month, 2)?, number(rest.strip_suffix('日')?, 2)?))
}

fn separated(text: &str, separator: char) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(separator);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((number(year, 2)?, number(month, 2)?, number(day, 2)?))
}

fn number(text: &str, digits_max: usize) -> Option<u32> {
    let fits = (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_dates() {
        check("令和6年1月5日", "2024-01-05");
        check("令和元年5月1日", "2019-05-01");
        check("令和1年5月1日", "2019-05-01");
        check("R6.1.5", "2024-01-05");
        check("R06/01/05", "2024-01-05");
        check("R6-1-5", "2024-01-05");
        check("平成31年4月30日", "2019-04-30");
        check("平成元年1月8日", "1989-01-08");
        check("S64.1.7", "1989-01-07");
        check("昭和元年12月25日", "1926-12-25");
        check("T15.12.25", "1926-12-25");
        check("M45.7.30", "1912-07-30");
        check("T1.7.30", "1912-07-30");
        check("明治6年1月1日", "1873-01-01");
        check("令和６年１月５日", "2024-01-05");
        check("Ｒ６．１．５", "2024-01-05");
        check("2024年1月5日", "2024-01-05");
        check("２０２４年０１月０５日", "2024-01-05");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut parts = expected.split('-').map(|part| part.parse::<u32>().unwrap());
            let mut next = || parts.next().unwrap();
            let expected = calendar::days(next(), next(), next());
            assert!(expected.is_some());
            assert_eq!(date(text), expected, "{text}");
        }
    }

    #[test]
    fn days_that_an_era_did_not_have_are_refused() {
        for text in [
            "平成31年5月1日",
            "平成32年1月1日",
            "令和元年4月30日",
            "令和0年1月1日",
            "S64.1.8",
            "昭和元年12月24日",
            "T1.7.29",
            "明治5年12月2日",
            "R5.2.29",
            "R6.13.1",
            "R6.1",
            "R6.1.5.1",
            "R.1.5",
            "令和6年1月",
            "年1月5日",
            "24年1月5日",
            "X6.1.5",
            "R",
            "",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_written_and_read_back() {
        check((2024, 1, 5), "令和6年1月5日", "R6.1.5");
        check((2019, 5, 1), "令和元年5月1日", "R1.5.1");
        check((2019, 4, 30), "平成31年4月30日", "H31.4.30");
        check((1989, 1, 8), "平成元年1月8日", "H1.1.8");
        check((1989, 1, 7), "昭和64年1月7日", "S64.1.7");
        check((1926, 12, 25), "昭和元年12月25日", "S1.12.25");
        check((1926, 12, 24), "大正15年12月24日", "T15.12.24");
        check((1912, 7, 30), "大正元年7月30日", "T1.7.30");
        check((1873, 1, 1), "明治6年1月1日", "M6.1.1");

        #[track_caller]
        fn check((year, month, day): Day, long: &str, short: &str) {
            let days = calendar::days(year, month, day).unwrap();
            for (style, expected) in [(Style::Long, long), (Style::Short, short)] {
                let mut text = String::new();
                assert!(write(days, style, &mut text).unwrap());
                assert_eq!(text, expected);
                assert_eq!(date(&text), Some(days));
            }
        }
    }

    #[test]
    fn days_before_the_calendar_and_beyond_it_have_no_era() {
        for days in [
            calendar::days(1872, 12, 31).unwrap(),
            calendar::days(9999, 12, 31).unwrap() + 1,
            i32::MIN,
            i32::MAX,
        ] {
            let mut text = String::new();
            assert!(!write(days, Style::Long, &mut text).unwrap());
            assert_eq!(text, "");
        }
    }
}
