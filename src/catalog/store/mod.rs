//! The metadata store: one small port a noun, one folder a backend, one contract suite for all.
//!
//! Why ports: the embedded default is SQLite, production is DynamoDB. What both can do well is what is
//! asked here: puts under a condition, small transactions, index queries that go on from a cursor,
//! never a scan. A store knows no permission, no HTTP and no object; `app.rs` picks one.

use std::fmt;

use async_trait::async_trait;

use crate::catalog::name::NameKey;
use crate::catalog::record::{
    AuditRecord, DatasetRecord, ExpiredVersion, KeyRecord, MacroRecord, MacroScope, QueryRecord, UserRecord,
    VersionRecord,
};
use crate::catalog::transform::ExecutionRecord;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{CommitId, DatasetId, KeyId, MacroId, QueryId, UserId};
use crate::limits::PAGE_ITEMS_MAX;

mod calls;
#[cfg(test)]
mod contract;
pub mod dynamo;
#[cfg(test)]
pub(crate) mod memory;
mod place;
pub mod sqlite;
mod transforms;

pub use calls::StoreCalls;
pub use place::{Records, RecordsPlace};
pub use transforms::{Begun, ExecutionStore, TransformStore};

/// What a store cannot do, named by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record changed since it was read, or is gone: read again.
    #[error("somebody else changed {0} first")]
    Conflict(String),
    /// A unique value is taken: choose another.
    #[error("{0} is taken")]
    Taken(String),
    /// The disk is full.
    #[error("no space left in the metadata store")]
    Full,
    /// The store does not answer, or the outcome of a write is unknown: try later, or read the commit back.
    #[error("the metadata store does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record has more bytes than the store keeps in one: make it smaller.
    #[error("{0} is too large for the metadata store")]
    TooLarge(String),
    /// Something stored cannot be read: a bug, or damage.
    #[error("the metadata store holds something unreadable: {0}")]
    Corrupt(String),
    /// The store cannot be used by this program; the text says why and what to do.
    #[error("the metadata store {0}")]
    Unusable(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict {
                message: format!("somebody else changed {what} first: read it again and repeat the change"),
                details: serde_json::json!({}),
            },
            StoreError::Taken(what) => Self::Duplicate(format!("{what} is taken")),
            StoreError::Full => Self::StorageFull("metadata".to_owned()),
            too_large @ StoreError::TooLarge(_) => Self::OverLimit(too_large.to_string()),
            StoreError::Unavailable(cause) => Self::Unavailable {
                message: "the metadata store does not answer".to_owned(),
                cause: Some(cause),
            },
            StoreError::Corrupt(what) => Self::internal(format!("unreadable record: {what}")),
            unusable @ StoreError::Unusable(_) => {
                Self::Unavailable { message: unusable.to_string(), cause: None }
            }
        }
    }
}

/// One page of an index query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Hand it back to go on after the last item; `None` at the end.
    pub next: Option<Cursor>,
}

/// A place in an index, opaque to everyone but the store that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(in crate::catalog::store) String);

/// How much of an index to read, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub after: Option<Cursor>,
    /// 1 to [`crate::limits::PAGE_ITEMS_MAX`]; what is outside is moved to the nearer end.
    pub limit: usize,
}

impl PageRequest {
    /// The first `limit` items.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// Every item of an index, asked for page by page.
///
/// # Errors
/// What `page` failed with.
pub async fn every<T, F>(mut page: impl FnMut(PageRequest) -> F + Send) -> Result<Vec<T>, StoreError>
where
    T: Send,
    F: Future<Output = Result<Page<T>, StoreError>> + Send,
{
    let mut items = Vec::new();
    let mut request = PageRequest::first(PAGE_ITEMS_MAX);
    loop {
        let found = page(request).await?;
        items.extend(found.items);
        match found.next {
            Some(next) => request = PageRequest { after: Some(next), limit: PAGE_ITEMS_MAX },
            None => return Ok(items),
        }
    }
}

/// People who can sign in.
#[async_trait]
pub trait UserStore: fmt::Debug + Send + Sync {
    /// The users with these ids, each once, in no order; those that are not there are left out. At most
    /// [`crate::limits::PAGE_ITEMS_MAX`] ids.
    async fn lookup(&self, ids: &[UserId]) -> Result<Vec<UserRecord>, StoreError>;

    /// Looks up the lower-case e-mail address.
    async fn by_email(&self, email: &str) -> Result<Option<UserRecord>, StoreError>;

    /// Users whose e-mail address holds `part` (lower-case), by address, from the first one after the
    /// address `after` on.
    async fn search(&self, part: &str, after: &str, limit: usize) -> Result<Vec<UserRecord>, StoreError>;

