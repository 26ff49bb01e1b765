//! `DatasetStore`: versions, and what becomes of them.

use super::{at, audit, commit, create, dataset, next_version, publish, stored, version, walk};
use crate::catalog::record::{DatasetRecord, ExpiredVersion, VersionRecord};
use crate::catalog::store::{Change, Commit, StoreError, Stores};
use crate::ids::{CommitId, DatasetId, UserId};

pub(super) async fn run(stores: &Stores) {
    publishing(stores).await;
    expiring(stores).await;
    deleting(stores).await;
    audit_is_written_with_the_change(stores).await;
}

async fn publishing(stores: &Stores) {
    let mut record = create(stores, dataset(&UserId::random(), "publishing", at(0))).await;
    let mut expected = vec![record.current.clone()];
    for _ in 0..4 {
        record = publish(stores, &record).await;
        expected.insert(0, record.current.clone());
        assert_eq!(stored(stores, &record.id).await, Some(record.clone()));
    }
    for limit in [1, 2, 5, 6] {
        let found = walk(limit, async |page| stores.datasets.versions(&record.id, page).await.unwrap());
        assert_eq!(found.await, expected, "newest first, in pages of {limit}");
    }
    assert_eq!(versions(stores, &DatasetId::random()).await, []);

    // Numbers only grow: neither the current one nor an earlier one comes again.
    for number in [5, 4, 1] {
        let back = DatasetRecord { current: version(&record.id, number, &record.owner_id), ..record.clone() };
        let outcome = commit(stores, Change::Publish(back)).await;
        assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{number}: {outcome:?}");
    }
    assert_eq!(versions(stores, &record.id).await, expected);
}

async fn expiring(stores: &Stores) {
    let first = create(stores, dataset(&UserId::random(), "expiring", at(0))).await;
    let second = publish(stores, &first).await;
    let third = publish(stores, &second).await;
    let expire = |number| Change::Expire { id: first.id.clone(), number, at: at(50) };

    commit(stores, expire(2)).await.unwrap();
    assert_eq!(versions(stores, &first.id).await, [third.current.clone(), first.current.clone()]);
    let expired = ExpiredVersion {
        dataset_id: first.id.clone(),
        label: second.current.label.clone(),
        expired_at: at(50),
    };
    assert!(all_expired(stores).await.contains(&expired));

    for (number, why) in [(3, "current"), (2, "gone"), (9, "never there")] {
        let outcome = commit(stores, expire(number)).await;
        assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{why}: {outcome:?}");
    }
    let nowhere = Change::Expire { id: DatasetId::random(), number: 1, at: at(50) };
    assert!(matches!(commit(stores, nowhere).await, Err(StoreError::Conflict(_))));
    assert_eq!(stored(stores, &first.id).await, Some(third), "the dataset itself did not change");
}

async fn deleting(stores: &Stores) {
    let first = create(stores, dataset(&UserId::random(), "deleting", at(0))).await;
    let second = publish(stores, &first).await;
    let third = publish(stores, &second).await;
    commit(stores, Change::Expire { id: first.id.clone(), number: 1, at: at(60) }).await.unwrap();
    commit(stores, Change::Delete { id: first.id.clone(), revision: 3, at: at(61) }).await.unwrap();
    assert_eq!(versions(stores, &first.id).await, []);
    let mut labels: Vec<String> = all_expired(stores)
        .await
        .into_iter()
        .filter(|expired| expired.dataset_id == first.id)
        .map(|expired| expired.label)
        .collect();
    labels.sort();
    assert_eq!(labels, [first.current.label, second.current.label, third.current.label]);
}

async fn audit_is_written_with_the_change(stores: &Stores) {
    let record = dataset(&UserId::random(), "audited", at(0));
    let entry = audit(&record.id, at(70));
    let change = Change::Create(record.clone());
    let first = Commit {
        id: CommitId::random(),
        change: change.clone(),
        audit: Some(entry.clone()),
        execution: None,
    };
    stores.datasets.commit(first).await.unwrap();
    let refused = audit(&record.id, at(71));
    let second = Commit { id: CommitId::random(), change, audit: Some(refused.clone()), execution: None };
    stores.datasets.commit(second).await.unwrap_err();
    let stale = Commit {
        id: CommitId::random(),
        change: Change::Publish(next_version(&record)),
        audit: Some(refused.clone()),
        execution: None,
    };
    stores.datasets.commit(stale).await.unwrap_err();
    let log = walk(100, async |page| stores.audit.list(page).await.unwrap()).await;
    assert_eq!(log.iter().filter(|found| **found == entry).count(), 1);
    assert!(log.iter().all(|found| found.id != refused.id));
}

async fn versions(stores: &Stores, id: &DatasetId) -> Vec<VersionRecord> {
    walk(2, async |page| stores.datasets.versions(id, page).await.unwrap()).await
}

async fn all_expired(stores: &Stores) -> Vec<ExpiredVersion> {
    walk(2, async |page| stores.expired.expired(at(1_000_000), page).await.unwrap()).await
}
