//! Japanese dates: `令和6年1月5日`, `R6.1.5`, `2024年1月5日`. Only on request, because `R6.1.5` may be a part number.

use super::dates;

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
pub(super) fn date(text: &str) -> Option<i32> {
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
        return within.then(|| dates::days(day.0, day.1, day.2)).flatten();
    }
    let (year, month, day) = kanji_parts(&text)?;
    (year >= 1000).then(|| dates::days(year, month, day)).flatten()
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
            assert_eq!(date(text), dates::date(expected.as_bytes(), false), "{text}");
            assert!(date(text).is_some());
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
}
