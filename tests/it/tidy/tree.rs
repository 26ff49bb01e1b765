//! The repository as the rules see it: every Rust file, and the names of the files beside them.

use std::fs;
use std::path::Path;

use super::source::Source;

#[derive(Debug)]
pub(super) struct Tree {
    /// The Rust files of `src/`, `tests/`, `benches/` and `udfs/`, in order of their path.
    pub(super) sources: Vec<Source>,
    /// Every path under `src/`, `sql/` and `tests/data/`.
    pub(super) files: Vec<String>,
}

impl Tree {
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths_of = |folders: &[&str]| {
            let mut paths = Vec::new();
            for folder in folders {
                list(root, folder, &mut paths);
            }
            paths.sort();
            paths
        };
        let mut sources = Vec::new();
        for path in paths_of(&["src", "tests", "benches", "udfs"]).iter().filter(|path| path.ends_with(".rs"))
        {
            let text = fs::read_to_string(root.join(path)).unwrap();
            sources.push(Source::parse(path, &text).unwrap());
        }
        assert!(sources.len() > 10, "expected to find the source of Shirabe, found {} files", sources.len());
        Self { sources, files: paths_of(&["src", "sql", "tests/data"]) }
    }
}

fn list(root: &Path, folder: &str, paths: &mut Vec<String>) {
    // A folder that is not there yet holds nothing.
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(root, &path, paths);
        } else {
            paths.push(path);
        }
    }
}
