//! Where the pieces of an input lie in its memory.
//!
//! A stream of Arrow IPC is one piece. Columns of which nobody knows how long they get are one each, in a file with
//! room between them that was never written and takes no memory:
//!
//! ```text
//!  │ MARK, 8 bytes │ count, 8 bytes │ from, length, 8 bytes each … │   piece   │   piece   │ …
//! ```
//!
//! All numbers are little endian. Each piece begins where a page does, so that it can be mapped by itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::FileExt as _;

use crate::memory;

/// No stream of Arrow IPC begins like this.
const MARK: [u8; 8] = *b"shirabe1";
const NUMBER: usize = size_of::<u64>();
/// More are never written.
pub const PIECES_MAX: usize = 4096;

/// A part of a file: where it begins, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub from: u64,
    pub length: u64,
}

/// Writes where the pieces of `file` are.
///
/// # Errors
/// When there is no memory for it.
pub fn write_head(file: &File, pieces: &[Piece]) -> io::Result<()> {
    let mut head = MARK.to_vec();
    head.extend((pieces.len() as u64).to_le_bytes());
    for piece in pieces {
        head.extend(piece.from.to_le_bytes());
        head.extend(piece.length.to_le_bytes());
    }
    file.write_all_at(&head, 0)
}

/// The pieces of an input.
///
/// # Errors
/// `InvalidData` for what nobody has written like this.
pub fn read(input: impl AsFd) -> io::Result<Vec<Piece>> {
    let length = memory::length(&input)?;
    let all = vec![Piece { from: 0, length }];
    let mut begin = [0; 2 * NUMBER];
    if length < begin.len() as u64 {
        return Ok(all);
    }
    read_exact_at(&input, &mut begin, 0)?;
    let (mark, count) = begin.split_at(NUMBER);
    if mark != MARK {
        return Ok(all);
    }
    let count = usize::try_from(number(count)).ok().filter(|count| *count <= PIECES_MAX);
    let count = count.ok_or_else(|| invalid("too many pieces"))?;
    let mut places = vec![0; count * 2 * NUMBER];
    read_exact_at(&input, &mut places, begin.len() as u64)?;
    let pieces = places.chunks_exact(2 * NUMBER).map(|place| {
        let (from, length_of_piece) = place.split_at(NUMBER);
        let piece = Piece { from: number(from), length: number(length_of_piece) };
        let end = piece.from.checked_add(piece.length).filter(|end| *end <= length && piece.length > 0);
        end.map(|_| piece).ok_or_else(|| invalid("a piece that is not in the file"))
    });
    pieces.collect()
}

fn read_exact_at(input: &impl AsFd, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    while !into.is_empty() {
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(input, &mut *into, at))?;
        if read == 0 {
            return Err(invalid(&format!("input {} is cut off", input.as_fd().as_raw_fd())));
        }
        at += read as u64;
        into = &mut into[read..];
    }
    Ok(())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an input has {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_one_piece() {
        for bytes in [&b""[..], b"x", &[0xff; 100]] {
            let file = memory::sealed("test", &[bytes]).unwrap();
            assert_eq!(read(&file).unwrap(), [Piece { from: 0, length: bytes.len() as u64 }]);
        }
    }

    #[test]
    fn pieces_are_where_they_were_said_to_be() {
        let file = memory::empty("test").unwrap();
        let pieces = [Piece { from: 4096, length: 3 }, Piece { from: 1 << 40, length: 1 }];
        file.write_all_at(b"abc", 4096).unwrap();
        file.write_all_at(b"d", 1 << 40).unwrap();
        write_head(&file, &pieces).unwrap();
        assert_eq!(read(&file).unwrap(), pieces);
        // What lies between takes no memory.
        assert!((3 * 4096..64 << 10).contains(&memory::taken(&file).unwrap()));
    }

    #[test]
    fn what_nobody_has_written_is_refused() {
        for pieces in [
            &[Piece { from: 4096, length: 5 }][..],
            &[Piece { from: u64::MAX, length: 2 }],
            &[Piece { from: 0, length: 0 }],
        ] {
            let file = memory::empty("test").unwrap();
            file.write_all_at(&[0; 4], 4096).unwrap();
            write_head(&file, pieces).unwrap();
            assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let file = memory::empty("test").unwrap();
        file.write_all_at(&[&MARK[..], &[0xff; 8]].concat(), 0).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
        file.write_all_at(&[&MARK[..], &[9, 0, 0, 0, 0, 0, 0, 0]].concat(), 0).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