    /// Stores `record` if the stored revision is still `record.revision` (0: not stored), and returns
    /// the new revision. `Conflict` for the later of two writers, `Taken` for an address in use.
    async fn put(&self, record: UserRecord) -> Result<u64, StoreError>;

    /// As [`UserStore::put`], if `admin` is an administrator who can sign in when it happens; `Conflict` when not.
    async fn put_beside_admin(&self, record: UserRecord, admin: &UserId) -> Result<u64, StoreError>;

    /// Administrators who can sign in, by address.
    async fn enabled_admins(&self, limit: usize) -> Result<Vec<UserRecord>, StoreError>;

    /// Whether there is any user at all.
    async fn any(&self) -> Result<bool, StoreError>;
}

impl dyn UserStore {
    /// The user with this id.
    ///
    /// # Errors
    /// As [`UserStore::lookup`].
    pub async fn get(&self, id: &UserId) -> Result<Option<UserRecord>, StoreError> {
        Ok(self.lookup(std::slice::from_ref(id)).await?.pop())
    }
}

/// A token that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedToken {
    pub jti: String,
    pub expires_at: Timestamp,
}

/// Tokens that were ended before their time.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// Ends the token `jti`. Remembered at least until `expires_at`. Ending one twice is fine.
    async fn revoke(&self, jti: &str, expires_at: Timestamp) -> Result<(), StoreError>;

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError>;

    /// Those that are remembered, the first to expire first.
    async fn revoked(&self, page: PageRequest) -> Result<Page<RevokedToken>, StoreError>;

    /// Forgets those that expired before `now`, and returns how many.
    async fn forget_expired(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// API keys.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    async fn get(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// The keys of one user, newest first; there are at most [`crate::limits::KEYS_PER_USER_MAX`].
    async fn of_user(&self, user: &UserId) -> Result<Vec<KeyRecord>, StoreError>;

    /// Stores a new key. `Taken` when the id is.
    async fn add(&self, record: KeyRecord) -> Result<(), StoreError>;

    /// Removes a key, and says whether it was there.
    async fn remove(&self, id: &KeyId) -> Result<bool, StoreError>;
}

/// Whose datasets or queries an index query returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Anyone,
    User(UserId),
}

/// One change, with the audit record that tells of it: all of it happens, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Chosen by the caller; see [`DatasetStore::committed`].
    pub id: CommitId,
    pub change: Change,
    pub audit: Option<AuditRecord>,
    /// The execution that ends with this change, stored as by [`ExecutionStore::put`]: `Conflict` when its revision
    /// is not the last any more, or when it has ended already, and nothing changes.
    pub execution: Option<ExecutionRecord>,
}

impl Commit {
    /// A change that nothing else goes with, under an id of its own.
    #[must_use]
    pub fn of(change: Change) -> Self {
        Self { id: CommitId::random(), change, audit: None, execution: None }
    }
}

/// What a commit changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Stores a dataset with its first version (`current`), under revision 1. `Taken` when the name or
    /// the id is, `Conflict` when `revision` says that it was stored before.
    Create(DatasetRecord),
    /// Makes `current` a new version and stores the record under the next revision, if the stored
    /// revision is still `revision` and the number is higher than that of the version it replaces.
    Publish(DatasetRecord),
    /// Stores the record without a new version, if the revision is still the same and so is the number
    /// of the current version. `Taken` when the new name is.
    Update(DatasetRecord),
    /// Removes the dataset and moves all its versions to the expired ones, if the revision still is this.
    Delete { id: DatasetId, revision: u64, at: Timestamp },
    /// Moves one version that is not current to the expired ones; `Conflict` when it is current or gone.
    Expire { id: DatasetId, number: u64, at: Timestamp },
}

/// Datasets and their versions.
#[async_trait]
pub trait DatasetStore: fmt::Debug + Send + Sync {
    /// The datasets with these ids or names, each once, in no order; those that are not there are left out.
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError>;

    /// Datasets of an owner, newest first, and how many there are in all.
    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<(Page<DatasetRecord>, u64), StoreError>;

    /// Makes a change, atomically and durably. A commit id that was already committed is `Conflict`.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Whether the commit happened: settles a write whose outcome is unknown.
    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError>;

    /// Kept versions of a dataset, newest first.
    async fn versions(&self, id: &DatasetId, page: PageRequest) -> Result<Page<VersionRecord>, StoreError>;
}

