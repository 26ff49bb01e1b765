//! `TransformStore`.

use super::samples::{input, new_transform};
use super::{at, walk};
use crate::catalog::store::{Owner, PageRequest, StoreError, Stores};
use crate::catalog::transform::{Language, Schedule, TransformInput, TransformRecord, TransformSettings};
use crate::ids::{DatasetId, TransformId, UserId};
use crate::tasks;

const N_TASKS: usize = 16;

pub(super) async fn create(stores: &Stores, record: TransformRecord) -> TransformRecord {
    assert_eq!(stores.transforms.put(record.clone()).await.unwrap(), 1);
    TransformRecord { revision: 1, ..record }
}

pub(super) async fn run(stores: &Stores) {
    ids_are_looked_up(stores).await;
    of_two_writers_one_wins(stores).await;
    lists(stores).await;
    readers_follow_the_inputs(stores).await;
    schedules_that_are_live_are_found(stores).await;
    racing_writers(stores).await;
}

async fn stored(stores: &Stores, id: &TransformId) -> Option<TransformRecord> {
    stores.transforms.lookup(std::slice::from_ref(id)).await.unwrap().pop()
}

fn check_conflict(outcome: Result<(), StoreError>) {
    assert!(matches!(&outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
}

fn ids(records: &[TransformRecord]) -> Vec<TransformId> {
    let mut ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    ids.sort();
    ids
}

async fn ids_are_looked_up(stores: &Stores) {
    let owner = UserId::random();
    let first = create(stores, new_transform(&owner, "looked up", at(0))).await;
    // Two may have one name: datasets are what statements name.
    let plain = TransformRecord {
        language: Language::Sql,
        inputs: vec![input(&DatasetId::random())],
        schedule: Schedule::none(at(1)),
        settings: TransformSettings::default(),
        ..new_transform(&owner, "looked up", at(1))
    };
    let second = create(stores, plain).await;
    assert_eq!(stored(stores, &first.id).await, Some(first.clone()), "all of it comes back");
    let asked = [first.id.clone(), TransformId::random(), second.id.clone(), first.id.clone()];
    let mut found = stores.transforms.lookup(&asked).await.unwrap();
    found.sort_by_key(|found| found.created_at);
    assert_eq!(found, [first, second], "each once");
    assert_eq!(stores.transforms.lookup(&[]).await.unwrap(), []);
}

async fn of_two_writers_one_wins(stores: &Stores) {
    let transforms = &stores.transforms;
    let record = create(stores, new_transform(&UserId::random(), "raced", at(0))).await;
    let first = TransformRecord { code: "1".to_owned(), ..record.clone() };
    assert_eq!(transforms.put(first.clone()).await.unwrap(), 2);
    let late = TransformRecord { inputs: vec![input(&DatasetId::random())], ..record.clone() };
    check_conflict(transforms.put(late.clone()).await.map(drop));
    check_conflict(transforms.put(TransformRecord { revision: 0, ..late.clone() }).await.map(drop));
    let unknown = TransformRecord { revision: 1, ..new_transform(&record.owner_id, "unknown", at(0)) };
    check_conflict(transforms.put(unknown.clone()).await.map(drop));
    check_conflict(transforms.remove(&record.id, 1).await);
    check_conflict(transforms.remove(&unknown.id, 1).await);
    assert_eq!(stored(stores, &record.id).await, Some(TransformRecord { revision: 2, ..first }));
    for refused in [&late.inputs[0].dataset_id, &unknown.inputs[0].dataset_id] {
        assert_eq!(transforms.readers(refused).await.unwrap(), [], "a refused change changes nothing");
    }
    transforms.remove(&record.id, 2).await.unwrap();
    check_conflict(transforms.remove(&record.id, 2).await);
    check_conflict(transforms.put(TransformRecord { revision: 2, ..record.clone() }).await.map(drop));
    assert_eq!(stored(stores, &record.id).await, None);
}

async fn lists(stores: &Stores) {
    let (ana, bo) = (UserId::random(), UserId::random());
    let mut made = Vec::new();
    for n in 0..7 {
        // Pairs share a moment: the order among them is the store's, but it must be one.
        made.push(create(stores, new_transform(&ana, &format!("list {n}"), at(n / 2))).await);
    }
    let another = create(stores, new_transform(&bo, "list of another", at(9))).await;
    let list = async |owner: &UserId, limit| {
        walk(limit, async |page| {
            let (page, total) = stores.transforms.list(&Owner::User(owner.clone()), page).await.unwrap();
            assert_eq!(total, if *owner == ana { 7 } else { 1 });
            page
        })
        .await
    };
    for limit in [1, 2, 3, 7, 8] {
        let found = list(&ana, limit).await;
        assert!(found.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
        assert_eq!(ids(&found), ids(&made), "each once, in pages of {limit}");
    }
    assert_eq!(list(&bo, 5).await, std::slice::from_ref(&another));
    let (page, total) = stores.transforms.list(&Owner::Anyone, PageRequest::first(1)).await.unwrap();
    assert!(total >= 8 && page.items.len() == 1 && page.next.is_some());

    // Given to somebody else, it is counted with theirs; removed, nowhere.
    let given = TransformRecord { owner_id: ana.clone(), ..another };
    stores.transforms.put(given.clone()).await.unwrap();
    stores.transforms.remove(&made[0].id, 1).await.unwrap();
    let expected = [&made[1..], &[given]].concat();
    assert_eq!(ids(&list(&ana, 3).await), ids(&expected));
    let (page, total) = stores.transforms.list(&Owner::User(bo), PageRequest::first(10)).await.unwrap();
    assert_eq!((page.items.len(), page.next, total), (0, None, 0));
}

async fn readers_follow_the_inputs(stores: &Stores) {
    let transforms = &stores.transforms;
    let (one, two, three) = (DatasetId::random(), DatasetId::random(), DatasetId::random());
    let readers = async |of: &DatasetId| ids(&transforms.readers(of).await.unwrap());
    let owner = UserId::random();
    let alias = TransformInput { alias: Some("again".to_owned()), ..input(&one) };
    let inputs = vec![input(&one), alias, input(&two)];
    let first = create(stores, TransformRecord { inputs, ..new_transform(&owner, "both", at(0)) }).await;
    let inputs = vec![input(&two)];
    let second = create(stores, TransformRecord { inputs, ..new_transform(&owner, "one", at(0)) }).await;
    assert_eq!(transforms.readers(&one).await.unwrap(), std::slice::from_ref(&first), "all of it, and once");
    assert_eq!(readers(&two).await, ids(&[first.clone(), second.clone()]));
    assert_eq!(readers(&three).await, []);
    assert_eq!(readers(&first.output_dataset_id).await, [], "what it writes it does not read");

    let changed = TransformRecord { inputs: vec![input(&three), input(&one)], ..first };
    assert_eq!(transforms.put(changed.clone()).await.unwrap(), 2);
    let changed = TransformRecord { revision: 2, ..changed };
    assert_eq!(transforms.readers(&one).await.unwrap(), std::slice::from_ref(&changed));
    assert_eq!(readers(&two).await, ids(std::slice::from_ref(&second)));
    assert_eq!(readers(&three).await, ids(std::slice::from_ref(&changed)));

    transforms.remove(&changed.id, 2).await.unwrap();
    for dataset in [&one, &three] {
        assert_eq!(readers(dataset).await, []);
    }

    // Deleting checks every reader, however many there are.
    let mut expected = vec![second];
    for n in 0..120 {
        let inputs = vec![input(&two)];
        expected
            .push(create(stores, TransformRecord { inputs, ..new_transform(&owner, "many", at(n)) }).await);
    }
    assert_eq!(readers(&two).await, ids(&expected));
}

async fn schedules_that_are_live_are_found(stores: &Stores) {
    let transforms = &stores.transforms;
    let owner = UserId::random();
    // What other checks left is live too.
    let live = async |limit| {
        let found = walk(limit, async |page| transforms.scheduled(page).await.unwrap()).await;
        found.into_iter().filter(|found| found.owner_id == owner).collect::<Vec<_>>()
    };
    let with = |schedule| TransformRecord { schedule, ..new_transform(&owner, "scheduled", at(0)) };
    let cron = new_transform(&owner, "cron", at(0)).schedule;
    let on_change = Schedule { on_input_change: true, enabled: true, ..Schedule::none(at(0)) };
    let by_cron = create(stores, with(cron.clone())).await;
    let by_change = create(stores, with(on_change)).await;
    create(stores, with(Schedule { enabled: false, ..cron.clone() })).await;
    create(stores, with(Schedule { enabled: true, ..Schedule::none(at(0)) })).await;
    for limit in [1, 2, 100] {
        assert_eq!(ids(&live(limit).await), ids(&[by_cron.clone(), by_change.clone()]));
    }
    let mut found = live(100).await;
    found.sort_by(|a, b| a.schedule.cron.cmp(&b.schedule.cron));
    assert_eq!(found, [by_change.clone(), by_cron.clone()], "all of it comes back");

    let paused = TransformRecord { schedule: Schedule { enabled: false, ..cron }, ..by_cron.clone() };
    transforms.put(paused.clone()).await.unwrap();
    assert_eq!(ids(&live(100).await), ids(std::slice::from_ref(&by_change)));
    transforms.put(TransformRecord { revision: 2, ..by_cron.clone() }).await.unwrap();
    transforms.remove(&by_change.id, 1).await.unwrap();
    assert_eq!(ids(&live(100).await), ids(&[by_cron]));
}

async fn racing_writers(stores: &Stores) {
    let record = create(stores, new_transform(&UserId::random(), "raced by many", at(0))).await;
    let datasets: Vec<_> = (0..N_TASKS).map(|_| DatasetId::random()).collect();
    let tasks: Vec<_> = datasets
        .iter()
        .map(|dataset| {
            let transforms = std::sync::Arc::clone(&stores.transforms);
            let changed = TransformRecord { inputs: vec![input(dataset)], ..record.clone() };
            tasks::spawn(async move { transforms.put(changed).await })
        })
        .collect();
    let mut n_winners = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(revision) => {
                assert_eq!(revision, 2);
                n_winners += 1;
            }
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error:?}"),
        }
    }
    assert_eq!(n_winners, 1);
    let now = stored(stores, &record.id).await.unwrap();
    for dataset in &datasets {
        let expected = if now.inputs[0].dataset_id == *dataset { vec![now.clone()] } else { vec![] };
        assert_eq!(stores.transforms.readers(dataset).await.unwrap(), expected, "the losers read nothing");
    }
}
