//! Text encodings: names, strict decoding, and finding which one a sample is in.

use std::{borrow::Cow, fmt, str::FromStr};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{DecoderResult, EUC_JP, Encoding, SHIFT_JIS};
use serde::{Deserialize, Serialize};

/// `cp932` and `shift_jis` are one: Windows-31J, which has the NEC and IBM characters that real files use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    ShiftJis,
    EucJp,
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::ShiftJis => "shift_jis",
            Self::EucJp => "euc-jp",
        })
    }
}

impl FromStr for TextEncoding {
    type Err = String;

    /// `utf-16` without a byte order means little endian, as Windows writes it; a byte order mark wins over the name.
    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "utf-8-sig" => Ok(Self::Utf8),
            "utf-16" | "utf-16le" => Ok(Self::Utf16Le),
            "utf-16be" => Ok(Self::Utf16Be),
            "shift_jis" | "cp932" => Ok(Self::ShiftJis),
            "euc-jp" => Ok(Self::EucJp),
            _ => Err(format!(
                "unknown encoding `{name}`; expected `utf-8`, `utf-8-sig`, `utf-16`, `utf-16le`, `utf-16be`, \
                 `shift_jis`, `cp932` or `euc-jp`"
            )),
        }
    }
}

impl TryFrom<String> for TextEncoding {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<TextEncoding> for String {
    fn from(encoding: TextEncoding) -> Self {
        encoding.to_string()
    }
}

impl TextEncoding {
    pub(super) fn is_utf16(self) -> bool {
        matches!(self, Self::Utf16Le | Self::Utf16Be)
    }

    /// The multi-byte encoding to decode from. UTF-16 has become UTF-8 before records are cut.
    fn legacy(self) -> Option<&'static Encoding> {
        match self {
            Self::ShiftJis => Some(SHIFT_JIS),
            Self::EucJp => Some(EUC_JP),
            Self::Utf8 | Self::Utf16Le | Self::Utf16Be => None,
        }
    }

    /// All of `bytes` as text, or nothing. Keeps the allocation where the bytes are UTF-8 already.
    pub(super) fn decode(self, bytes: Vec<u8>) -> Result<String, Vec<u8>> {
        let Some(encoding) = self.legacy() else {
            return String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes);
        };
        match encoding.decode_without_bom_handling_and_without_replacement(&bytes) {
            Some(Cow::Owned(text)) => Ok(text),
            // Borrowed means ASCII only.
            Some(Cow::Borrowed(_)) => {
                String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
            }
            None => Err(bytes),
        }
    }

    /// Text with U+FFFD for what the encoding does not have.
    pub(super) fn decode_lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        match self.legacy() {
            None => String::from_utf8_lossy(bytes),
            Some(encoding) => encoding.decode_without_bom_handling(bytes).0,
        }
    }

    /// Where the first byte is that does not belong, if there is one. A sequence cut off by the end counts only
    /// when the end is the end of the file.
    pub(super) fn first_fault(self, bytes: &[u8], at_end: bool) -> Option<usize> {
        let Some(encoding) = self.legacy() else {
            let error = std::str::from_utf8(bytes).err()?;
            return (at_end || error.error_len().is_some()).then_some(error.valid_up_to());
        };
        let mut decoder = encoding.new_decoder_without_bom_handling();
        let mut sink = [0_u8; 8192];
        let mut read = 0;
        loop {
            let (result, used, _) =
                decoder.decode_to_utf8_without_replacement(&bytes[read..], &mut sink, at_end);
            read += used;
            match result {
                DecoderResult::InputEmpty => return None,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    return Some(read.saturating_sub(usize::from(length) + usize::from(after)));
                }
            }
        }
    }
}

/// A byte order mark at the start: the encoding it stands for, and its length.
pub(super) fn byte_order_mark(bytes: &[u8]) -> Option<(TextEncoding, usize)> {
    match bytes {
        [0xEF, 0xBB, 0xBF, ..] => Some((TextEncoding::Utf8, 3)),
        [0xFF, 0xFE, ..] => Some((TextEncoding::Utf16Le, 2)),
        [0xFE, 0xFF, ..] => Some((TextEncoding::Utf16Be, 2)),
        _ => None,
    }
}

