//! UTF-16 to UTF-8 as it is read. Half a surrogate pair becomes three bytes that are no UTF-8, so that its record is
//! found wrong like one with broken bytes in any other encoding; where it stood is noted aside.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use super::encoding::TextEncoding;

/// Pairs of a place in the UTF-8 that is read and the offset in the file, in order.
pub(super) type Faults = Arc<Mutex<Vec<(u64, u64)>>>;

/// Stands for half a pair: the start of an encoded surrogate, which UTF-8 does not have.
const BROKEN: [u8; 3] = [0xED, 0xA0, 0x80];

pub(super) struct Utf16Reader<R> {
    inner: R,
    big_endian: bool,
    /// Of the first byte of `raw` in the file.
    offset: u64,
    raw: Vec<u8>,
    text: Vec<u8>,
    /// What of `text` has been handed out.
    given: usize,
    /// UTF-8 bytes made before `text`.
    made: u64,
    at_end: bool,
    faults: Faults,
}

impl<R: Read> Utf16Reader<R> {
    pub(super) fn new(inner: R, encoding: TextEncoding, offset: u64, faults: Faults) -> Self {
        let big_endian = encoding == TextEncoding::Utf16Be;
        Self {
            inner,
            big_endian,
            offset,
            raw: Vec::new(),
            text: Vec::new(),
            given: 0,
            made: 0,
            at_end: false,
            faults,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        const BLOCK_BYTES: usize = 1 << 16;
        self.made += self.text.len() as u64;
        self.text.clear();
        self.given = 0;
        let missing = BLOCK_BYTES - self.raw.len();
        let read = self.inner.by_ref().take(missing as u64).read_to_end(&mut self.raw)?;
        self.at_end = read < missing;
        let unit = |pair: &[u8]| {
            if self.big_endian {
                u16::from_be_bytes([pair[0], pair[1]])
            } else {
                u16::from_le_bytes([pair[0], pair[1]])
            }
        };
        let mut units: Vec<u16> = self.raw.chunks_exact(2).map(unit).collect();
        // The first half of a pair waits for the second.
        if !self.at_end && units.last().is_some_and(|unit| (0xD800..0xDC00).contains(unit)) {
            units.pop();
        }
        let mut place = self.offset;
        for character in char::decode_utf16(units.iter().copied()) {
            match character {
                Ok(character) => {
                    self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    place += 2 * character.len_utf16() as u64;
                }
                Err(_) => {
                    self.broken(place);
                    place += 2;
                }
            }
        }
        self.raw.drain(..units.len() * 2);
        self.offset = place;
        if self.at_end && !self.raw.is_empty() {
            self.broken(place);
            self.raw.clear();
        }
        Ok(())
    }

    fn broken(&mut self, place: u64) {
        let fault = (self.made + self.text.len() as u64, place);
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        self.text.extend_from_slice(&BROKEN);
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() && !self.at_end {
            self.refill()?;
        }
        let left = &self.text[self.given..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_cross_blocks_and_halves_are_placed() {
        let text = "a𠮷".repeat(40_000);
        let mut raw: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let whole = raw.len() as u64;
        raw.extend([0xD8, 0x42, 0x00, b'x', 0x00]);
        let faults = Faults::default();
        let mut read = Vec::new();
        Utf16Reader::new(&raw[..], TextEncoding::Utf16Be, 0, Arc::clone(&faults))
            .read_to_end(&mut read)
            .unwrap();
        let expected = [text.as_bytes(), &BROKEN, b"x", &BROKEN].concat();
        assert_eq!(read, expected);
        let places: Vec<u64> = faults.lock().unwrap().iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [whole, whole + 4]);
    }
}
