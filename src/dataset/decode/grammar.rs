//! Where a CSV record ends, on raw bytes: quotes and line ends, nothing else.
//!
//! Works before decoding, because in Shift_JIS and EUC-JP the bytes of `"`, CR and LF are never the second byte of a
//! character. Cutting and splitting must agree on where quotes open, so both ask here.

use memchr::{memchr, memrchr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grammar {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// The last byte of a record.
    pub(super) terminator: u8,
    /// In Shift_JIS `|` can be the second byte of a character, and then separates nothing.
    pub(super) shift_jis: bool,
}

/// How far whole records reach into a block that starts with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// The end of the last whole record.
    pub(super) end: usize,
    /// A quote opens after `end` and does not close in the block.
    pub(super) open: bool,
}

impl Grammar {
    /// The end of the last record in `bytes` whose terminator is there too.
    pub(super) fn whole(&self, bytes: &[u8]) -> Whole {
        let mut end = 0;
        let mut from = 0;
        while let Some(quote) = self.opening_quote(bytes, from, bytes.len()) {
            end = memrchr(self.terminator, &bytes[from..quote]).map_or(end, |at| from + at + 1);
            match self.closing_quote(bytes, quote) {
                // A quote in the last place may be the first of two.
                Some(close) if close + 1 < bytes.len() => from = close + 1,
                _ => return Whole { end, open: true },
            }
        }
        let end = memrchr(self.terminator, &bytes[from..]).map_or(end, |at| from + at + 1);
        Whole { end, open: false }
    }

    /// The length of the first record of `bytes`, its terminator included.
    pub(super) fn record(&self, bytes: &[u8]) -> usize {
        let mut from = 0;
        loop {
            let end = memchr(self.terminator, &bytes[from..]).map_or(bytes.len(), |at| from + at + 1);
            let Some(quote) = self.opening_quote(bytes, from, end) else { return end };
            match self.closing_quote(bytes, quote) {
                Some(close) => from = close + 1,
                None => return bytes.len(),
            }
        }
    }

    /// The first quote in `from..to` that opens a field: one at the start of a field. Others are text.
    fn opening_quote(&self, bytes: &[u8], from: usize, to: usize) -> Option<usize> {
        let quote = self.quote?;
        let mut at = from;
        while let Some(found) = memchr(quote, &bytes[at..to]) {
            let place = at + found;
            if place == 0 || self.starts_field(bytes, place) {
                return Some(place);
            }
            at = place + 1;
        }
        None
    }

    fn starts_field(&self, bytes: &[u8], place: usize) -> bool {
        let before = bytes[place - 1];
        before == self.terminator
            || (before == self.delimiter && !(self.shift_jis && is_second_byte(bytes, place - 1)))
    }

    /// The quote that closes the one at `open`; doubled quotes are text.
    pub(super) fn closing_quote(&self, bytes: &[u8], open: usize) -> Option<usize> {
        let quote = self.quote?;
        let mut at = open + 1;
        loop {
            let place = at + memchr(quote, bytes.get(at..)?)?;
            if bytes.get(place + 1) != Some(&quote) {
                return Some(place);
            }
            at = place + 2;
        }
    }
}

/// Whether the byte at `place` completes a Shift_JIS character: an odd number of lead bytes stands before it.
fn is_second_byte(bytes: &[u8], place: usize) -> bool {
    let is_lead = |byte: &&u8| matches!(**byte, 0x81..=0x9F | 0xE0..=0xFC);
    bytes[..place].iter().rev().take_while(is_lead).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Grammar = Grammar { delimiter: b',', quote: Some(b'"'), terminator: b'\n', shift_jis: false };

    #[test]
    fn whole_records() {
        check(b"a,b\nc,d\n", 8, false);
        check(b"a,b\nc,d", 4, false);
        check(b"a,b\n\"c\nd", 4, true);
        check(b"a,b\n\"c\"", 4, true);
        check(b"a,b\n\"c\"\nd", 8, false);
        check(b"a,\"b\"\"\nc\"\nd", 10, false);
        check(b"a\"b\nc\"d\n", 8, false);
        check(b"", 0, false);

        #[track_caller]
        fn check(bytes: &[u8], end: usize, open: bool) {
            assert_eq!(CSV.whole(bytes), Whole { end, open });
        }
    }

    #[test]
    fn first_record() {
        assert_eq!(CSV.record(b"a\nb\n"), 2);
        assert_eq!(CSV.record(b"\"a\nb\"\nc"), 6);
        assert_eq!(CSV.record(b"\"a\nb"), 4);
        assert_eq!(CSV.record(b"x"), 1);
    }

    #[test]
    fn a_bar_inside_a_character_separates_nothing() {
        let bars = Grammar { delimiter: b'|', shift_jis: true, ..CSV };
        // 0x83 0x7C is one character; the quote after it is text, so the line ends.
        assert_eq!(bars.whole(b"\x83\x7C\"\nx\n"), Whole { end: 6, open: false });
        assert_eq!(bars.whole(b"\x83\x83\x7C\"\nx\n"), Whole { end: 0, open: true });
    }
}
