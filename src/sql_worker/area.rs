//! Memory that both processes reach, as files in memory: written by one, copied out by the other.
//!
//! Why copied and not mapped: a worker that does not keep the rules could change what is mapped while it is read,
//! after it was found valid. A copy stays as it is.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

/// Slices of one call.
const SLICES_MAX: usize = 1024;

/// Writes `parts` one after the other, from the beginning on.
pub(super) fn write_all(area: impl AsFd, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    let mut at = 0;
    // Drops what is empty at the front, so that nothing left means done.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let some = left.len().min(SLICES_MAX);
        match rustix::io::pwritev(&area, &left[..some], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                at += count as u64;
                IoSlice::advance_slices(&mut left, count);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Copies `length` bytes out of `area`, from `at` on.
///
/// # Errors
/// `UnexpectedEof` when they are not there.
pub(super) fn read(area: impl AsFd, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    while bytes.len() < length {
        // The vector may have got more room than was asked for.
        let done = bytes.len();
        match rustix::io::pread(&area, spare_capacity(&mut bytes), at + done as u64) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before its length")),
            Ok(_) => bytes.truncate(length),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::MemfdFlags;

    use super::*;

    #[test]
    fn what_was_written_is_read_from_any_place() {
        let area = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let many: Vec<Vec<u8>> = (0..2500u32).map(|n| n.to_le_bytes()[..n as usize % 4].to_vec()).collect();
        let parts: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        write_all(&area, &parts).unwrap();
        let whole = many.concat();
        assert_eq!(read(&area, 0, whole.len() as u64).unwrap(), whole);
        assert_eq!(read(&area, 5, 7).unwrap(), whole[5..12]);
        assert_eq!(read(&area, 0, 0).unwrap(), Vec::<u8>::new());
        let beyond = read(&area, 5, whole.len() as u64).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        write_all(&area, &[]).unwrap();
        write_all(&area, &[&[], &[]]).unwrap();
    }
}
