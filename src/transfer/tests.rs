//! Two installations in folders; other stores have the same ports.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::json;

use super::{Copied, Options, Side, copy};
use crate::auth::{Role, Scope};
use crate::catalog::name::NameKey;
use crate::catalog::record::{
    AuditEvent, AuditRecord, DatasetRecord, KeyRecord, MacroRecord, MacroScope, UserRecord, VersionRecord,
};
use crate::catalog::store::{Change, Commit, PageRequest, every};
use crate::clock::Timestamp;
use crate::engine::testing::{dataset_record, publish, store_manifest, stores, trips};
use crate::error::{Code, Result};
use crate::ids::{CommitId, DatasetId, KeyId, LogId, MacroId, UserId};

struct Ground {
    side: Side,
    _folder: tempfile::TempDir,
}

fn empty() -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let side = Side { stores: stores(&folder), objects: Arc::new(InMemory::new()) };
    Ground { side, _folder: folder }
}

const NOW: Timestamp = Timestamp::from_seconds(1_714_521_600);

/// One of everything, and a dataset of two versions.
async fn full() -> (Ground, DatasetId) {
    let ground = empty();
    let stores = &ground.side.stores;
    let user = UserId::random();
    let record = UserRecord {
        id: user.clone(),
        email: "ana@example.com".to_owned(),
        name: "Ana".to_owned(),
        role: Role::User,
        password_hash: "$argon2id$…".to_owned(),
        token_version: 3,
        disabled: false,
        scan_bytes_max: Some(7),
        created_at: NOW,
        revision: 0,
    };
    let revision = stores.users.put(record.clone()).await.unwrap();
    // Changed since, so that its revision is not that of a new record.
    stores.users.put(UserRecord { name: "Ana B.".to_owned(), revision, ..record }).await.unwrap();
    let key = KeyRecord {
        id: KeyId::random(),
        user_id: user.clone(),
        name: "nightly".to_owned(),
        scope: Scope::Full,
        secret_sha256: "ab".repeat(32),
        created_at: NOW,
        expires_at: None,
    };
    stores.keys.add(key).await.unwrap();
    stores.tokens.revoke("ended", Timestamp::from_seconds(4_000_000_000)).await.unwrap();
    let shared = MacroRecord {
        id: MacroId::random(),
        name: "net".to_owned(),
        name_key: NameKey::of("net"),
        owner_id: user.clone(),
        shared: true,
        parameters: Vec::new(),
        expression: "1 + 1".to_owned(),
        description: String::new(),
        calls: Vec::new(),
        created_at: NOW,
        updated_at: NOW,
        revision: 0,
    };
    stores.macros.put(shared).await.unwrap();
    let audit = AuditRecord {
        id: LogId::random(),
        timestamp: NOW,
        event: AuditEvent::UserLogin,
        user_id: Some(user.clone()),
        target_type: "user".to_owned(),
        target_id: user.to_string(),
        details: json!({}),
        request_id: None,
    };
    stores.audit.append(audit).await.unwrap();
    let first = version(&ground.side, 1, None).await;
    let id = first.dataset_id.clone();
    let record = DatasetRecord { owner_id: user, ..dataset_record("trips", &first) };
    commit(&ground.side, Change::Create(record)).await;
    let second = version(&ground.side, 2, Some(id.clone())).await;
    let there = dataset(&ground.side, &id).await;
    commit(&ground.side, Change::Publish(DatasetRecord { current: second, ..there })).await;
    let there = dataset(&ground.side, &id).await;
    commit(&ground.side, Change::Update(DatasetRecord { description: "all of them".to_owned(), ..there }))
        .await;
    (ground, id)
}

async fn version(side: &Side, number: u64, id: Option<DatasetId>) -> VersionRecord {
    let rows = i64::try_from(number).unwrap() * 5;
    let mut manifest = publish(&side.objects, "trips", number, vec![trips(0..rows)], Some("day")).await;
    if let Some(id) = id {
        manifest.dataset_id = id;
    }
    store_manifest(&side.objects, &manifest).await
}

async fn commit(side: &Side, change: Change) {
    side.stores.datasets.commit(Commit { id: CommitId::random(), change, audit: None }).await.unwrap();
}

async fn dataset(side: &Side, id: &DatasetId) -> DatasetRecord {
    side.stores.datasets.lookup(std::slice::from_ref(id), &[]).await.unwrap().remove(0)
}

async fn run(from: &Ground, to: &Ground, verify: bool) -> Result<Copied> {
    copy(&from.side, &to.side, &Options { verify, tell: |_| () }).await
}

