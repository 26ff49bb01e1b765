//! The process dies, the disk is full, a byte rots: what must still be true.
//!
//! Why real processes: a destructor that runs, or a buffer that is flushed, is what a crash does not
//! grant. So the program itself is started on a folder, ended, and the folder is looked into by another
//! process. After every end the version in force is the old one or the new one, whole; `check` finds
//! nothing; the same import works; the collector takes what was left. It must not know how an import
//! is made, only the names of its steps.

pub(crate) mod csv;
mod damage;
pub(crate) mod folder;
mod full_disk;
mod random;
pub(crate) mod server;
#[cfg(feature = "failpoints")]
mod steps;
