//! Booleans and numbers from text. Pure; the grammar is narrow on purpose: `007`, `+81`, `1_000` and `1,234` are
//! names and codes as often as numbers, so they stay text unless the user says otherwise (`loose`).

/// Beyond this an integer and its double may differ.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

#[inline]
pub(super) fn int64(text: &[u8], loose: bool) -> Option<i64> {
    // Without sign, and too short for an overflow: what most columns hold.
    if let [first @ b'1'..=b'9', rest @ ..] = text
        && rest.len() < 18
    {
        let mut value = i64::from(first - b'0');
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return any_int64(text, loose);
            }
            value = value * 10 + i64::from(digit);
        }
        return Some(value);
    }
    any_int64(text, loose)
}

#[inline(never)]
fn any_int64(text: &[u8], loose: bool) -> Option<i64> {
    let (negative, digits) = sign(text, loose);
    let magnitude = magnitude(digits)?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

pub(super) fn uint64(text: &[u8], loose: bool) -> Option<u64> {
    match sign(text, loose) {
        (false, digits) => magnitude(digits),
        (true, digits) => magnitude(digits).filter(|value| *value == 0),
    }
}

/// Decimal or exponent form, finite. An integer that a double would change fits only when `loose`.
#[inline]
pub(super) fn float64(text: &[u8], loose: bool) -> Option<f64> {
    let (negative, digits) = sign(text, loose);
    let value = short_float(digits).or_else(|| any_float(digits, loose))?;
    Some(if negative { -value } else { value })
}

/// At most 15 digits, with or without a point: what most columns hold. `None` for all else, right or wrong.
#[inline]
fn short_float(digits: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    // So many digits cannot overflow, and a point between them makes no more.
    if digits.len() > 16 {
        return None;
    }
    let (whole, mantissa) = add_digits(0, digits);
    let (fraction, mantissa) = match &digits[whole..] {
        [] => (None, mantissa),
        [b'.', rest @ ..] => {
            let (fraction, mantissa) = add_digits(mantissa, rest);
            if fraction < rest.len() {
                return None;
            }
            (Some(fraction), mantissa)
        }
        _ => return None,
    };
    let lacks_digits = fraction.map_or(whole == 0, |fraction| fraction == 0);
    let fraction = fraction.unwrap_or(0);
    let leading_zero = whole > 1 && digits[0] == b'0';
    if leading_zero || lacks_digits || whole + fraction > 15 {
        return None;
    }
    // Both numbers are exact in a double and one division rounds once: the nearest double, without a table.
    #[expect(clippy::cast_precision_loss, reason = "15 digits are below 2^53")]
    let value = mantissa as f64 / POWERS[fraction];
    Some(value)
}

/// How many digits `text` begins with, and `value` with them behind it.
#[inline]
fn add_digits(mut value: u64, text: &[u8]) -> (usize, u64) {
    for (place, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (place, value);
        }
        value = value * 10 + u64::from(digit);
    }
    (text.len(), value)
}

#[inline(never)]
fn any_float(digits: &[u8], loose: bool) -> Option<f64> {
    let (whole, rest) = run_of_digits(digits);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = run_of_digits(rest);
            if fraction.is_empty() {
                return None;
            }
            (fraction, rest)
        }
        _ => (&[][..], rest),
    };
    let leading_zero = whole.len() > 1 && whole[0] == b'0';
    if leading_zero || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if !rest.is_empty() && !is_exponent(rest) {
        return None;
    }
    if !loose
        && fraction.is_empty()
        && rest.is_empty()
        && magnitude(whole).is_none_or(|value| value > EXACT_IN_DOUBLE)
    {
        return None;
    }
    let value: f64 = fast_float2::parse(digits).ok()?;
    value.is_finite().then_some(value)
}

/// The value times 10^scale; `None` when it needs more digits than `precision` or `scale` allow.
pub(super) fn decimal(text: &[u8], precision: u8, scale: u8, loose: bool) -> Option<i128> {
    let (negative, digits) = sign(text, loose);
    let form = decimal_form(digits)?;
    let (whole_digits, scale) = (usize::from(precision - scale), usize::from(scale));
    let significant =
        form.whole.iter().position(|digit| *digit != b'0').map_or(0, |zeros| form.whole.len() - zeros);
    let (kept, dropped) = form.fraction.split_at(form.fraction.len().min(scale));
    if significant > whole_digits || dropped.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let add = |value: i128, digit: &u8| value * 10 + i128::from(digit - b'0');
    // At most 38 significant digits: no overflow.
    let value = form.whole[form.whole.len() - significant..].iter().chain(kept).fold(0_i128, add);
    let value = (kept.len()..scale).fold(value, |value, _| value * 10);
    Some(if negative { -value } else { value })
}

/// Digits before and after the point that a decimal column needs for this text; `None` for exponents.
pub(super) fn decimal_digits(text: &[u8]) -> Option<(usize, usize)> {
    let form = decimal_form(sign(text, false).1)?;
    let whole = if form.whole == b"0" { 0 } else { form.whole.len() };
    Some((whole, form.fraction.len()))
}

struct DecimalForm<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
}

