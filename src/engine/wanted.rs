//! Whether anybody still waits for the rows of a query.
//!
//! Why: dropping a task ends it where it gives way, and some operators work for long without: one that writes what it
//! has sorted to disk goes on for half a second. But all of them ask for memory and for disk, and to that this can
//! say no.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// Of one query. Clones tell of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    nobody: Arc<AtomicBool>,
}

/// Whoever waits. When it is dropped, nobody does.
#[derive(Debug)]
pub(super) struct Waits(Wanted);

impl Wanted {
    pub(super) fn by(&self) -> Waits {
        Waits(self.clone())
    }

    /// # Errors
    /// `Cancelled` when nobody waits any more.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.nobody.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.nobody.store(true, Ordering::Relaxed);
    }
}
