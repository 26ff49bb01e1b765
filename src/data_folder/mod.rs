//! The data folder as processes see it: who runs on it, and how to reach them.
//!
//! Why apart: the server writes what the command line reads, and neither should know the other. It must
//! not know what is stored in the folder.

mod run_file;

pub use run_file::{Published, RunFile};
