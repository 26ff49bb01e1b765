//! The steps of a write, by name, so that a test can end the process at each of them.
//!
//! Why: "a crash leaves the old version or the new one" is a sentence about every moment between two
//! writes to the disk. Here those moments have names. With the feature `failpoints` and
//! `FAILPOINTS=object.linked=return` in the environment the process ends there, without unwinding and
//! without a last word, as after `kill -9`; in a release the steps are not even compiled.

/// Every step, in the order in which an import comes by. A test walks them, and another compares this
/// list with the steps that stand in the source.
pub const WRITE_STEPS: &[&str] = &[
    "object.folder_made",
    "object.created",
    "object.part_written",
    "object.written",
    "object.synced",
    "object.linked",
    "object.staged_removed",
    "object.folder_synced",
    "import.file_encoded",
    "import.rows_stored",
    "import.quarantine_stored",
    "import.manifest_stored",
    "commit.before",
    "commit.applied",
    "commit.done",
    "import.before_answer",
];

/// A step of a write. Its name is one of [`WRITE_STEPS`].
macro_rules! write_step {
    ($name:literal) => {
        fail::fail_point!($name, |_| std::process::abort())
    };
}

pub(crate) use write_step;
