//! What every metadata store must do, as one suite that each backend's tests run against an empty
//! store. It knows the ports only: no SQL, no file. A promise in the docs of a port has its check here.

use crate::catalog::name::NameKey;
use crate::catalog::record::{
    AuditEvent, AuditRecord, DatasetRecord, Role, Source, UserRecord, VersionKind, VersionRecord,
};
use crate::catalog::store::{Change, Commit, Page, PageRequest, StoreError, Stores};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, LogId, UserId, random_digits};

mod audit;
mod datasets;
mod endings;
mod executions;
mod expired;
mod keys;
mod macros;
mod queries;
mod races;
mod samples;
mod tokens;
mod transforms;
mod users;
mod versions;

pub(super) use samples::{new_execution, new_transform};

/// Runs all of it. The store is empty before, and full of leftovers after.
pub(super) async fn run(stores: &Stores) {
    users::run(stores).await;
    tokens::run(stores).await;
    keys::run(stores).await;
    macros::run(stores).await;
    datasets::run(stores).await;
    versions::run(stores).await;
    expired::run(stores).await;
    audit::run(stores).await;
    queries::run(stores).await;
    transforms::run(stores).await;
    executions::run(stores).await;
    endings::run(stores).await;
    races::run(stores).await;
}

/// Transforms and executions without commits that end one, for a store that keeps nothing else.
pub(super) async fn run_transforms_alone(stores: &Stores) {
    transforms::run(stores).await;
    executions::run(stores).await;
}

/// A moment, `seconds` after a fixed one.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn user(email: &str) -> UserRecord {
    UserRecord {
        id: UserId::random(),
        email: email.to_owned(),
        name: "佐藤 花子".to_owned(),
        role: Role::User,
        password_hash: "$argon2id$…".to_owned(),
        token_version: 3,
        disabled: false,
        scan_bytes_max: None,
        created_at: at(0),
        revision: 0,
    }
}

fn dataset(owner: &UserId, name: &str, created_at: Timestamp) -> DatasetRecord {
    let id = DatasetId::random();
    let source =
        Source {
            kind: "local_csv".to_owned(), file_name: "売上.csv".to_owned(), path: None, made_by: None
        };
    DatasetRecord {
        current: version(&id, 1, owner),
        id,
        name: name.to_owned(),
        name_key: NameKey::of(name),
        description: "é 🙂 \"quoted\" \\ \u{202e}".to_owned(),
        owner_id: owner.clone(),
        source,
        partition_column: Some("日付".to_owned()),
        sort_column: None,
        read_contract: serde_json::json!({ "encoding": "cp932", "limit": 9_007_199_254_740_993_u64 }),
        created_at,
        last_import_at: created_at,
        revision: 0,
    }
}

fn version(id: &DatasetId, number: u64, by: &UserId) -> VersionRecord {
    VersionRecord {
        dataset_id: id.clone(),
        number,
        label: format!("{number:06}-{}", &random_digits()[..8]),
        manifest_blake3: "ab".repeat(32),
        kind: VersionKind::Import,
        row_count: u64::MAX / 2,
        byte_count: 1,
        column_count: 3,
        quarantined_count: 0,
        created_at: at(0),
        created_by: by.clone(),
        commit_id: CommitId::random(),
    }
}

fn audit(target: &DatasetId, timestamp: Timestamp) -> AuditRecord {
    AuditRecord {
        id: LogId::random(),
        timestamp,
        event: AuditEvent::DatasetImported,
        user_id: None,
        target_type: "dataset".to_owned(),
        target_id: target.to_string(),
        details: serde_json::json!({ "rows": 1 }),
        request_id: Some("req_0123456789ab".to_owned()),
    }
}

async fn commit(stores: &Stores, change: Change) -> Result<(), StoreError> {
    stores.datasets.commit(Commit { id: CommitId::random(), change, audit: None, execution: None }).await
}

/// Stores a dataset and returns it as it is stored.
async fn create(stores: &Stores, record: DatasetRecord) -> DatasetRecord {
    commit(stores, Change::Create(record.clone())).await.unwrap();
    DatasetRecord { revision: 1, ..record }
}

async fn stored(stores: &Stores, id: &DatasetId) -> Option<DatasetRecord> {
    stores.datasets.lookup(std::slice::from_ref(id), &[]).await.unwrap().pop()
}

/// The record with a next version, to be published.
fn next_version(record: &DatasetRecord) -> DatasetRecord {
    let next = version(&record.id, record.current.number + 1, &record.owner_id);
    DatasetRecord { current: next, ..record.clone() }
}

/// Publishes a next version and returns the dataset as it is stored.
async fn publish(stores: &Stores, record: &DatasetRecord) -> DatasetRecord {
    let next = next_version(record);
    commit(stores, Change::Publish(next.clone())).await.unwrap();
    DatasetRecord { revision: next.revision + 1, ..next }
}

/// Every item of an index, in pages of `limit`; each page but the last must be full.
async fn walk<T>(limit: usize, mut page: impl AsyncFnMut(PageRequest) -> Page<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut request = PageRequest::first(limit);
    loop {
        let found = page(request).await;
        assert!(found.items.len() <= limit);
        let next = found.next.inspect(|_| assert_eq!(found.items.len(), limit, "a page before the last"));
        items.extend(found.items);
        match next {
            Some(next) => request = PageRequest { after: Some(next), limit },
            None => return items,
        }
    }
}
