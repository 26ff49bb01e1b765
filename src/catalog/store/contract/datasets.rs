//! `DatasetStore`: creating, finding, listing, changing and deleting.

use super::{at, audit, commit, create, dataset, next_version, publish, stored, walk};
use crate::catalog::name::NameKey;
use crate::catalog::record::DatasetRecord;
use crate::catalog::store::{Change, Commit, Owner, PageRequest, StoreError, Stores};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, UserId};
use crate::limits::PAGE_ITEMS_MAX;

pub(super) async fn run(stores: &Stores) {
    lookup(stores).await;
    names_are_unique(stores).await;
    updates(stores).await;
    a_deleted_name_is_free(stores).await;
    a_commit_id_works_once(stores).await;
    lists(stores).await;
    lists_hold_still(stores).await;
}

async fn lookup(stores: &Stores) {
    let owner = UserId::random();
    let sales = create(stores, dataset(&owner, "売上 ２０２４", at(0))).await;
    let trips = create(stores, dataset(&owner, "Trips", at(1))).await;
    let find = async |ids: &[&DatasetId], names: &[&str]| {
        let ids: Vec<_> = ids.iter().map(|id| (*id).clone()).collect();
        let names: Vec<_> = names.iter().map(|name| NameKey::of(name)).collect();
        let mut found = stores.datasets.lookup(&ids, &names).await.unwrap();
        found.sort_by_key(|dataset| dataset.created_at);
        found
    };
    assert_eq!(find(&[], &[]).await, []);
    assert_eq!(find(&[&sales.id], &[]).await, vec![sales.clone()], "all of it comes back");
    assert_eq!(find(&[], &["ＴＲＩＰＳ", "売上 2024"]).await, [sales.clone(), trips.clone()]);
    assert_eq!(find(&[&DatasetId::random(), &trips.id], &["nothing"]).await, vec![trips.clone()]);
    assert_eq!(find(&[&trips.id, &trips.id], &["trips"]).await, [trips], "each once");
}

async fn names_are_unique(stores: &Stores) {
    let owner = UserId::random();
    let first = create(stores, dataset(&owner, "unique", at(0))).await;
    let second = create(stores, dataset(&owner, "other", at(0))).await;
    let check = |outcome: Result<(), StoreError>| {
        assert!(matches!(&outcome, Err(StoreError::Taken(_))), "{outcome:?}");
    };
    check(commit(stores, Change::Create(dataset(&UserId::random(), "UNIQUE", at(1)))).await);
    check(commit(stores, Change::Create(DatasetRecord { revision: 0, ..renamed(&first, "same id") })).await);
    check(commit(stores, Change::Update(renamed(&second, "Unique"))).await);
    check(commit(stores, Change::Publish(next_version(&renamed(&second, "Unique")))).await);
    assert_eq!(stored(stores, &second.id).await, Some(second.clone()), "a refused change changes nothing");

    // A name that was given up is free.
    commit(stores, Change::Update(renamed(&first, "moved"))).await.unwrap();
    commit(stores, Change::Update(renamed(&second, "unique"))).await.unwrap();
    let found = stores.datasets.lookup(&[], &[NameKey::of("unique")]).await.unwrap();
    assert_eq!(found[0].id, second.id);
}

