//! Stores that count what they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use shirabe::catalog::name::NameKey;
use shirabe::catalog::record::{DatasetRecord, UserRecord, VersionRecord};
use shirabe::catalog::store::{
    Commit, DatasetStore, Owner, Page, PageRequest, StoreError, Stores, UserStore,
};
use shirabe::ids::{CommitId, DatasetId, UserId};

type Result<T> = std::result::Result<T, StoreError>;

/// Calls of the stores of users and datasets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<AtomicUsize>);

impl Calls {
    /// How many there were since the last time.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }

    /// Counts the calls of `stores` from now on.
    pub(crate) fn between(&self, stores: Stores) -> Stores {
        Stores {
            users: Arc::new(Counted { inner: stores.users, calls: self.clone() }),
            datasets: Arc::new(Counted { inner: stores.datasets, calls: self.clone() }),
            ..stores
        }
    }
}

#[derive(Debug)]
struct Counted<S: ?Sized> {
    calls: Calls,
    inner: Arc<S>,
}

impl<S: ?Sized> Counted<S> {
    fn next(&self) -> &S {
        self.calls.0.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

#[async_trait]
impl UserStore for Counted<dyn UserStore> {
    async fn lookup(&self, ids: &[UserId]) -> Result<Vec<UserRecord>> {
        self.next().lookup(ids).await
    }

    async fn by_email(&self, email: &str) -> Result<Option<UserRecord>> {
        self.next().by_email(email).await
    }

    async fn search(&self, part: &str, after: &str, limit: usize) -> Result<Vec<UserRecord>> {
        self.next().search(part, after, limit).await
    }

    async fn put(&self, record: UserRecord) -> Result<u64> {
        self.next().put(record).await
    }

    async fn put_beside_admin(&self, record: UserRecord, admin: &UserId) -> Result<u64> {
        self.next().put_beside_admin(record, admin).await
    }

    async fn enabled_admins(&self, limit: usize) -> Result<Vec<UserRecord>> {
        self.next().enabled_admins(limit).await
    }

    async fn any(&self) -> Result<bool> {
        self.next().any().await
    }
}

#[async_trait]
impl DatasetStore for Counted<dyn DatasetStore> {
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>> {
        self.next().lookup(ids, names).await
    }

    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<(Page<DatasetRecord>, u64)> {
        self.next().list(owner, page).await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        self.next().commit(commit).await
    }

    async fn committed(&self, id: &CommitId) -> Result<bool> {
        self.next().committed(id).await
    }

    async fn versions(&self, id: &DatasetId, page: PageRequest) -> Result<Page<VersionRecord>> {
        self.next().versions(id, page).await
    }
}
