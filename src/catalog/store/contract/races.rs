//! Truly concurrent writers: of those that want the same, exactly one wins, and the others are told
//! in the same words as when they come later.

use super::{at, commit, create, dataset, next_version, stored, user, walk};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, Role, UserRecord};
use crate::catalog::store::{Change, StoreError, Stores};
use crate::ids::UserId;
use crate::tasks;

const N_TASKS: usize = 16;

pub(super) async fn run(stores: &Stores) {
    publishing_the_same_revision(stores).await;
    creating_the_same_name(stores).await;
    renaming_to_the_same_name(stores).await;
    adding_the_same_address(stores).await;
    administrators_who_go_at_the_same_time(stores).await;
}

async fn publishing_the_same_revision(stores: &Stores) {
    let record = create(stores, dataset(&UserId::random(), "race to publish", at(0))).await;
    let changes = (0..N_TASKS).map(|_| Change::Publish(next_version(&record))).collect();
    let losers = race(stores, changes).await;
    assert!(losers.iter().all(|error| matches!(error, StoreError::Conflict(_))), "{losers:?}");
    let now = stored(stores, &record.id).await.unwrap();
    assert_eq!((now.revision, now.current.number), (2, 2));
    let versions = walk(10, async |page| stores.datasets.versions(&record.id, page).await.unwrap()).await;
    assert_eq!(versions, [now.current, record.current], "the losers left no version");
}

async fn creating_the_same_name(stores: &Stores) {
    let owner = UserId::random();
    let changes = (0..N_TASKS).map(|_| Change::Create(dataset(&owner, "race to create", at(0)))).collect();
    let losers = race(stores, changes).await;
    assert!(losers.iter().all(|error| matches!(error, StoreError::Taken(_))), "{losers:?}");
}

async fn renaming_to_the_same_name(stores: &Stores) {
    let owner = UserId::random();
    let mut changes = Vec::new();
    for n in 0..N_TASKS {
        let record = create(stores, dataset(&owner, &format!("race {n}"), at(0))).await;
        let name = "race to rename".to_owned();
        changes.push(Change::Update(DatasetRecord { name_key: NameKey::of(&name), name, ..record }));
    }
    let losers = race(stores, changes).await;
    assert!(losers.iter().all(|error| matches!(error, StoreError::Taken(_))), "{losers:?}");
}

async fn adding_the_same_address(stores: &Stores) {
    let tasks: Vec<_> = (0..N_TASKS)
        .map(|_| {
            let users = std::sync::Arc::clone(&stores.users);
            tasks::spawn(async move { users.put(user("race@example.com")).await })
        })
        .collect();
    let mut n_winners = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => n_winners += 1,
            Err(error) => assert!(matches!(error, StoreError::Taken(_)), "{error:?}"),
        }
    }
    assert_eq!(n_winners, 1);
}

/// Each stays for the other, and so one of them does.
async fn administrators_who_go_at_the_same_time(stores: &Stores) {
    for round in 0..N_TASKS {
        let mut admins = Vec::new();
        for side in ["left", "right"] {
            let email = format!("{side}-{round}@race.example");
            let mut record = UserRecord { role: Role::Admin, ..user(&email) };
            record.revision = stores.users.put(record.clone()).await.unwrap();
            admins.push(record);
        }
        let [left, right] = <[UserRecord; 2]>::try_from(admins).unwrap();
        let goes = |going: &UserRecord, other: &UserRecord| {
            let (going, other) = (UserRecord { disabled: true, ..going.clone() }, other.id.clone());
            let users = std::sync::Arc::clone(&stores.users);
            tasks::spawn(async move { users.put_beside_admin(going, &other).await })
        };
        let (one, two) = (goes(&left, &right), goes(&right, &left));
        let outcomes = [one.await.unwrap(), two.await.unwrap()];
        let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(matches!(lost.as_slice(), [StoreError::Conflict(_)]), "{outcomes:?}");
    }
}

/// Commits all changes at the same time, checks that one wins, and returns what the others got.
async fn race(stores: &Stores, changes: Vec<Change>) -> Vec<StoreError> {
    let tasks: Vec<_> = changes
        .into_iter()
        .map(|change| {
            let stores = stores.clone();
            tasks::spawn(async move { commit(&stores, change).await })
        })
        .collect();
    let mut losers = Vec::new();
    for task in tasks {
        losers.extend(task.await.unwrap().err());
    }
    assert_eq!(losers.len(), N_TASKS - 1, "exactly one wins");
    losers
}
