//! A folder as an object store that keeps what it acknowledged through a power loss.
//!
//! `object_store`'s own folder never syncs. Here a write goes to a file of another name beside its
//! place, is synced, linked to its name (which fails when the name is taken), and the folder is synced:
//! after that it is there, whole, or not at all. Reads and lists are `object_store`'s. What a crash
//! leaves under `….tmp-…` is listed like any object, named by no manifest, and so collected. A folder goes
//! with its last file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::folders::{self, Folders};
use crate::ids::random_digits;
use crate::write_steps::write_step;

/// A folder of immutable files.
#[derive(Debug)]
pub struct DurableLocal {
    folders: Arc<Folders>,
    reads: LocalFileSystem,
}

impl DurableLocal {
    /// Opens `root`, and makes it when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &FsPath) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let reads = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        Ok(Self { folders: Arc::new(Folders::below(root)), reads })
    }

    fn place(&self, location: &Path) -> Result<Place> {
        let path = self.reads.path_to_filesystem(location)?;
        let folder = path.parent().unwrap_or(self.folders.root()).to_path_buf();
        let mut staged = path.clone().into_os_string();
        staged.push(format!(".tmp-{}", &random_digits()[..16]));
        Ok(Place { folders: Arc::clone(&self.folders), path, folder, staged: staged.into() })
    }
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DurableLocal({})", self.folders.root().display())
    }
}

/// Where one object goes, and the file it is written to first.
#[derive(Debug, Clone)]
struct Place {
    folders: Arc<Folders>,
    path: PathBuf,
    folder: PathBuf,
    staged: PathBuf,
}

impl Place {
    fn create(&self) -> io::Result<File> {
        let file = self.folders.create(&self.folder, &self.staged)?;
        write_step!("object.created");
        Ok(file)
    }

    /// Gives the staged file its name. After this returns, a power loss does not take it back.
    fn commit(&self, file: &File, replace: bool) -> io::Result<()> {
        file.sync_all()?;
        write_step!("object.synced");
        if replace {
            fs::rename(&self.staged, &self.path)?;
        } else {
            fs::hard_link(&self.staged, &self.path)?;
            write_step!("object.linked");
            fs::remove_file(&self.staged)?;
        }
        write_step!("object.staged_removed");
        folders::sync(&self.folder)?;
        write_step!("object.folder_synced");
        Ok(())
    }

    fn discard(&self) {
        // Whatever stays is collected later; the caller has the error that matters.
        let _ = fs::remove_file(&self.staged);
        self.folders.remove_empty(&self.folder);
    }

    fn error(&self, cause: io::Error) -> Error {
        match cause.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::AlreadyExists { path: self.path.display().to_string(), source: cause.into() }
            }
            _ => Error::Generic { store: "folder", source: cause.into() },
        }
    }
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|cause| Err(Error::Generic { store: "folder", source: cause.into() }))
}

const DONE: PutResult = PutResult { e_tag: None, version: None };

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let replace = match opts.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "`put_opts` with `PutMode::Update`".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let place = self.place(location)?;
        off_thread(move || {
            let write = || {
                let mut file = place.create()?;
                payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
                write_step!("object.written");
                place.commit(&file, replace)
            };
            write().map_err(|cause| {
                place.discard();
                place.error(cause)
            })?;
            Ok(DONE)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let place = self.place(location)?;
        off_thread(move || {
            let file = place.create().map_err(|cause| place.error(cause))?;
            let upload = StagedUpload { place, file: Arc::new(file), byte_count: 0, done: false };
            Ok(Box::new(upload) as Box<dyn MultipartUpload>)
        })
        .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<bytes::Bytes>> {
        self.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (folders, reads) = (Arc::clone(&self.folders), self.reads.clone());
        let deleted = self.reads.delete_stream(locations);
        let each = deleted.and_then(move |location| {
            let (folders, reads) = (Arc::clone(&folders), reads.clone());
            off_thread(move || {
                if let Some(folder) = reads.path_to_filesystem(&location)?.parent() {
                    folders.remove_empty(folder);
                }
                Ok(location)
            })
        });
        each.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reads.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        // Objects are immutable and shared by reference; nothing here copies one inside the store.
        Err(Error::NotImplemented { operation: format!("copying `{from}`"), implementer: self.to_string() })
    }
}

/// A file that grows under its staged name.
#[derive(Debug)]
struct StagedUpload {
    place: Place,
    file: Arc<File>,
    byte_count: u64,
    done: bool,
}

#[async_trait]
impl MultipartUpload for StagedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // Parts know their place when they are made, so they may be written in any order.
        let mut offset = self.byte_count;
        self.byte_count += data.content_length() as u64;
        let (file, place) = (Arc::clone(&self.file), self.place.clone());
        Box::pin(off_thread(move || {
            for bytes in &data {
                file.write_all_at(bytes, offset).map_err(|cause| place.error(cause))?;
                offset += bytes.len() as u64;
            }
            write_step!("object.part_written");
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, place) = (Arc::clone(&self.file), self.place.clone());
        off_thread(move || place.commit(&file, false).map_err(|cause| place.error(cause))).await?;
        self.done = true;
        Ok(DONE)
    }

    async fn abort(&mut self) -> Result<()> {
        self.done = true;
        self.place.discard();
        Ok(())
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        if !self.done {
            self.place.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt as _;

    fn names(store: &DurableLocal) -> impl Future<Output = Vec<String>> {
        let list = store.list(None).map_ok(|meta| meta.location.to_string());
        async { list.try_collect().await.unwrap() }
    }

    #[tokio::test]
    async fn parts_make_one_object_that_appears_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let key = Path::from("a/b/c.bin");
        let mut upload = store.put_multipart(&key).await.unwrap();
        let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(store.head(&key).await.is_err(), "not there before it is complete");
        upload.complete().await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap().as_ref(), b"one two");
        assert_eq!(names(&store).await, ["a/b/c.bin"]);
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let mut upload = store.put_multipart(&Path::from("x")).await.unwrap();
        upload.put_part("half".into()).await.unwrap();
        drop(upload);
        assert!(names(&store).await.is_empty());
    }

    #[tokio::test]
    async fn a_deleted_object_takes_its_empty_folders_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let (first, second) = (Path::from("d/data/1/a"), Path::from("d/data/2/a"));
        for key in [&first, &second] {
            store.put(key, "x".into()).await.unwrap();
        }
        store.delete(&first).await.unwrap();
        assert!(!folder.path().join("d/data/1").exists());
        assert_eq!(names(&store).await, ["d/data/2/a"]);
        let upload = store.put_multipart(&Path::from("e/f")).await.unwrap();
        drop(upload);
        store.delete(&second).await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        store.put(&first, "y".into()).await.unwrap();
        assert_eq!(names(&store).await, ["d/data/1/a"]);
    }

    #[tokio::test]
    async fn a_name_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableLocal::open(folder.path()).unwrap();
        let key = Path::from("x");
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&key, "1".into(), create()).await.unwrap();
        let again = store.put_opts(&key, "2".into(), create()).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
        let mut upload = store.put_multipart(&key).await.unwrap();
        upload.put_part("3".into()).await.unwrap();
        assert!(upload.complete().await.is_err());
        drop(upload);
        assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap().as_ref(), b"1");
        assert_eq!(names(&store).await, ["x"]);
    }
}
