//! Stores that fail one call.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use shirabe::catalog::name::NameKey;
use shirabe::catalog::record::{AuditRecord, DatasetRecord, VersionRecord};
use shirabe::catalog::store::{AuditStore, Commit, DatasetStore, Owner, Page, PageRequest, StoreError};
use shirabe::ids::{CommitId, DatasetId};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing was done.
    Refused,
    /// It was done, and the answer was lost.
    Lost,
    /// The server asks to come back later.
    Slow,
    /// What is to be read was moved where it cannot be read at once.
    Archived,
    /// The bytes stop coming half-way.
    Cut,
    /// One bit is not what was written.
    Wrong,
}

/// Which call fails, shared by the stores of one service.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Calls until the one that fails; 0: none does.
    left: AtomicUsize,
    /// Every later call fails too, as when a store is gone for good.
    and_all_after: AtomicBool,
    failure: Mutex<Option<Failure>>,
    failed: Mutex<Option<&'static str>>,
}

impl Plan {
    /// The `n`-th call from now on fails, counted from 1.
    pub(super) fn fail(&self, n: usize, failure: Failure, and_all_after: bool) {
        *self.0.failure.lock().unwrap() = Some(failure);
        *self.0.failed.lock().unwrap() = None;
        self.0.and_all_after.store(and_all_after, Ordering::SeqCst);
        self.0.left.store(n, Ordering::SeqCst);
    }

    /// No call fails any more; which one did.
    pub(super) fn end(&self) -> Option<&'static str> {
        self.0.left.store(0, Ordering::SeqCst);
        self.0.and_all_after.store(false, Ordering::SeqCst);
        *self.0.failed.lock().unwrap()
    }

    fn next(&self, call: &'static str) -> Option<Failure> {
        let step = |left: usize| left.checked_sub(1);
        let before = self.0.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        let mut failed = self.0.failed.lock().unwrap();
        let again = failed.is_some() && self.0.and_all_after.load(Ordering::SeqCst);
        if before != Ok(1) && !again {
            return None;
        }
        failed.get_or_insert(call);
        *self.0.failure.lock().unwrap()
    }

    /// Makes `call`, or fails instead of it or after it.
    async fn run<T, E>(
        &self,
        name: &'static str,
        error: impl Fn(Failure) -> E,
        call: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        match self.next(name) {
            None => call.await,
            Some(Failure::Lost) => {
                call.await?;
                Err(error(Failure::Lost))
            }
            Some(failure) => Err(error(failure)),
        }
    }
}

fn broken(failure: Failure) -> object_store::Error {
    let source = match failure {
        Failure::Slow => "503 Slow Down: <Error><Code>SlowDown</Code></Error>",
        _ => "the connection was reset",
    };
    object_store::Error::Generic { store: "faulty", source: source.into() }
}

/// The same for what is read.
fn unread(failure: Failure) -> object_store::Error {
    match failure {
        Failure::Archived => object_store::Error::PermissionDenied {
            path: "x".to_owned(),
            source: "403 Forbidden: <Error><Code>InvalidObjectState</Code></Error>".into(),
        },
        other => broken(other),
    }
}

/// An answer whose bytes stop coming, or of which one bit is wrong.
async fn spoilt(found: GetResult, failure: Failure) -> Result<GetResult> {
    let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
    let mut bytes = found.bytes().await?.to_vec();
    let middle = bytes.len() / 2;
    let pieces = match failure {
        Failure::Cut => vec![Ok(bytes[..middle].to_vec().into()), Err(broken(failure))],
        _ => {
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            vec![Ok(bytes.into())]
        }
    };
    let payload = GetResultPayload::Stream(futures::stream::iter(pieces).boxed());
    Ok(GetResult { payload, meta, range, attributes })
}

fn unavailable(_: Failure) -> StoreError {
    StoreError::Unavailable("the connection was reset".into())
}

/// An object store, one call of which fails.
#[derive(Debug)]
pub(super) struct FaultyObjects {
    pub(super) inner: Arc<dyn ObjectStore>,
    pub(super) plan: Plan,
}

impl fmt::Display for FaultyObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyObjects({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyObjects {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.plan.run("put", broken, self.inner.put_opts(to, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.plan.run("start", broken, self.inner.put_multipart_opts(to, options)).await?;
        Ok(Box::new(FaultyUpload { inner: upload, plan: self.plan.clone() }))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        match self.plan.next("get") {
            Some(failure @ (Failure::Cut | Failure::Wrong)) if !is_head => {
                spoilt(self.inner.get_opts(from, options).await?, failure).await
            }
            Some(failure) => Err(unread(failure)),
            None => self.inner.get_opts(from, options).await,
        }
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        match self.plan.next("get ranges") {
            Some(Failure::Wrong) => {
                let mut read = self.inner.get_ranges(from, ranges).await?;
                let mut first = read[0].to_vec();
                let middle = first.len() / 2;
                first[middle] ^= 1;
                read[0] = first.into();
                Ok(read)
            }
            Some(failure) => Err(unread(failure)),
            None => self.inner.get_ranges(from, ranges).await,
        }
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let plan = self.plan.clone();
        let inner = Arc::clone(&self.inner);
        let each = keys.then(move |key| {
            let (plan, inner) = (plan.clone(), Arc::clone(&inner));
            async move {
                let key = key?;
                let delete = object_store::ObjectStoreExt::delete(inner.as_ref(), &key);
                plan.run("delete", broken, delete).await.map(|()| key.clone())
            }
        });
        each.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.plan.next("list") {
            None => self.inner.list(prefix),
            Some(failure) => futures::stream::iter([Err(broken(failure))]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plan.run("list folders", broken, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Plan,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, plan) = (self.inner.put_part(data), self.plan.clone());
        Box::pin(async move { plan.run("part", broken, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let plan = self.plan.clone();
        plan.run("complete", broken, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        let plan = self.plan.clone();
        plan.run("abort", broken, self.inner.abort()).await
    }
}

/// A store of datasets, one call of which fails.
#[derive(Debug)]
pub(super) struct FaultyDatasets {
    pub(super) inner: Arc<dyn DatasetStore>,
    pub(super) plan: Plan,
}

#[async_trait]
impl DatasetStore for FaultyDatasets {
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError> {
        self.plan.run("lookup", unavailable, self.inner.lookup(ids, names)).await
    }

    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<(Page<DatasetRecord>, u64), StoreError> {
        self.plan.run("list datasets", unavailable, self.inner.list(owner, page)).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.plan.run("commit", unavailable, self.inner.commit(commit)).await
    }

    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError> {
        self.plan.run("committed", unavailable, self.inner.committed(id)).await
    }

    async fn versions(&self, id: &DatasetId, page: PageRequest) -> Result<Page<VersionRecord>, StoreError> {
        self.plan.run("versions", unavailable, self.inner.versions(id, page)).await
    }
}

/// A store of audit records, calls of which fail. It remembers the order in which it took them.
#[derive(Debug)]
pub(super) struct FaultyAudit {
    pub(super) inner: Arc<dyn AuditStore>,
    pub(super) plan: Plan,
    pub(super) taken: Mutex<Vec<AuditRecord>>,
}

#[async_trait]
impl AuditStore for FaultyAudit {
    async fn append(&self, record: AuditRecord) -> Result<(), StoreError> {
        let append = async {
            self.inner.append(record.clone()).await?;
            self.taken.lock().unwrap().push(record);
            Ok(())
        };
        self.plan.run("append", unavailable, append).await
    }

    async fn list(&self, page: PageRequest) -> Result<Page<AuditRecord>, StoreError> {
        self.inner.list(page).await
    }
}
