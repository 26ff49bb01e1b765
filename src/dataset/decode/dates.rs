//! Dates and date-times from text, with the calendar checked. Pure, no allocation.

use shirabe_native::calendar::days;

/// A date-time as written: microseconds since 1970-01-01T00:00 on its own clock, and the offset if one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) micros: i64,
    pub(super) offset_minutes: Option<i32>,
}

const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;

impl Written {
    /// The moment in microseconds of UTC; `None` when no offset is written.
    pub(super) fn utc(self) -> Option<i64> {
        self.offset_minutes.map(|minutes| self.micros - i64::from(minutes) * MICROS_PER_MINUTE)
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD` or `YYYY/M/D`; when `loose` also of `YYYY-M-D`, `YYYY.M.D` and `YYYYMMDD`.
pub(super) fn date(text: &[u8], loose: bool) -> Option<i32> {
    let (days, rest) = date_prefix(text, loose)?;
    rest.is_empty().then_some(days)
}

/// `YYYY-MM-DD[ T]HH:MM[:SS[.fraction]][Z|±HH:MM]`. A fraction finer than microseconds fits only when `loose`.
pub(super) fn datetime(text: &[u8], loose: bool) -> Option<Written> {
    let (days, rest) = date_prefix(text, loose)?;
    let [b' ' | b'T' | b't', rest @ ..] = rest else { return None };
    let [h1, h2, b':', m1, m2, rest @ ..] = rest else { return None };
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let (second, fraction, rest) = seconds(rest, loose)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset_minutes = offset(rest)?;
    let clock = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000 + fraction;
    Some(Written { micros: i64::from(days) * MICROS_PER_DAY + clock, offset_minutes })
}

/// Microseconds of midnight of a day.
pub(super) fn midnight(days: i32) -> i64 {
    i64::from(days) * MICROS_PER_DAY
}

#[inline]
fn date_prefix(text: &[u8], loose: bool) -> Option<(i32, &[u8])> {
    if let Some((date, rest)) = text.split_first_chunk::<10>()
        && let Some((year, month, day)) = plain_date(*date)
    {
        return Some((days(year, month, day)?, rest));
    }
    any_date_prefix(text, loose)
}

/// `YYYY-MM-DD`, which most files have: all eight digits and two dashes looked at together. `None` for all else.
#[inline]
fn plain_date(text: [u8; 10]) -> Option<(u32, u32, u32)> {
    const FORM: u64 = u64::from_le_bytes(*b"0000-00-");
    // Added to a byte, sets its highest bit when a digit is above 9, or when a dash differs from itself.
    const BEYOND: u64 = u64::from_le_bytes([0x76, 0x76, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F]);
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let [y1, y2, y3, y4, dash, m1, m2, second_dash, d1, d2] = text;
    let digits = u64::from_le_bytes([y1, y2, y3, y4, dash, m1, m2, second_dash]) ^ FORM;
    if (digits.wrapping_add(BEYOND) | digits) & HIGHEST != 0 {
        return None;
    }
    // In each byte now ten times the digit there and the digit after it.
    let [century, _, year, _, _, month, ..] = (digits * 10 + (digits >> 8)).to_le_bytes();
    Some((u32::from(century) * 100 + u32::from(year), u32::from(month), two(d1, d2)?))
}

fn any_date_prefix(text: &[u8], loose: bool) -> Option<(i32, &[u8])> {
    match text {
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..]
            if !loose || d2.is_ascii_digit() && m2.is_ascii_digit() =>
        {
            Some((days(year(*y1, *y2, *y3, *y4)?, two(*m1, *m2)?, two(*d1, *d2)?)?, rest))
        }
        [y1, y2, y3, y4, separator @ (b'/' | b'-' | b'.'), rest @ ..] if loose || *separator == b'/' => {
            let (month, rest) = one_or_two(rest)?;
            let [second, rest @ ..] = rest else { return None };
            if second != separator {
                return None;
            }
            let (day, rest) = one_or_two(rest)?;
            Some((days(year(*y1, *y2, *y3, *y4)?, month, day)?, rest))
        }
        [y1, y2, y3, y4, m1, m2, d1, d2] if loose => {
            Some((days(year(*y1, *y2, *y3, *y4)?, two(*m1, *m2)?, two(*d1, *d2)?)?, &[]))
        }
        _ => None,
    }
}

/// Seconds and microseconds, if written.
fn seconds(text: &[u8], loose: bool) -> Option<(u32, i64, &[u8])> {
    let [b':', s1, s2, rest @ ..] = text else { return Some((0, 0, text)) };
    let second = two(*s1, *s2)?;
    let [b'.', rest @ ..] = rest else { return Some((second, 0, rest)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(length);
    let (micros, finer) = digits.split_at(length.min(6));
    if digits.is_empty() || (!loose && finer.iter().any(|digit| *digit != b'0')) {
        return None;
    }
    let value = micros.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let scale = (micros.len()..6).fold(1, |scale, _| scale * 10);
    Some((second, value * scale, rest))
}

/// `Some(None)` when no offset is written, `None` when what is written is no offset.
fn offset(text: &[u8]) -> Option<Option<i32>> {
    match text {
        [] => Some(None),
        [b'Z' | b'z'] => Some(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
            let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?.cast_signed();
            Some(Some(if *sign == b'-' { -minutes } else { minutes }))
        }
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u32> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(u32::from(value))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn year(a: u8, b: u8, c: u8, d: u8) -> Option<u32> {
    Some(two(a, b)? * 100 + two(c, d)?)
}

fn one_or_two(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [a, b, rest @ ..] if b.is_ascii_digit() => Some((two(*a, *b)?, rest)),
        [a, rest @ ..] => Some((digit(*a)?, rest)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2024-01-05", Some(19_727)),
            ("2024/1/5", Some(19_727)),
            ("2024/01/05", Some(19_727)),
            ("2024-02-29", Some(19_782)),
            ("2000-02-29", Some(11_016)),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-01-32", None),
            ("0000-01-01", None),
            ("2024-1-5", None),
            ("2024.1.5", None),
            ("20240105", None),
            ("2024/1-5", None),
            ("2024-01-05 ", None),
            ("24-01-05", None),
            ("", None),
        ] {
            assert_eq!(date(text.as_bytes(), false), expected, "{text}");
        }
        for text in ["2024-1-5", "2024.1.5", "20240105", "2024-01-05"] {
            assert_eq!(date(text.as_bytes(), true), Some(19_727), "{text}");
        }
    }

    #[test]
    fn every_day_agrees_with_chrono() {
        let mut day = chrono::NaiveDate::from_ymd_opt(1580, 1, 1).unwrap();
        while day.to_string().as_str() < "2420-01-01" {
            let expected = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
            assert_eq!(date(day.to_string().as_bytes(), false).map(i64::from), Some(expected), "{day}");
            day = day.succ_opt().unwrap();
        }
    }

    #[test]
    fn datetimes() {
        const NOON: i64 = 43_200_000_000;
        check("1970-01-01 12:00", Some((NOON, None)));
        check("1970-01-01T12:00:00", Some((NOON, None)));
        check("1970/1/1 12:00:00", Some((NOON, None)));
        check("1970-01-01 12:00:00.5", Some((NOON + 500_000, None)));
        check("1970-01-01 12:00:00.000001", Some((NOON + 1, None)));
        check("1970-01-01 12:00:00.000001000", Some((NOON + 1, None)));
        check("1970-01-01 12:00:00.0000011", None);
        check("1970-01-01T12:00:00Z", Some((NOON, Some(0))));
        check("1970-01-01T12:00+09:00", Some((NOON, Some(540))));
        check("1970-01-01T12:00:00.25-05:30", Some((NOON + 250_000, Some(-330))));
        check("1970-01-01 24:00:00", None);
        check("1970-01-01 23:60:00", None);
        check("1970-01-01 23:59:60", None);
        check("1970-01-01 12", None);
        check("1970-01-01", None);
        check("1970-01-01 12:00:00.", None);
        check("1970-01-01 12:00:00+25:00", None);
        check("1970-02-30 12:00:00", None);

        #[track_caller]
        fn check(text: &str, expected: Option<(i64, Option<i32>)>) {
            let got =
                datetime(text.as_bytes(), false).map(|written| (written.micros, written.offset_minutes));
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn offsets_count_towards_utc() {
        let tokyo = datetime(b"1970-01-01T09:00:00+09:00", false).unwrap();
        assert_eq!(tokyo.utc(), Some(0));
    }
}
