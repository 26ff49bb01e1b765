//! Checksums of an object's blocks, so that any part of it can be read and checked without the rest.
//!
//! Why: a hash of the whole object tells of damage only to who reads all of it, and a query reads a few
//! columns. Parquet has checksums of pages, but its writer cannot set them, and footers and indexes have
//! none.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// Bytes a checksum covers. Smaller blocks mean less read beside what was asked for, and longer manifests:
/// at 64 KiB, 84 bytes for each MiB.
const BLOCK_BYTES: u32 = 64 << 10;

/// One CRC-32 a block; the last block may be shorter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct BlockSums {
    block_bytes: u64,
    crc32: Vec<u32>,
}

/// As a manifest has it.
#[derive(Serialize, Deserialize)]
struct Stored {
    block_bytes: u32,
    /// Base64 of little-endian numbers, one a block.
    crc32: String,
}

impl BlockSums {
    /// The sums of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut summer = Summer::default();
        summer.update(bytes);
        summer.finish()
    }

    /// The smallest range of whole blocks around `range`, in an object of `byte_count` bytes.
    #[must_use]
    pub fn around(&self, range: &Range<u64>, byte_count: u64) -> Range<u64> {
        let start = range.start / self.block_bytes * self.block_bytes;
        let end = range.end.div_ceil(self.block_bytes).saturating_mul(self.block_bytes);
        start..end.min(byte_count)
    }

    /// Checks `bytes`, which stand at `start`, the start of a block, and end where a block or the object
    /// ends.
    ///
    /// # Errors
    /// The place of the first block that is not what was written.
    pub fn check(&self, start: u64, bytes: &[u8]) -> Result<(), Range<u64>> {
        let size = usize::try_from(self.block_bytes).unwrap_or(usize::MAX);
        let mut at = start;
        for block in bytes.chunks(size) {
            let expected =
                usize::try_from(at / self.block_bytes).ok().and_then(|index| self.crc32.get(index));
            let end = at + block.len() as u64;
            if expected != Some(&crc32fast::hash(block)) {
                return Err(at..end);
            }
            at = end;
        }
        Ok(())
    }
}

impl From<BlockSums> for Stored {
    fn from(sums: BlockSums) -> Self {
        let bytes: Vec<u8> = sums.crc32.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let block_bytes = u32::try_from(sums.block_bytes).unwrap_or(u32::MAX);
        Self { block_bytes, crc32: BASE64.encode(bytes) }
    }
}

impl TryFrom<Stored> for BlockSums {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let bytes = BASE64.decode(&stored.crc32).map_err(|cause| format!("`crc32` is no base64: {cause}"))?;
        let (sums, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || stored.block_bytes == 0 {
            return Err("`crc32` or `block_bytes` is cut off".to_owned());
        }
        let crc32 = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        Ok(Self { block_bytes: stored.block_bytes.into(), crc32 })
    }
}

/// Sums blocks of bytes that come in pieces.
#[derive(Debug, Default)]
pub(crate) struct Summer {
    block: crc32fast::Hasher,
    in_block: usize,
    done: Vec<u32>,
}

impl Summer {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES as usize - self.in_block;
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(piece);
            self.in_block += piece.len();
            if self.in_block == BLOCK_BYTES as usize {
                self.close();
            }
            bytes = rest;
        }
    }

    pub(crate) fn finish(mut self) -> BlockSums {
        if self.in_block > 0 {
            self.close();
        }
        BlockSums { block_bytes: BLOCK_BYTES.into(), crc32: self.done }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.block).finalize());
        self.in_block = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = BLOCK_BYTES as usize;

    /// Bytes of which no two blocks are alike.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn pieces_do_not_matter() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let whole = bytes(length);
            let sums = BlockSums::of(&whole);
            assert_eq!(sums.crc32.len(), length.div_ceil(BLOCK), "{length}");
            for piece in [1000, BLOCK, BLOCK + 1] {
                let mut summer = Summer::default();
                whole.chunks(piece).for_each(|bytes| summer.update(bytes));
                assert_eq!(summer.finish(), sums, "{length} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_found_in_its_block() {
        let whole = bytes(2 * BLOCK + 100);
        let sums = BlockSums::of(&whole);
        assert_eq!(sums.check(0, &whole), Ok(()));
        for (place, start, end) in
            [(0, 0, BLOCK), (BLOCK, BLOCK, 2 * BLOCK), (2 * BLOCK + 99, 2 * BLOCK, whole.len())]
        {
            let mut rotten = whole.clone();
            rotten[place] ^= 1;
            assert_eq!(sums.check(0, &rotten), Err(start as u64..end as u64), "byte {place}");
        }
        assert!(sums.check(0, &whole[..whole.len() - 1]).is_err(), "cut off");
        assert!(sums.check(2 * BLOCK as u64, &whole[..100]).is_err(), "another block");
        assert!(sums.check(3 * BLOCK as u64, &whole[..100]).is_err(), "beyond the end");
    }

    #[test]
    fn ranges_grow_to_blocks() {
        let (block, size) = (u64::from(BLOCK_BYTES), 2 * u64::from(BLOCK_BYTES) + 100);
        let sums = BlockSums::of(&bytes(2 * BLOCK + 100));
        let check = |asked: Range<u64>, read| assert_eq!(sums.around(&asked, size), read, "{asked:?}");
        check(10..20, 0..block);
        check(0..block, 0..block);
        check(block - 1..block + 1, 0..2 * block);
        check(2 * block + 5..size, 2 * block..size);
    }

    #[test]
    fn stored_sums_are_the_same() {
        let sums = BlockSums::of(&bytes(2 * BLOCK + 1));
        let text = serde_json::to_string(&sums).unwrap();
        assert_eq!(serde_json::from_str::<BlockSums>(&text).unwrap(), sums, "{text}");
        for wrong in [r#"{"block_bytes":0,"crc32":""}"#, r#"{"block_bytes":1,"crc32":"AAA="}"#] {
            assert!(serde_json::from_str::<BlockSums>(wrong).is_err(), "{wrong}");
        }
    }
}
