//! Imports.

use super::setting::{Reader, Setting};

const UPLOAD: Setting = Setting {
    name: "IMPORT_UPLOAD_MB",
    default: Some("100"),
    meaning: "largest file that may be uploaded, in MiB; files imported by path are not limited",
};
const THREADS: Setting = Setting {
    name: "IMPORT_THREADS",
    default: None,
    meaning: "threads that read a file; by default one for each core",
};

pub(super) const SETTINGS: &[&Setting] = &[&UPLOAD, &THREADS];

/// Settings of imports.
#[derive(Debug, Clone)]
pub struct ImportConfig {
    pub upload_bytes_max: u64,
    /// `None`: as many as the machine has cores.
    pub threads: Option<u64>,
}

impl ImportConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let upload_mb = reader.number(&UPLOAD, 1, 1024 * 1024);
        let threads = reader.optional_number(&THREADS, 1, 1024);
        Some(Self { upload_bytes_max: upload_mb? * 1024 * 1024, threads: threads? })
    }
}
