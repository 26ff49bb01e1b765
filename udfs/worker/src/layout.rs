//! Which folders of the machine Python reads its libraries from.

use std::path::{Path, PathBuf};

/// Folders that a child may read, where it may read any.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) folders: Vec<PathBuf>,
}

impl Layout {
    /// Python's own library, that of the virtual environment `home`, the system's libraries, and time zones.
    pub(crate) fn new(home: &Path) -> Result<Self, String> {
        let home = home.canonicalize().map_err(|cause| format!("`{}`: {cause}", home.display()))?;
        let architecture = std::env::consts::ARCH;
        let standard = std::fs::read_dir("/usr/lib").map_err(|cause| format!("`/usr/lib`: {cause}"))?;
        let standard = standard.flatten().map(|entry| entry.path()).filter(|path| is_standard_library(path));
        let system = [
            format!("/usr/lib/{architecture}-linux-gnu"),
            "/usr/lib64".to_owned(),
            "/usr/share/zoneinfo".to_owned(),
        ];
        let system = system.into_iter().map(PathBuf::from).filter(|path| path.is_dir());
        Ok(Self { folders: standard.chain(system).chain([home]).collect() })
    }
}

fn is_standard_library(path: &Path) -> bool {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    name.strip_prefix("python3.").is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
}
