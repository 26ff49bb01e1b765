//! The data folder and how long old things stay in it.

use std::path::PathBuf;

use super::setting::{Reader, Setting};

const FOLDER: Setting = Setting {
    name: "DATA_DIR",
    default: Some("./data"),
    meaning: "folder that holds everything: metadata, objects, the generated secret",
};
const VERSIONS: Setting = Setting {
    name: "VERSIONS_KEPT",
    default: Some("30"),
    meaning: "versions of a dataset that the collector keeps; it comes by once a day, and with `shirabe gc`",
};
const GRACE: Setting = Setting {
    name: "GC_GRACE_HOURS",
    default: Some("24"),
    meaning: "hours that files of expired versions stay for readers that still use them",
};

pub(super) const SETTINGS: &[&Setting] = &[&FOLDER, &VERSIONS, &GRACE];

/// Settings of what is kept.
#[derive(Debug, Clone)]
pub struct DataConfig {
    pub folder: PathBuf,
    pub versions_kept: u64,
    pub gc_grace_hours: u64,
}

impl DataConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let folder = reader.required(&FOLDER, "a folder", |text| Some(PathBuf::from(text)));
        let versions_kept = reader.number(&VERSIONS, 1, 100_000);
        let gc_grace_hours = reader.number(&GRACE, 0, 24 * 366);
        Some(Self { folder: folder?, versions_kept: versions_kept?, gc_grace_hours: gc_grace_hours? })
    }
}