fn decimal_form(digits: &[u8]) -> Option<DecimalForm<'_>> {
    let (whole, rest) = run_of_digits(digits);
    let fraction = match rest {
        [] => &[][..],
        [b'.', rest @ ..] => match run_of_digits(rest) {
            (fraction, []) if !fraction.is_empty() => fraction,
            _ => return None,
        },
        _ => return None,
    };
    let leading_zero = whole.len() > 1 && whole[0] == b'0';
    let empty = whole.is_empty() && fraction.is_empty();
    (!leading_zero && !empty).then_some(DecimalForm { whole, fraction })
}

/// The sign and the rest; when `loose` also without `+`, spaces around and leading zeros.
#[inline]
fn sign(text: &[u8], loose: bool) -> (bool, &[u8]) {
    let text = if loose { text.trim_ascii() } else { text };
    let (negative, mut digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] if loose => (false, rest),
        _ => (false, text),
    };
    if loose {
        while digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit() {
            digits = &digits[1..];
        }
    }
    (negative, digits)
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    let leading_zero = digits.len() > 1 && digits[0] == b'0';
    if digits.is_empty() || digits.len() > 20 || leading_zero {
        return None;
    }
    // 19 digits fit into 64 bits.
    let (head, last) = digits.split_at(digits.len().min(19));
    let (count, value) = add_digits(0, head);
    match last {
        _ if count < head.len() => None,
        [] => Some(value),
        [byte] if byte.is_ascii_digit() => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    }
}

fn run_of_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(length)
}

fn is_exponent(text: &[u8]) -> bool {
    let digits = match text {
        [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => digits,
        _ => return false,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        check("0", Some(0), Some(0));
        check("-0", Some(0), Some(0));
        check("42", Some(42), Some(42));
        check("-42", Some(-42), None);
        check("9223372036854775807", Some(i64::MAX), Some(9_223_372_036_854_775_807));
        check("-9223372036854775808", Some(i64::MIN), None);
        check("9223372036854775808", None, Some(9_223_372_036_854_775_808));
        check("18446744073709551615", None, Some(u64::MAX));
        for text in [
            "18446744073709551616",
            "99999999999999999999",
            "007",
            "+81",
            "1_000",
            "1,234",
            "",
            "-",
            "--1",
            " 1",
            "1 ",
            "1.0",
            "١",
        ] {
            check(text, None, None);
        }
        assert_eq!(int64(b" +007 ", true), Some(7));
        assert_eq!(int64(b"-000", true), Some(0));

        #[track_caller]
        fn check(text: &str, signed: Option<i64>, unsigned: Option<u64>) {
            assert_eq!(
                (int64(text.as_bytes(), false), uint64(text.as_bytes(), false)),
                (signed, unsigned),
                "{text}"
            );
        }
    }

    #[test]
    fn floats() {
        for text in [
            "0.5",
            "-12.50",
            ".5",
            "-.5",
            "0",
            "1e5",
            "1E-7",
            "-2.5e+10",
            "3.141592653589793",
            "0.1",
            "1e308",
        ] {
            assert_eq!(float64(text.as_bytes(), false), text.parse().ok(), "{text}");
        }
        assert!(float64(b"-0", false).unwrap().is_sign_negative());
        for text in [
            "nan",
            "inf",
            "-inf",
            "1e999",
            "1.",
            ".",
            "",
            "e5",
            "1e",
            "1e+",
            "00.5",
            "1.5.5",
            "1,5",
            "9007199254740993",
            "0x1",
        ] {
            assert_eq!(float64(text.as_bytes(), false), None, "{text}");
        }
        assert_eq!(float64(b"9007199254740992", false), Some(9_007_199_254_740_992.0));
        assert_eq!(float64(b"+09007199254740993", true), Some(9_007_199_254_740_992.0));
    }

    proptest::proptest! {
        #[test]
        fn floats_are_the_nearest(value: f64, digits in 0_usize..18) {
            for text in [format!("{value}"), format!("{value:e}"), format!("{:.digits$}", value % 1e9)] {
                if let Some(got) = float64(text.as_bytes(), true) {
                    proptest::prop_assert_eq!(got, text.parse::<f64>().unwrap(), "{}", text);
                }
            }
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(b"12.5", 6, 2, false), Some(1250));
        assert_eq!(decimal(b"-0.05", 6, 2, false), Some(-5));
        assert_eq!(decimal(b".5", 2, 2, false), Some(50));
        assert_eq!(decimal(b"12.500", 4, 2, false), Some(1250));
        assert_eq!(decimal(b"12.501", 6, 2, false), None);
        assert_eq!(decimal(b"123.4", 4, 2, false), None);
        assert_eq!(
            decimal(b"99999999999999999999999999999999999999", 38, 0, false),
            Some(10_i128.pow(38) - 1)
        );
        assert_eq!(decimal(b"1e2", 6, 2, false), None);
        assert_eq!(decimal_digits(b"-120.50"), Some((3, 2)));
        assert_eq!(decimal_digits(b"0.5"), Some((0, 1)));
    }

    #[test]
    fn booleans() {
        assert_eq!(
            [boolean(b"TRUE"), boolean(b"false"), boolean(b"t"), boolean(b"1")],
            [Some(true), Some(false), None, None]
        );
    }
}