/// Versions that wait for the collector.
#[async_trait]
pub trait ExpiredStore: fmt::Debug + Send + Sync {
    /// Adds one that no commit has expired. Adding one twice is fine.
    async fn add(&self, expired: &ExpiredVersion) -> Result<(), StoreError>;

    /// Those that expired before `before`, oldest first.
    async fn expired(&self, before: Timestamp, page: PageRequest)
    -> Result<Page<ExpiredVersion>, StoreError>;

    /// Forgets one whose files are gone. Forgetting one twice is fine.
    async fn forget(&self, expired: &ExpiredVersion) -> Result<(), StoreError>;
}

/// Macros of SQL.
#[async_trait]
pub trait MacroStore: fmt::Debug + Send + Sync {
    async fn get(&self, id: &MacroId) -> Result<Option<MacroRecord>, StoreError>;

    /// The macros that have one of `names` in one of `scopes`, in no order; those that are not there are left out.
    async fn lookup(&self, scopes: &[MacroScope], names: &[NameKey]) -> Result<Vec<MacroRecord>, StoreError>;

    /// The macros of one scope, by name; there are at most [`crate::limits::MACROS_PER_SCOPE_MAX`].
    async fn of(&self, scope: &MacroScope) -> Result<Vec<MacroRecord>, StoreError>;

    /// Stores `record` if the stored revision is still `record.revision` (0: not stored), and returns the new
    /// revision. `Conflict` for the later of two writers, `Taken` when the name is in its scope.
    async fn put(&self, record: MacroRecord) -> Result<u64, StoreError>;

    /// Removes a macro if the stored revision is still this; otherwise, and when it is gone, `Conflict`.
    async fn remove(&self, id: &MacroId, revision: u64) -> Result<(), StoreError>;
}

/// Who did what, append-only.
#[async_trait]
pub trait AuditStore: fmt::Debug + Send + Sync {
    /// Appends a record. Appending one twice is fine: it is there once.
    async fn append(&self, record: AuditRecord) -> Result<(), StoreError>;

    /// All records, newest first.
    async fn list(&self, page: PageRequest) -> Result<Page<AuditRecord>, StoreError>;
}

/// Queries that have ended.
#[async_trait]
pub trait HistoryStore: fmt::Debug + Send + Sync {
    /// Stores them. One that is there already stays as it is.
    async fn append(&self, records: &[std::sync::Arc<QueryRecord>]) -> Result<(), StoreError>;

    async fn get(&self, id: &QueryId) -> Result<Option<QueryRecord>, StoreError>;

    /// The queries of `owner`, those that were asked last first.
    async fn list(&self, owner: &Owner, page: PageRequest) -> Result<Page<QueryRecord>, StoreError>;

    /// How many queries of `owner` there are.
    async fn count(&self, owner: &Owner) -> Result<u64, StoreError>;

    /// Forgets all but the newest `keep`, and returns how many.
    async fn trim(&self, keep: u64) -> Result<u64, StoreError>;
}

/// The ports of one backend, together.
#[derive(Debug, Clone)]
pub struct Stores {
    pub users: std::sync::Arc<dyn UserStore>,
    pub tokens: std::sync::Arc<dyn TokenStore>,
    pub keys: std::sync::Arc<dyn KeyStore>,
    pub datasets: std::sync::Arc<dyn DatasetStore>,
    pub expired: std::sync::Arc<dyn ExpiredStore>,
    pub macros: std::sync::Arc<dyn MacroStore>,
    pub transforms: std::sync::Arc<dyn TransformStore>,
    pub executions: std::sync::Arc<dyn ExecutionStore>,
    pub audit: std::sync::Arc<dyn AuditStore>,
    pub history: std::sync::Arc<dyn HistoryStore>,
    /// Calls that all of them made to a server.
    pub calls: StoreCalls,
}

impl Stores {
    /// All ports over one backend.
    fn over<S>(store: &std::sync::Arc<S>, calls: StoreCalls) -> Self
    where
        S: UserStore
            + TokenStore
            + KeyStore
            + DatasetStore
            + ExpiredStore
            + MacroStore
            + TransformStore
            + ExecutionStore
            + AuditStore
            + HistoryStore
            + 'static,
    {
        use std::sync::Arc;
        Self {
            users: Arc::clone(store) as _,
            tokens: Arc::clone(store) as _,
            keys: Arc::clone(store) as _,
            datasets: Arc::clone(store) as _,
            expired: Arc::clone(store) as _,
            macros: Arc::clone(store) as _,
            transforms: Arc::clone(store) as _,
            executions: Arc::clone(store) as _,
            audit: Arc::clone(store) as _,
            history: Arc::clone(store) as _,
            calls,
        }
    }
}
