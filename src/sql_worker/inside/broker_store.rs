//! The object store of a worker: it asks the service, which answers only for the files of the query's tables.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::OnceCell;

use super::super::area;
use super::super::message::{FromWorker, Unread};
use super::link::{Answered, Link};
use crate::tasks;

const STORE: &str = "broker";

/// Reads through the service.
#[derive(Debug)]
pub(super) struct BrokerStore {
    link: Arc<Link>,
    /// What the query that runs has opened.
    open: Mutex<HashMap<Path, Arc<OnceCell<Object>>>>,
}

#[derive(Debug, Clone)]
struct Object {
    byte_count: u64,
    /// None: the service reads it.
    file: Option<Arc<File>>,
}

impl BrokerStore {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, open: Mutex::default() }
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<Path, Arc<OnceCell<Object>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what a query has opened.
    pub(super) fn close(&self) {
        self.opened().clear();
    }

    async fn open(&self, location: &Path) -> Result<Object> {
        let cell = Arc::clone(self.opened().entry(location.clone()).or_default());
        cell.get_or_try_init(|| self.ask_for(location)).await.cloned()
    }

    async fn ask_for(&self, location: &Path) -> Result<Object> {
        let question = |request| FromWorker::Open { request, key: location.to_string() };
        match self.link.ask(question).await {
            Ok(Answered::Opened { byte_count, file }) => {
                Ok(Object { byte_count, file: file.map(|file| Arc::new(File::from(file))) })
            }
            Ok(Answered::Bytes { .. }) => Err(failed("bytes came before they were asked for")),
            Err(reason) => Err(unread(reason, location)),
        }
    }

    async fn ask_for_bytes(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let question =
            |request| FromWorker::Read { request, key: location.to_string(), ranges: ranges.to_vec() };
        match self.link.ask(question).await {
            Ok(Answered::Bytes { lengths, area }) => cut(area, &lengths).map_err(failed),
            Ok(Answered::Opened { .. }) => Err(failed("a file came instead of bytes")),
            Err(reason) => Err(unread(reason, location)),
        }
    }
}

fn cut(from: OwnedFd, lengths: &[u64]) -> std::io::Result<Vec<Bytes>> {
    let mut at = 0;
    let mut part = |length: &u64| {
        let bytes = area::read(&from, at, *length)?;
        at += length;
        Ok(bytes.into())
    };
    lengths.iter().map(&mut part).collect()
}

/// Bytes of a file that the service has opened, as far as they are there.
fn read(file: &File, range: &Range<u64>) -> std::io::Result<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: cause.into() }
}

fn unread(reason: Unread, location: &Path) -> Error {
    let path = location.to_string();
    match reason {
        Unread::Missing => Error::NotFound { path, source: "it is not there".into() },
        Unread::NotGranted => {
            Error::PermissionDenied { path, source: "it is no file of the query's tables".into() }
        }
        Unread::Failed(reason) => failed(reason),
    }
}

fn not_here<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() })
}

impl fmt::Display for BrokerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

#[async_trait]
impl ObjectStore for BrokerStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let byte_count = self.open(location).await?.byte_count;
        let range = match &options.range {
            Some(range) => range.as_range(byte_count).map_err(failed)?,
            None => 0..byte_count,
        };
        let bytes = match options.head {
            true => Bytes::new(),
            false => self.get_ranges(location, std::slice::from_ref(&range)).await?.concat().into(),
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: byte_count,
            e_tag: None,
            version: None,
        };
        let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Some(file) = self.open(location).await?.file else {
            return self.ask_for_bytes(location, ranges).await;
        };
        let ranges = ranges.to_vec();
        let read = move || ranges.iter().map(|range| read(&file, range)).collect::<std::io::Result<Vec<_>>>();
        tasks::blocking(move || read().map_err(crate::error::Error::internal))
            .map(|read| read.map_err(failed))
            .await
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(async { not_here("listing") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        not_here("listing")
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        not_here("writing")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        not_here("writing")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(async { not_here("deleting") }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        not_here("copying")
    }
}