#[tokio::test]
async fn all_is_copied_once() {
    let ((from, id), to) = (full().await, empty());
    let first = run(&from, &to, true).await.unwrap();
    assert_eq!((first.users, first.keys, first.sign_outs, first.macros), (1, 1, 1, 1), "{first:?}");
    assert_eq!(
        (first.datasets, first.versions, first.objects, first.objects_verified),
        (1, 2, 4, 2),
        "{first:?}"
    );
    check_same(&from.side, &to.side, &id).await;

    let again = run(&from, &to, true).await.unwrap();
    let unchanged = Copied { objects_verified: 4, audit_records: 1, ..Copied::default() };
    assert_eq!(again, unchanged, "what is there is not copied again");
    check_same(&from.side, &to.side, &id).await;
}

#[tokio::test]
async fn what_changed_since_follows() {
    let ((from, id), to) = (full().await, empty());
    run(&from, &to, false).await.unwrap();
    let third = version(&from.side, 3, Some(id.clone())).await;
    let there = dataset(&from.side, &id).await;
    let renamed =
        DatasetRecord { current: third, name: "rides".to_owned(), name_key: NameKey::of("rides"), ..there };
    commit(
        &from.side,
        Change::Publish(DatasetRecord {
            name: "trips".to_owned(),
            name_key: NameKey::of("trips"),
            ..renamed.clone()
        }),
    )
    .await;
    let revision = dataset(&from.side, &id).await.revision;
    commit(&from.side, Change::Update(DatasetRecord { revision, ..renamed })).await;
    let next = run(&from, &to, false).await.unwrap();
    assert_eq!((next.datasets, next.versions, next.users), (0, 1, 0), "{next:?}");
    check_same(&from.side, &to.side, &id).await;
}

#[tokio::test]
async fn damage_is_found_and_nothing_shows_it() {
    let ((from, id), to) = (full().await, empty());
    let keys: Vec<_> =
        objects(&from.side).await.into_iter().filter(|(key, _)| key.ends_with(".parquet")).collect();
    let (key, size) = keys.last().unwrap();
    let bytes = vec![7; usize::try_from(*size).unwrap()];
    from.side.objects.put(&Path::from(key.as_str()), bytes.into()).await.unwrap();
    let error = run(&from, &to, false).await.unwrap_err();
    assert_eq!(error.code(), Code::StorageDamaged, "{error}");
    assert!(error.to_string().contains(key.as_str()), "{error}");
    assert!(!objects(&to.side).await.iter().any(|(there, _)| there == key), "the wrong object is gone");
    let there = to.side.stores.datasets.lookup(std::slice::from_ref(&id), &[]).await.unwrap();
    assert!(
        there.iter().all(|there| there.current.number == 1),
        "a version whose files are wrong is not shown"
    );
}

#[tokio::test]
async fn somebody_elses_name_is_not_taken_over() {
    let ((from, _), (to, _)) = (full().await, full().await);
    let error = run(&from, &to, false).await.unwrap_err();
    assert_eq!(error.code(), Code::DuplicateError, "{error}");
    assert!(error.to_string().contains("another user `ana@example.com`"), "{error}");
}

async fn objects(side: &Side) -> Vec<(String, u64)> {
    use futures::TryStreamExt as _;
    let mut all: Vec<_> = side
        .objects
        .list(None)
        .map_ok(|object| (object.location.to_string(), object.size))
        .try_collect()
        .await
        .unwrap();
    all.sort();
    all
}

async fn check_same(a: &Side, b: &Side, id: &DatasetId) {
    assert_eq!(objects(a).await, objects(b).await);
    let plain = |record: DatasetRecord| DatasetRecord { revision: 0, ..record };
    assert_eq!(plain(dataset(a, id).await), plain(dataset(b, id).await));
    let versions = |side: &Side| {
        let store = Arc::clone(&side.stores.datasets);
        let id = id.clone();
        async move { every(|page| store.versions(&id, page)).await.unwrap() }
    };
    assert_eq!(versions(a).await, versions(b).await);
    let user = |record: &UserRecord| UserRecord { revision: 0, ..record.clone() };
    let [of_a, of_b] = [a, b].map(|side| side.stores.users.by_email("ana@example.com"));
    let (of_a, of_b) = (of_a.await.unwrap().unwrap(), of_b.await.unwrap().unwrap());
    assert_eq!(user(&of_a), user(&of_b));
    assert_eq!(
        a.stores.keys.of_user(&of_a.id).await.unwrap(),
        b.stores.keys.of_user(&of_a.id).await.unwrap()
    );
    assert!(b.stores.tokens.is_revoked("ended").await.unwrap());
    let shared = MacroScope::Shared;
    assert_eq!(a.stores.macros.of(&shared).await.unwrap(), b.stores.macros.of(&shared).await.unwrap());
    let log = PageRequest::first(10);
    assert_eq!(
        a.stores.audit.list(log.clone()).await.unwrap().items,
        b.stores.audit.list(log).await.unwrap().items
    );
}