/// The encoding of a sample without a byte order mark; `None` when no encoding that we know fits.
///
/// `at_end` says that the sample is all there is.
pub(super) fn find(sample: &[u8], at_end: bool) -> Option<TextEncoding> {
    if let Some(encoding) = by_zero_bytes(sample) {
        return Some(encoding);
    }
    if TextEncoding::Utf8.first_fault(sample, at_end).is_none() {
        return Some(TextEncoding::Utf8);
    }
    let fits = |encoding: TextEncoding| encoding.first_fault(sample, at_end).is_none();
    match (fits(TextEncoding::ShiftJis), fits(TextEncoding::EucJp)) {
        (true, false) => Some(TextEncoding::ShiftJis),
        (false, true) => Some(TextEncoding::EucJp),
        (true, true) => Some(by_frequency(sample)),
        (false, false) => nearly(sample),
    }
}

/// UTF-16 text of any language has ASCII delimiters and line ends, whose other byte is zero.
fn by_zero_bytes(sample: &[u8]) -> Option<TextEncoding> {
    let zeros = |first: usize| sample.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let pairs = (sample.len() / 2).max(1);
    // A twentieth: a line of Japanese text has few ASCII characters; other texts have no zeros at all.
    match (even * 20 >= pairs, odd * 20 >= pairs) {
        (false, true) if even * 10 <= odd => Some(TextEncoding::Utf16Le),
        (true, false) if odd * 10 <= even => Some(TextEncoding::Utf16Be),
        _ => None,
    }
}

/// Which of the two Japanese encodings the characters are more likely in.
fn by_frequency(sample: &[u8]) -> TextEncoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, true);
    let guess = detector.guess(Some(b"jp"), Utf8Detection::Deny);
    if guess == EUC_JP { TextEncoding::EucJp } else { TextEncoding::ShiftJis }
}

/// A sample with single broken bytes is still in its encoding: the one under which at most one in twenty of the
/// characters beyond ASCII is broken.
fn nearly(sample: &[u8]) -> Option<TextEncoding> {
    let broken_share = |encoding: TextEncoding| {
        let text = encoding.decode_lossy(sample);
        let beyond_ascii = text.chars().filter(|c| !c.is_ascii()).count();
        let broken = text.chars().filter(|c| *c == '\u{FFFD}').count();
        (broken * 20 <= beyond_ascii).then_some((broken, encoding))
    };
    [TextEncoding::Utf8, TextEncoding::ShiftJis, TextEncoding::EucJp]
        .into_iter()
        .filter_map(broken_share)
        .min_by_key(|(broken, _)| *broken)
        .map(|(_, encoding)| encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KANJI: &str = "品名,数量\n表示用ソフト能力,10\n高橋さんの申請,20\n予算の一覧を作る,3\n";

    #[test]
    fn encodings_are_found() {
        check(KANJI.as_bytes(), Some(TextEncoding::Utf8));
        check(b"a,b\n1,2\n", Some(TextEncoding::Utf8));
        check(&SHIFT_JIS.encode(KANJI).0, Some(TextEncoding::ShiftJis));
        check(&EUC_JP.encode(KANJI).0, Some(TextEncoding::EucJp));
        let le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        check(&le(KANJI), Some(TextEncoding::Utf16Le));
        check(&be(KANJI), Some(TextEncoding::Utf16Be));
        check(&le("a,b\n1,2\n"), Some(TextEncoding::Utf16Le));
        check(b"a,b\n\xFF\xFE\xFD\xFC\x80,\xFF\n", None);

        #[track_caller]
        fn check(sample: &[u8], expected: Option<TextEncoding>) {
            assert_eq!(find(sample, true), expected);
        }
    }

    #[test]
    fn one_broken_byte_does_not_change_the_encoding() {
        let mut sample = KANJI.repeat(4).into_bytes();
        sample.push(0xFF);
        assert_eq!(find(&sample, true), Some(TextEncoding::Utf8));
    }

    #[test]
    fn faults_are_placed() {
        check(TextEncoding::Utf8, b"ab\xFFcd", Some(2));
        check(TextEncoding::Utf8, "ab表".as_bytes(), None);
        check(TextEncoding::ShiftJis, b"ab\x81\x0Acd", Some(2));
        check(TextEncoding::ShiftJis, b"ab\x95\x5Ccd\xFF", Some(6));
        check(TextEncoding::EucJp, b"ab\xC9\xBDcd\xC9", Some(6));

        #[track_caller]
        fn check(encoding: TextEncoding, bytes: &[u8], expected: Option<usize>) {
            assert_eq!(encoding.first_fault(bytes, true), expected);
        }
    }

    #[test]
    fn a_name_that_is_no_encoding_lists_those_that_are() {
        let message = "latin-1".parse::<TextEncoding>().unwrap_err();
        assert!(message.contains("`latin-1`") && message.contains("`cp932`"), "{message}");
    }
}
