//! What a library writes, where it can be taken out while the library goes on.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Both ends: a clone is the other one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    /// Moves what was written to the end of `out`.
    pub(super) fn drain(&self, out: &mut Vec<u8>) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if out.is_empty() {
            std::mem::swap(&mut *written, out);
        } else {
            out.append(&mut written);
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
