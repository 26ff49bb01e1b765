//! UTF-8 text as bytes of another character set.

use std::borrow::Cow;

use encoding_rs::{EncoderResult, SHIFT_JIS};

use super::internal;
use crate::error::{Error, Result};

/// Stands for a character that CP932 lacks: the mark that Japanese printers put in place of a missing letter.
const MISSING: &[u8] = b"\x81\xac";

/// Appends `text`, which is UTF-8, in CP932.
///
/// A character that CP932 has under another code point, such as the wave dash, is written as that one. One that it
/// lacks is written as `〓`.
pub(super) fn cp932(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let text = std::str::from_utf8(text).map_err(Error::internal)?;
    let mut encoder = SHIFT_JIS.new_encoder();
    let mut rest: &str = &known(text);
    loop {
        // No character takes more bytes in CP932 than in UTF-8.
        out.reserve(rest.len() + MISSING.len());
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return Ok(()),
            EncoderResult::Unmappable(_) => {
                out.extend_from_slice(MISSING);
                encoder = SHIFT_JIS.new_encoder();
            }
            EncoderResult::OutputFull if read == 0 => {
                return Err(internal(arrow::error::ArrowError::CsvError(
                    "no room for a character".to_owned(),
                )));
            }
            EncoderResult::OutputFull => {}
        }
    }
}

/// The same text, in which characters of JIS that Unicode has twice are those that CP932 has.
fn known(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter| same_in_cp932(letter) != letter) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(same_in_cp932).collect())
}

fn same_in_cp932(letter: char) -> char {
    match letter {
        '\u{301c}' => '\u{ff5e}',
        '\u{2016}' => '\u{2225}',
        '\u{2212}' => '\u{ff0d}',
        '\u{2014}' => '\u{2015}',
        '\u{a2}' => '\u{ffe0}',
        '\u{a3}' => '\u{ffe1}',
        '\u{ac}' => '\u{ffe2}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_set_lacks_is_marked() {
        check("abc", b"abc");
        check("", b"");
        check("東京①髙", b"\x93\x8c\x8b\x9e\x87\x40\xfb\xfc");
        check("ｱ", b"\xb1");
        check("9時〜10時", b"9\x8e\x9e\x81\x6010\x8e\x9e");
        check("−", b"\x81\x7c");
        check("a😀b", b"a\x81\xacb");
        check("😀é", b"\x81\xac\x81\xac");

        #[track_caller]
        fn check(text: &str, expected: &[u8]) {
            let mut out = Vec::new();
            cp932(text.as_bytes(), &mut out).unwrap();
            assert_eq!(out, expected, "{text}");
        }
    }
}
