//! What user code prints, line by line, while it runs.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// A longer line is handed on in pieces.
const LINE_BYTES_MAX: usize = 8 << 10;
/// What Rust says before it ends a process that got no memory.
const NO_MEMORY: &str = "memory allocation of ";

/// Reads the pipe and hands lines on, up to a number of bytes.
pub(super) struct Log<'a> {
    pipe: OwnedFd,
    on_line: &'a mut dyn FnMut(&str),
    line: Vec<u8>,
    bytes_left: u64,
    pub(super) is_open: bool,
    pub(super) was_cut: bool,
    pub(super) said_no_memory: bool,
}

impl<'a> Log<'a> {
    /// `pipe` must not block.
    pub(super) fn new(pipe: OwnedFd, bytes_max: u64, on_line: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            pipe,
            on_line,
            line: Vec::new(),
            bytes_left: bytes_max,
            is_open: true,
            was_cut: false,
            said_no_memory: false,
        }
    }

    pub(super) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Reads what is there. Also what is too much is read, because whoever prints would wait otherwise.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        // A bounded number of times, so that the deadline is looked at even if somebody prints for ever.
        for _ in 0..16 {
            match rustix::io::read(&self.pipe, &mut bytes) {
                Ok(0) => {
                    self.is_open = false;
                    self.end_line();
                    return Ok(());
                }
                Ok(count) => self.take(&bytes[..count]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        let kept = usize::try_from(self.bytes_left).unwrap_or(usize::MAX).min(bytes.len());
        self.was_cut |= kept < bytes.len();
        self.bytes_left -= kept as u64;
        for byte in &bytes[..kept] {
            if *byte == b'\n' {
                self.end_line();
                continue;
            }
            self.line.push(*byte);
            if self.line.len() == LINE_BYTES_MAX {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.line);
        self.said_no_memory |= line.starts_with(NO_MEMORY);
        (self.on_line)(&line);
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_are_handed_on_and_cut() {
        check(b"one\ntwo\n", 100, &["one", "two"], false);
        check(b"one\n\nlast", 100, &["one", "last"], false);
        check(b"one\ntwo\n", 5, &["one", "t"], true);
        check(b"\xff\xfe\n", 100, &["\u{fffd}\u{fffd}"], false);
        check(b"", 100, &[], false);

        #[track_caller]
        fn check(printed: &[u8], bytes_max: u64, expected: &[&str], cut: bool) {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(printed).unwrap();
            drop(writer);
            let mut lines = Vec::new();
            let mut on_line = |line: &str| lines.push(line.to_owned());
            let mut log = Log::new(reader.into(), bytes_max, &mut on_line);
            while log.is_open {
                log.read().unwrap();
            }
            let was_cut = log.was_cut;
            assert_eq!((lines, was_cut), (expected.iter().map(ToString::to_string).collect(), cut));
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let printing = std::thread::spawn(move || writer.write_all(&vec![b'x'; 3 * LINE_BYTES_MAX + 1]));
        let mut lengths = Vec::new();
        let mut on_line = |line: &str| lengths.push(line.len());
        let mut log = Log::new(reader.into(), u64::MAX, &mut on_line);
        while log.is_open {
            log.read().unwrap();
        }
        printing.join().unwrap().unwrap();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
    }
}
