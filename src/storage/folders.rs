//! The folders that files lie in: made and synced before a file counts on them, removed when they are empty.
//!
//! Two things can go wrong between those who make, use and remove folders. A writer that finds a folder which
//! another has just made must not acknowledge a file before the folder's own name is synced: so what is
//! synced is remembered, and whoever does not find a folder there syncs it, whoever made it. And a folder may
//! be removed between the moment it is found and the moment a file is made in it: then the file cannot be
//! made, and the folder is made again. A folder with a file in it is never removed; the kernel sees to that.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::write_steps::write_step;

/// Folders that are remembered; of what is forgotten the name is synced once more.
const KNOWN_MAX: usize = 50_000;

/// How often a folder is made again for one file. Each time, somebody removed it just then.
const ATTEMPTS_MAX: usize = 100;

/// The folders below a root.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Folders that are there, and whose names are synced. Held while folders are made and removed.
    known: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn below(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a file that is not there yet in `folder`, which is made, and synced, when it is not there either.
    pub(super) fn create(&self, folder: &Path, file: &Path) -> io::Result<File> {
        let mut attempt = 1;
        loop {
            let made =
                self.make(folder).and_then(|()| File::options().write(true).create_new(true).open(file));
            match made {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS_MAX => {
                    // It is gone: by `remove_empty`, or by somebody's hand behind our back.
                    self.known().clear();
                    attempt += 1;
                }
                made => return made,
            }
        }
    }

    /// Makes `folder` and what is missing above it, below the root, each synced into the one above.
    fn make(&self, folder: &Path) -> io::Result<()> {
        let mut known = self.known();
        let missing: Vec<&Path> = self.up_from(folder).take_while(|dir| !known.contains(*dir)).collect();
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => {}
                // By another process, or in an earlier life of this one.
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
            write_step!("object.folder_made");
            if let Some(above) = dir.parent() {
                sync(above)?;
            }
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(dir.to_path_buf());
        }
        Ok(())
    }

    /// Removes `folder` if it is empty, and what is empty then above it, below the root.
    pub(super) fn remove_empty(&self, folder: &Path) {
        let mut known = self.known();
        for dir in self.up_from(folder) {
            // It is not empty, or somebody was first: either way it is not ours to remove.
            if fs::remove_dir(dir).is_err() {
                return;
            }
            known.remove(dir);
        }
    }

    /// `folder` and those above it, below the root.
    fn up_from<'a>(&self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        folder.ancestors().take_while(|dir| dir.starts_with(&self.root) && *dir != self.root)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes what was done in `folder` survive a power loss.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_folder_goes_with_its_last_file() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::below(root.path().to_path_buf());
        let (a, b) = (root.path().join("x/y/a"), root.path().join("x/b"));
        folders.create(&root.path().join("x/y"), &a).unwrap();
        folders.create(&root.path().join("x"), &b).unwrap();
        folders.remove_empty(&root.path().join("x/y"));
        assert!(a.exists(), "a folder with a file stays");
        fs::remove_file(&a).unwrap();
        folders.remove_empty(&root.path().join("x/y"));
        assert!(!root.path().join("x/y").exists() && b.exists());
        fs::remove_file(&b).unwrap();
        folders.remove_empty(&root.path().join("x"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "but the root stays");
        folders.create(&root.path().join("x/y"), &a).unwrap();
    }

    #[test]
    fn a_folder_removed_by_hand_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::below(root.path().to_path_buf());
        folders.create(&root.path().join("x/y"), &root.path().join("x/y/a")).unwrap();
        fs::remove_dir_all(root.path().join("x")).unwrap();
        folders.create(&root.path().join("x/y"), &root.path().join("x/y/b")).unwrap();
        fs::remove_dir_all(root.path()).unwrap();
        let gone = folders.create(&root.path().join("x/y"), &root.path().join("x/y/c")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound, "without the root there is nothing to be done");
    }

    /// Writers whose folder is removed under their hands all the time still get their files.
    #[test]
    fn a_writer_wins_against_those_who_remove() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::below(root.path().to_path_buf());
        let folder = root.path().join("datasets/d/data/v");
        thread::scope(|scope| {
            for writer in 0..4 {
                let (folders, folder) = (&folders, &folder);
                scope.spawn(move || {
                    for n in 0..200 {
                        let file = folder.join(format!("{writer}-{n}"));
                        folders.create(folder, &file).unwrap();
                        assert!(file.exists());
                        fs::remove_file(&file).unwrap();
                        folders.remove_empty(folder);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