async fn updates(stores: &Stores) {
    let record = create(stores, dataset(&UserId::random(), "updates", at(0))).await;
    let described = DatasetRecord { description: "described".to_owned(), ..record.clone() };
    commit(stores, Change::Update(described.clone())).await.unwrap();
    let now = DatasetRecord { revision: 2, ..described };
    assert_eq!(stored(stores, &record.id).await, Some(now.clone()));

    let check = |outcome: Result<(), StoreError>| {
        assert!(matches!(&outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    };
    check(commit(stores, Change::Update(record.clone())).await);
    check(commit(stores, Change::Publish(next_version(&record))).await);
    check(commit(stores, Change::Delete { id: record.id.clone(), revision: 1, at: at(1) }).await);
    check(commit(stores, Change::Update(next_version(&now))).await);
    check(commit(stores, Change::Create(now.clone())).await);
    let unknown = DatasetRecord { revision: 1, ..dataset(&UserId::random(), "unknown", at(0)) };
    check(commit(stores, Change::Update(unknown.clone())).await);
    check(commit(stores, Change::Publish(next_version(&unknown))).await);
    check(commit(stores, Change::Delete { id: unknown.id, revision: 1, at: at(1) }).await);
    assert_eq!(stored(stores, &record.id).await, Some(now));
}

async fn a_deleted_name_is_free(stores: &Stores) {
    let record = create(stores, dataset(&UserId::random(), "deleted", at(0))).await;
    let delete = Change::Delete { id: record.id.clone(), revision: 1, at: at(1) };
    commit(stores, delete.clone()).await.unwrap();
    assert_eq!(stored(stores, &record.id).await, None);
    let again = commit(stores, delete).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let late = commit(stores, Change::Publish(next_version(&record))).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "an import must not bring it back: {late:?}");
    create(stores, dataset(&UserId::random(), "Deleted", at(2))).await;
}

async fn a_commit_id_works_once(stores: &Stores) {
    let record = create(stores, dataset(&UserId::random(), "commits", at(0))).await;
    let id = CommitId::random();
    assert!(!stores.datasets.committed(&id).await.unwrap());
    let once = Commit {
        id: id.clone(),
        change: Change::Publish(next_version(&record)),
        audit: Some(audit(&record.id, at(1))),
        execution: None,
    };
    stores.datasets.commit(once).await.unwrap();
    assert!(stores.datasets.committed(&id).await.unwrap());
    let now = stored(stores, &record.id).await.unwrap();

    let twice = Commit {
        id,
        change: Change::Publish(next_version(&now)),
        audit: Some(audit(&record.id, at(2))),
        execution: None,
    };
    let unwritten = twice.audit.clone().unwrap().id;
    let outcome = stores.datasets.commit(twice).await;
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
    assert_eq!(stored(stores, &record.id).await, Some(now.clone()));
    let log = walk(100, async |page| stores.audit.list(page).await.unwrap()).await;
    assert!(log.iter().all(|entry| entry.id != unwritten));

    let refused = CommitId::random();
    let late = Commit { id: refused.clone(), change: Change::Update(record), audit: None, execution: None };
    stores.datasets.commit(late).await.unwrap_err();
    assert!(!stores.datasets.committed(&refused).await.unwrap(), "a refused commit did not happen");
}

async fn lists(stores: &Stores) {
    let (ana, bo) = (UserId::random(), UserId::random());
    let mut made = Vec::new();
    for n in 0..7 {
        // Pairs share a moment: the order among them is the store's, but it must be one.
        made.push(create(stores, dataset(&ana, &format!("list {n}"), at(n / 2))).await);
    }
    create(stores, dataset(&bo, "list of another", at(9))).await;
    let owner = Owner::User(ana.clone());
    for limit in [1, 2, 3, 7, 8] {
        let found = walk(limit, async |page| {
            let (page, total) = stores.datasets.list(&owner, page).await.unwrap();
            assert_eq!(total, 7);
            page
        });
        let found = found.await;
        let ages: Vec<Timestamp> = found.iter().map(|dataset| dataset.created_at).collect();
        assert!(ages.is_sorted_by(|a, b| a >= b), "newest first: {ages:?}");
        let (mut ids, mut expected): (Vec<_>, Vec<_>) =
            (found.iter().map(|d| &d.id).collect(), made.iter().map(|d| &d.id).collect());
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "each once, in pages of {limit}");
    }
    let (page, total) = stores.datasets.list(&Owner::Anyone, PageRequest::first(1)).await.unwrap();
    assert!(total > 8 && page.items.len() == 1 && page.next.is_some());
    let (page, total) =
        stores.datasets.list(&Owner::User(UserId::random()), PageRequest::first(10)).await.unwrap();
    assert_eq!((page.items.len(), page.next, total), (0, None, 0));

    for (limit, n_expected) in [(0, 1), (PAGE_ITEMS_MAX * 10, 7)] {
        let (page, _) = stores.datasets.list(&owner, PageRequest::first(limit)).await.unwrap();
        assert_eq!(page.items.len(), n_expected, "limit {limit}");
    }
}

/// What comes and goes while somebody walks must not hide or repeat what was there all along.
async fn lists_hold_still(stores: &Stores) {
    let ana = UserId::random();
    let mut made = Vec::new();
    for n in 0..6 {
        made.push(create(stores, dataset(&ana, &format!("still {n}"), at(n * 10))).await);
    }
    let mut n_pages = 0;
    let found = walk(2, async |page| {
        let (page, _) = stores.datasets.list(&Owner::User(ana.clone()), page).await.unwrap();
        n_pages += 1;
        // One at the front, behind the reader, and one that the reader has seen goes.
        create(stores, dataset(&ana, &format!("new {n_pages}"), at(1_000 + n_pages))).await;
        let seen = page.items.last().unwrap();
        let delete = Change::Delete { id: seen.id.clone(), revision: seen.revision, at: at(2_000) };
        commit(stores, delete).await.unwrap();
        page
    });
    let names: Vec<String> = found.await.into_iter().map(|dataset| dataset.name).collect();
    assert_eq!(names, ["still 5", "still 4", "still 3", "still 2", "still 1", "still 0"]);
    let survivor = stored(stores, &made[5].id).await.unwrap();
    assert_eq!(publish(stores, &survivor).await.revision, 2);
}

fn renamed(record: &DatasetRecord, name: &str) -> DatasetRecord {
    DatasetRecord { name: name.to_owned(), name_key: NameKey::of(name), ..record.clone() }
}
