//! A byte rots on the disk.

use std::path::{Path, PathBuf};

use shirabe::auth::Principal;
use shirabe::dataset::import::ImportOptions;
use shirabe::error::Code;

use super::csv;
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

/// A query reads a part of a file, and what it reads is checked: no changed byte comes out as a value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_a_damaged_file_fails() {
    let folder = Folder::new();
    let file = csv::write(folder.root.path(), 1, ROWS, false);
    folder.open().import(&file, "t", ImportOptions::default()).await.unwrap();
    let [data, manifest] = files(&folder.data().join("objects")).try_into().unwrap();
    for path in [data, manifest] {
        let whole = std::fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by((whole.len() / PLACES).max(1)).chain([whole.len() - 1]) {
            let mut rotten = whole.clone();
            rotten[place] ^= 0x10;
            check(&folder, &path, Some(&rotten), &format!("byte {place} changed")).await;
        }
        for length in [0, 3, whole.len() / 2, whole.len() - 1] {
            check(&folder, &path, Some(&whole[..length]), &format!("cut off after {length}")).await;
        }
        check(&folder, &path, None, "removed").await;
        std::fs::write(&path, &whole).unwrap();
    }
    folder.open().query("t").await.unwrap();

    async fn check(folder: &Folder, path: &Path, bytes: Option<&[u8]>, what: &str) {
        match bytes {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        let error = folder.open().query("t").await.unwrap_err();
        assert_eq!(error.code(), Code::StorageDamaged, "{what}: {error}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.to_string().contains(name), "{what}: {error} does not name `{name}`");
    }
}
