//! Files in memory by which data goes in and comes out.
//!
//! Why sealed: the kernel lets nobody change an input, so that many runs can map the same one; and an output that is
//! sealed after its writer is dead stays what it was when it was checked.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

/// Nobody can change it any more, nor its length, nor this.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// An empty file in memory.
///
/// # Errors
/// When the system has none left.
pub fn empty(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into())
}

/// `parts`, one after the other, that nobody can change.
///
/// # Errors
/// When there is no memory for them.
pub fn sealed(name: &str, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let mut file = empty(name)?;
    for part in parts {
        file.write_all(part)?;
    }
    seal(&file)?;
    Ok(file.into())
}

/// Lets nobody change `file` any more.
///
/// # Errors
/// While somebody has mapped it to write.
pub fn seal(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, SEALS)?)
}

/// Whether nobody can change `file` any more.
///
/// # Errors
/// When it is no file in memory.
pub fn is_sealed(file: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fcntl_get_seals(file)?.contains(SEALS))
}

/// How long `file` is.
///
/// # Errors
/// When it cannot be asked.
pub fn length(file: impl AsFd) -> io::Result<u64> {
    u64::try_from(rustix::fs::fstat(file)?.st_size).map_err(io::Error::other)
}

/// How much memory `file` takes: less than it is long where it has room that was never written.
///
/// # Errors
/// When it cannot be asked.
pub fn taken(file: impl AsFd) -> io::Result<u64> {
    /// In which the system counts.
    const BLOCK: u64 = 512;
    u64::try_from(rustix::fs::fstat(file)?.st_blocks * BLOCK as i64).map_err(io::Error::other)
}

/// All of `file`, from its beginning on.
///
/// # Errors
/// `InvalidData` when it is longer than `length_max`.
pub fn read(file: &mut File, length_max: u64) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    // One more than may be there, to see whether it is.
    file.take(length_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > length_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("expected at most {length_max} bytes, found more"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_stays_as_it_is() {
        let sealed = sealed("test", &[b"ab", b"c"]).unwrap();
        assert!(is_sealed(&sealed).unwrap());
        let mut file = File::from(sealed);
        assert_eq!(length(&file).unwrap(), 3);
        assert_eq!(read(&mut file, 3).unwrap(), b"abc");
        assert_eq!(read(&mut file, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(file.write_all(b"d").is_err());
        assert!(file.set_len(1).is_err());
        assert_eq!(read(&mut file, 3).unwrap(), b"abc");
    }

    #[test]
    fn what_is_not_sealed_can_be_told() {
        assert!(!is_sealed(empty("test").unwrap()).unwrap());
        assert!(is_sealed(std::io::pipe().unwrap().0).is_err());
    }
}
