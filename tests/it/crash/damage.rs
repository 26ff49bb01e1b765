//! A byte rots on the disk.

use std::path::{Path, PathBuf};

use shirabe::auth::Principal;
use shirabe::dataset::import::ImportOptions;
use shirabe::error::Code;

use super::csv::{self, Rows};
use super::folder::Folder;

/// Rows of a file, besides one for each generation.
const ROWS: i64 = 2000;
/// Places in a file at which a byte is changed, one at a time.
const PLACES: usize = 24;

/// The files below `folder`, and below what is below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.append(&mut files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_every_file_with_a_changed_byte() {
    let folder = Folder::new();
    let file = csv::write(folder.root.path(), 1, ROWS, true);
    let options = ImportOptions {
        partition_column: Some("day".to_owned()),
        bad_rows_max: Some(5),
        ..ImportOptions::default()
    };
    folder.open().import(&file, "t", options).await.unwrap();
    let objects = folder.data().join("objects");
    let stored = files(&objects);
    assert_eq!(stored.len(), 5, "three days, a quarantine and a manifest: {stored:?}");
    for path in stored {
        let key = path.strip_prefix(&objects).unwrap().to_str().unwrap().to_owned();
        let whole = std::fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by((whole.len() / PLACES).max(1)) {
            let mut rotten = whole.clone();
            rotten[place] ^= 0x10;
            std::fs::write(&path, rotten).unwrap();
            let service = folder.open();
            let found = service.datasets().check(&Principal::operator()).await.unwrap().findings;
            let [finding] = found.as_slice() else { panic!("byte {place} of `{key}`: {found:?}") };
            assert_eq!(finding.object.as_ref(), Some(&key), "byte {place}: {finding:?}");
        }
        std::fs::write(&path, whole).unwrap();
    }
    folder.open().check().await;
}

/// A manifest is read against its checksum, and a data file whose end cannot be read fails the query.
/// Values inside a data page have no checksum that Parquet's writer could set: those are for `check`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_a_damaged_file_fails() {
    let folder = Folder::new();
    let file = csv::write(folder.root.path(), 1, ROWS, false);
    folder.open().import(&file, "t", ImportOptions::default()).await.unwrap();
    let [data, manifest] = files(&folder.data().join("objects")).try_into().unwrap();
    let end = std::fs::read(&data).unwrap().len();
    for place in [10, 200] {
        let failed = query_with_a_changed_byte(&folder, &manifest, place).await;
        assert_eq!(failed, Err(Code::StorageDamaged), "byte {place} of the manifest");
    }
    for place in [end - 1, end - 3] {
        let failed = query_with_a_changed_byte(&folder, &data, place).await;
        assert!(failed.is_err(), "byte {place} of {end} of the data: {failed:?}");
    }
    std::fs::remove_file(&data).unwrap();
    assert!(folder.open().query("t").await.is_err());
}

async fn query_with_a_changed_byte(folder: &Folder, path: &Path, place: usize) -> Result<Rows, Code> {
    let whole = std::fs::read(path).unwrap();
    let mut rotten = whole.clone();
    rotten[place] ^= 0x10;
    std::fs::write(path, rotten).unwrap();
    let found = folder.open().query("t").await;
    std::fs::write(path, whole).unwrap();
    found.map_err(|error| error.code())
}
