//! What transforms and their executions may cost in calls: whoever runs one says so again and again, and a scheduler asks
//! all the time.

use shirabe::catalog::name::NameKey;
use shirabe::catalog::record::{DatasetRecord, Source, VersionKind, VersionRecord};
use shirabe::catalog::store::{Begun, Change, Commit, Owner, PageRequest, Stores};
use shirabe::catalog::transform::{ExecutionRecord, Reason, TransformRecord};
use shirabe::ids::{CommitId, DatasetId, TransformId, UserId};

use super::budget::taken;
use super::{make_tables, region, server, stores};
use crate::support::records::{at, ended, execution, transform};

async fn tables() -> Option<Stores> {
    let (server, region) = (server()?, region());
    make_tables(&server, &region).await;
    Some(stores(&server, &region))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_transforms_costs_the_same_for_one_and_for_fifty() {
    let Some(stores) = tables().await else { return };
    let (transforms, owner, input) = (&stores.transforms, UserId::random(), DatasetId::random());
    let mut made = Vec::new();
    for (from, to) in [(0, 1), (1, 50)] {
        for n in from..to {
            let mut record = transform(&owner, at(n));
            record.inputs[0].dataset_id = input.clone();
            record.schedule.on_input_change = true;
            record.schedule.enabled = true;
            transforms.put(record.clone()).await.unwrap();
            made.push(record);
        }
        stores.calls.take();
        for owner in [Owner::Anyone, Owner::User(owner.clone())] {
            let (page, total) = transforms.list(&owner, PageRequest::first(50)).await.unwrap();
            assert_eq!((page.items.len(), total), (made.len(), made.len() as u64));
            assert_eq!(taken(&stores.calls), "GetItem 1, Query 1", "the page and its total");
        }
        assert_eq!(transforms.readers(&input).await.unwrap().len(), made.len());
        assert_eq!(taken(&stores.calls), "BatchGetItem 1, Query 1");
        assert_eq!(transforms.scheduled(PageRequest::first(50)).await.unwrap().items.len(), made.len());
        assert_eq!(taken(&stores.calls), "Query 1");
    }
    let ids: Vec<_> = made.iter().map(|record| record.id.clone()).collect();
    assert_eq!(transforms.lookup(&ids).await.unwrap().len(), 50);
    assert_eq!(taken(&stores.calls), "BatchGetItem 1");
    assert_eq!(transforms.lookup(&ids[..1]).await.unwrap().len(), 1);
    assert_eq!(taken(&stores.calls), "GetItem 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_is_changed_by_two_calls() {
    let Some(stores) = tables().await else { return };
    let record = transform(&UserId::random(), at(0));
    stores.calls.take();
    stores.transforms.put(record.clone()).await.unwrap();
    assert_eq!(taken(&stores.calls), "TransactWriteItems 1");
    // What it reads now, and to write it with what it reads from now on.
    let inputs = transform(&record.owner_id, at(0)).inputs;
    let changed = TransformRecord { inputs, revision: 1, ..record.clone() };
    stores.transforms.put(changed).await.unwrap();
    assert_eq!(taken(&stores.calls), "GetItem 1, TransactWriteItems 1");
    stores.transforms.remove(&record.id, 2).await.unwrap();
    assert_eq!(taken(&stores.calls), "GetItem 1, TransactWriteItems 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_begins_goes_on_and_ends_by_one_call_each() {
    let Some(stores) = tables().await else { return };
    let executions = &stores.executions;
    let id = TransformId::random();
    let due = |start| ExecutionRecord {
        reason: Reason::Due,
        scheduled_at: Some(at(start)),
        ..execution(&id, at(start))
    };
    let first = due(0);
    stores.calls.take();
    assert_eq!(executions.begin(first.clone()).await.unwrap(), Begun::Yes);
    assert_eq!(taken(&stores.calls), "TransactWriteItems 1");
    let renewed = ExecutionRecord { revision: 1, ..first.clone() };
    executions.put(renewed.clone()).await.unwrap();
    assert_eq!(taken(&stores.calls), "TransactWriteItems 1");

    // Whoever may not begin is told what is in the way, and that is read.
    let refused = executions.begin(due(1)).await.unwrap();
    assert!(matches!(&refused, Begun::AlreadyRunning(running) if running.id == first.id), "{refused:?}");
    assert_eq!(taken(&stores.calls), "BatchGetItem 1, GetItem 1, TransactWriteItems 1");
    let again = ExecutionRecord { scheduled_at: Some(at(0)), ..due(1) };
    assert_eq!(executions.begin(again).await.unwrap(), Begun::AlreadyDone);
    assert_eq!(taken(&stores.calls), "BatchGetItem 1, TransactWriteItems 1");

    executions.put(ExecutionRecord { revision: 2, ..ended(&first) }).await.unwrap();
    assert_eq!(taken(&stores.calls), "TransactWriteItems 1");
    executions.get(&id, &first.id).await.unwrap().unwrap();
    assert_eq!(taken(&stores.calls), "GetItem 2", "when it started, and it");
    assert_eq!(executions.list(&id, PageRequest::first(20)).await.unwrap().1, 1);
    assert_eq!(taken(&stores.calls), "GetItem 1, Query 1", "the page and its total");
    assert_eq!(executions.last_due(&id).await.unwrap(), Some(at(0)));
    assert_eq!(taken(&stores.calls), "Query 1");
    executions.running(PageRequest::first(100)).await.unwrap();
    assert_eq!(taken(&stores.calls), "Query 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_costs_one_call_when_there_is_nothing_to_trim() {
    let Some(stores) = tables().await else { return };
    let executions = &stores.executions;
    let id = TransformId::random();
    for n in 0..4 {
        assert_eq!(executions.begin(ended(&execution(&id, at(n)))).await.unwrap(), Begun::Yes);
    }
    stores.calls.take();
    assert_eq!(executions.trim(&id, 4, at(0)).await.unwrap(), 0);
    assert_eq!(taken(&stores.calls), "GetItem 1");
    // How many there are, whether one runs, the last due time, the oldest ones, and to forget them.
    assert_eq!(executions.trim(&id, 2, at(0)).await.unwrap(), 2);
    assert_eq!(taken(&stores.calls), "GetItem 2, Query 2, TransactWriteItems 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_and_the_end_of_its_execution_are_one_call() {
    let Some(stores) = tables().await else { return };
    let running = execution(&TransformId::random(), at(0));
    assert_eq!(stores.executions.begin(running.clone()).await.unwrap(), Begun::Yes);
    let end = ExecutionRecord { revision: 1, ..ended(&running) };
    let change = Change::Create(output(&running.user_id));
    stores.calls.take();
    let commit = Commit { id: CommitId::random(), change, audit: None, execution: Some(end.clone()) };
    stores.datasets.commit(commit).await.unwrap();
    assert_eq!(taken(&stores.calls), "TransactWriteItems 1");
    let stored = stores.executions.get(&running.transform_id, &running.id).await.unwrap();
    assert_eq!(stored, Some(ExecutionRecord { revision: 2, ..end }));
}

fn output(owner: &UserId) -> DatasetRecord {
    let id = DatasetId::random();
    let current = VersionRecord {
        dataset_id: id.clone(),
        number: 1,
        label: "000001-0123abcd".to_owned(),
        manifest_blake3: "ab".repeat(32),
        kind: VersionKind::Transform,
        row_count: 1,
        byte_count: 1,
        column_count: 1,
        quarantined_count: 0,
        created_at: at(0),
        created_by: owner.clone(),
        commit_id: CommitId::random(),
    };
    let source = Source { kind: "transform".to_owned(), file_name: String::new(), path: None, made_by: None };
    DatasetRecord {
        id,
        name: "made".to_owned(),
        name_key: NameKey::of("made"),
        description: String::new(),
        owner_id: owner.clone(),
        source,
        partition_column: None,
        sort_column: None,
        read_contract: serde_json::json!({}),
        current,
        created_at: at(0),
        last_import_at: at(0),
        revision: 0,
    }
}
