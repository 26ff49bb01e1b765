//! The zygote's memory in large pages.
//!
//! Why: a fork copies the table of pages, and the end of a child takes it apart again. With 250 MB of objects in pages of
//! 4 KiB these two took longer than everything else in a short run.

use std::fs;
use std::io;

/// A large page, on the machines that a worker can be confined on.
const LARGE: usize = 2 << 20;

/// Puts objects that were allocated so far into large pages, as far as the kernel can.
pub(crate) fn enlarge() -> io::Result<()> {
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        let Some((from, to)) = private_memory(line) else { continue };
        for page in (from.next_multiple_of(LARGE)..to).step_by(LARGE).take_while(|page| page + LARGE <= to) {
            let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(page);
            #[expect(unsafe_code, reason = "moving memory into other pages has no safe interface")]
            // SAFETY: the range was mapped a moment ago, there is one thread, and what is in it stays the same. A
            // kernel that knows no such pages refuses, and nothing has changed.
            unsafe {
                libc::madvise(address, LARGE, libc::MADV_COLLAPSE);
            }
        }
    }
    Ok(())
}

/// Where a line of the map says that memory is that belongs to no file.
fn private_memory(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let is_private = fields.next()? == "rw-p";
    let is_nobodys = matches!(fields.nth(3), None | Some("[heap]"));
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_private && is_nobodys).then_some((address(from)?, address(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_no_file_is_found() {
        check("7f00-7f10 rw-p 00000000 00:00 0", Some((0x7f00, 0x7f10)));
        check("7f00-7f10 rw-p 00000000 00:00 0    [heap]", Some((0x7f00, 0x7f10)));
        check("7f00-7f10 rw-p 00000000 00:00 0    [stack]", None);
        check("7f00-7f10 r--p 00000000 00:00 0", None);
        check("7f00-7f10 rw-p 00000000 fe:00 9    /usr/lib/x.so", None);
        check("", None);

        #[track_caller]
        fn check(line: &str, expected: Option<(usize, usize)>) {
            assert_eq!(private_memory(line), expected);
        }
    }
}
