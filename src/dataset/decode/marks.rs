//! Where the marks of a CSV text stand, found 64 bytes at a time. Fields are short: a search started anew for each
//! of them would cost more than the bytes it looks at.

use wide::u8x16;

use super::grammar::Grammar;

/// Bytes of a block, one for each bit of a word.
const BLOCK: usize = 64;

/// The marks of a text in their order.
pub(super) struct Marks<'a> {
    bytes: &'a [u8],
    grammar: Grammar,
    /// Where the block that is looked at begins.
    start: usize,
    block: Block,
    /// The marks of the block that are not handed out yet.
    rest: u64,
}

/// Bit `i` stands for byte `i` of the block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Block {
    delimiters: u64,
    terminators: u64,
    quotes: u64,
}

/// The quote that closes a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) place: usize,
    /// There are doubled quotes, which stand for one, between the two.
    pub(super) doubled: bool,
    /// Terminators between the two.
    pub(super) lines: u64,
}

impl<'a> Marks<'a> {
    pub(super) fn new(bytes: &'a [u8], start: usize, grammar: Grammar) -> Self {
        let mut marks = Self { bytes, grammar, start, block: Block::default(), rest: 0 };
        marks.load(start);
        marks
    }

    /// The next delimiter, terminator or quote, or the end of the text.
    #[inline(always)]
    pub(super) fn next(&mut self) -> usize {
        while self.rest == 0 {
            if self.start + BLOCK >= self.bytes.len() {
                return self.bytes.len();
            }
            self.load(self.start + BLOCK);
        }
        let place = self.start + self.rest.trailing_zeros() as usize;
        self.rest &= self.rest - 1;
        place
    }

    /// The quote that closes the one at `open`, which was the last mark handed out; the next one is behind it.
    /// `None` when nothing closes it, and then there are no more marks.
    pub(super) fn closing_quote(&mut self, open: usize) -> Option<Closing> {
        let (mut lines, mut doubled) = (0, false);
        // The quotes and terminators behind the last quote.
        let mut behind = above(open - self.start);
        loop {
            let place = self.next_quote(behind, &mut lines)?;
            if self.bytes.get(place + 1).copied() != self.grammar.quote {
                self.rest &= above(place - self.start);
                return Some(Closing { place, doubled, lines });
            }
            doubled = true;
            behind = above(place - self.start);
            match behind {
                0 => {
                    // The second of the two is the first byte of the next block, which there is.
                    self.load(self.start + BLOCK);
                    behind = above(0);
                }
                _ => behind &= behind - 1,
            }
        }
    }

    /// The first quote among the bits of `behind` or in later blocks; adds the terminators before it to `lines`.
    #[inline(always)]
    fn next_quote(&mut self, mut behind: u64, lines: &mut u64) -> Option<usize> {
        loop {
            let quotes = self.block.quotes & behind;
            // All bits below the lowest one of `quotes`; all bits when it has none.
            let before = quotes.wrapping_sub(1) & !quotes;
            let passed = self.block.terminators & behind & before;
            if passed != 0 {
                *lines += u64::from(passed.count_ones());
            }
            if quotes != 0 {
                return Some(self.start + quotes.trailing_zeros() as usize);
            }
            if self.start + BLOCK >= self.bytes.len() {
                self.rest = 0;
                return None;
            }
            self.load(self.start + BLOCK);
            behind = u64::MAX;
        }
    }

    // Apart, so that the loop over the fields of a block has the registers for itself.
    #[inline(never)]
    fn load(&mut self, start: usize) {
        self.start = start;
        self.block = block_at(self.bytes, start, self.grammar);
        self.rest = self.block.delimiters | self.block.terminators | self.block.quotes;
    }
}

/// The bits above bit `bit`.
#[inline(always)]
fn above(bit: usize) -> u64 {
    (u64::MAX << bit) << 1
}

#[inline(always)]
fn block_at(bytes: &[u8], start: usize, grammar: Grammar) -> Block {
    match bytes.get(start..).and_then(<[u8]>::first_chunk) {
        Some(block) => find(block, grammar),
        None => last_block(bytes.get(start..).unwrap_or_default(), grammar),
    }
}

/// The end of a text, where less than a block is left.
#[inline(never)]
fn last_block(tail: &[u8], grammar: Grammar) -> Block {
    let mut padded = [0; BLOCK];
    padded[..tail.len()].copy_from_slice(tail);
    let there = (1 << tail.len()) - 1;
    let Block { delimiters, terminators, quotes } = find(&padded, grammar);
    Block { delimiters: delimiters & there, terminators: terminators & there, quotes: quotes & there }
}

#[inline(always)]
fn find(block: &[u8; BLOCK], grammar: Grammar) -> Block {
    let quote = grammar.quote.unwrap_or(grammar.terminator);
    let [delimiters, terminators, quotes] = bits(block, [grammar.delimiter, grammar.terminator, quote]);
    Block { delimiters, terminators, quotes }
}

/// For each of `wanted`, the bits of the bytes that equal it.
#[inline(always)]
fn bits(block: &[u8; BLOCK], wanted: [u8; 3]) -> [u64; 3] {
    let mut found = [0; 3];
    for (part, bytes) in block.as_chunks().0.iter().enumerate() {
        let bytes = u8x16::new(*bytes);
        for (found, wanted) in found.iter_mut().zip(wanted) {
            *found |= u64::from(bytes.simd_eq(u8x16::splat(wanted)).to_bitmask()) << (part * 16);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Grammar = Grammar { delimiter: b',', quote: Some(b'"'), terminator: b'\n', shift_jis: false };

    #[test]
    fn marks_come_in_their_order_wherever_a_block_ends() {
        for before in 0..200 {
            let text = format!("{},b\"\n", "a".repeat(before));
            let mut marks = Marks::new(text.as_bytes(), 0, CSV);
            let got: Vec<_> = std::iter::repeat_with(|| marks.next()).take(5).collect();
            let end = before + 4;
            assert_eq!(got, [before, before + 2, before + 3, end, end], "{before} bytes before");
        }
    }

    #[test]
    fn closing_quotes() {
        check("\"\"", Some((1, false, 0)), 2);
        check("\"a\",b", Some((2, false, 0)), 3);
        check("\"a,\n\nb\"", Some((6, false, 2)), 7);
        check("\"a\"\"b\"\n", Some((5, true, 0)), 6);
        check("\"\"\"\"", Some((3, true, 0)), 4);
        check("\"a\nb", None, 4);
        check("\"a\"\"", None, 4);
        check("\"", None, 1);

        // With as much text before it as makes every place of it the first of a block, and the last.
        #[track_caller]
        fn check(text: &str, expected: Option<(usize, bool, u64)>, next: usize) {
            for before in 0..150 {
                let text = format!("{}{text}", "a".repeat(before));
                let mut marks = Marks::new(text.as_bytes(), 0, CSV);
                let open = marks.next();
                let expected =
                    expected.map(|(place, doubled, lines)| Closing { place: before + place, doubled, lines });
                assert_eq!(marks.closing_quote(open), expected, "{before} bytes before");
                assert_eq!(marks.next(), before + next, "{before} bytes before");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_bit_for_each_byte_that_is_wanted(block: [u8; BLOCK], wanted: [u8; 3]) {
            let found = bits(&block, wanted);
            for (found, wanted) in found.into_iter().zip(wanted) {
                for (place, byte) in block.iter().enumerate() {
                    proptest::prop_assert_eq!(found >> place & 1 == 1, *byte == wanted);
                }
            }
        }
    }
}
