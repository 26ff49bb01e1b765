//! What is DynamoDB's own, against a real server. `./dev test` starts Amazon's and names it in `SHIRABE_DYNAMODB`; each
//! test has a database of its own. Without it the tests here say that they did nothing, and in CI they fail.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;

use super::condition::Condition;
use super::dataset_item::dataset_key;
use super::item::{Attributes, number, text};
use super::schema::{DATASETS, EXECUTIONS, EXPIRED, TRANSFORMS, USERS, VERSIONS};
use super::transaction::{NotDone, Transaction, Unless};
use super::{DynamoSettings, DynamoStore, item::Item};
use crate::auth::Role;
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, Source, UserRecord, VersionKind, VersionRecord};
use crate::catalog::store::{
    Begun, Change, Commit, Cursor, Owner, PageRequest, StoreError, Stores, contract,
};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus, Reason, TransformInput};
use crate::clock::Timestamp;
use crate::ids::{CommitId, DatasetId, TransformId, UserId, random_digits};
use crate::limits::TRANSFORM_INPUTS_MAX;
use crate::tasks;

/// A store with new tables; `None` where nobody has started a server.
async fn store() -> Option<DynamoStore> {
    let store = DynamoStore::new(settings()?);
    store.init().await.unwrap();
    Some(store)
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment where the server is")]
fn settings() -> Option<DynamoSettings> {
    let endpoint = std::env::var("SHIRABE_DYNAMODB").ok();
    assert!(
        endpoint.is_some() || std::env::var("CI").is_err(),
        "`SHIRABE_DYNAMODB` is not set: see `./dev test`"
    );
    // The server keeps a database for each region, whatever its name.
    let region = format!("test-{}", &random_digits()[..12]);
    Some(DynamoSettings { endpoint: Some(endpoint?), region, table_prefix: "bi_".to_owned() })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn dataset(owner: &UserId, name: &str) -> DatasetRecord {
    let id = DatasetId::random();
    DatasetRecord {
        current: version(&id, 1),
        id,
        name: name.to_owned(),
        name_key: NameKey::of(name),
        description: String::new(),
        owner_id: owner.clone(),
        source: Source {
            kind: "local_csv".to_owned(),
            file_name: "a.csv".to_owned(),
            path: None,
            made_by: None,
        },
        partition_column: None,
        sort_column: None,
        read_contract: serde_json::json!({}),
        created_at: at(0),
        last_import_at: at(0),
        revision: 0,
    }
}

fn version(id: &DatasetId, number: u64) -> VersionRecord {
    VersionRecord {
        dataset_id: id.clone(),
        number,
        label: format!("{number:06}-0123abcd"),
        manifest_blake3: "ab".repeat(32),
        kind: VersionKind::Import,
        row_count: 1,
        byte_count: 1,
        column_count: 1,
        quarantined_count: 0,
        created_at: at(0),
        created_by: UserId::random(),
        commit_id: CommitId::random(),
    }
}

async fn commit(stores: &Stores, change: Change) -> Result<(), StoreError> {
    stores.datasets.commit(Commit { id: CommitId::random(), change, audit: None, execution: None }).await
}

/// Stores a dataset with so many versions, and returns it as it is stored.
async fn published(stores: &Stores, name: &str, versions: u64) -> DatasetRecord {
    let mut record = dataset(&UserId::random(), name);
    commit(stores, Change::Create(record.clone())).await.unwrap();
    record.revision = 1;
    for number in 2..=versions {
        record.current = version(&record.id, number);
        commit(stores, Change::Publish(record.clone())).await.unwrap();
        record.revision += 1;
    }
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(store) = store().await else { return };
    contract::run(&store.stores()).await;
}

/// What the runbook asks for with a key and no program.
#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_has_the_key_and_the_attributes_of_the_contract() {
    let Some(store) = store().await else { return };
    let record = published(&store.stores(), "sales", 2).await;
    let call = store.client.get_item().table_name(format!("{}datasets", store.settings.table_prefix));
    let call = call.key("PK", text(format!("DATASET#{}", record.id))).key("SK", text("METADATA"));
    let item = call.send().await.unwrap().item.unwrap();
    assert_eq!(item["ownerId"], text(record.owner_id.as_str()));
    assert_eq!(item["createdAt"], number(1_700_000_000));
    assert_eq!((&item["rowCount"], &item["currentNumber"]), (&number(1), &number(2)));
    assert_eq!(item["s3Path"], text(format!("datasets/{}/", record.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_has_the_key_and_the_attributes_of_the_contract() {
    let Some(store) = store().await else { return };
    let record = contract::new_transform(&UserId::random(), "集計", at(0));
    store.stores().transforms.put(record.clone()).await.unwrap();
    let call = store.client.get_item().table_name("bi_transforms");
    let item = call.key("transformId", text(record.id.as_str())).send().await.unwrap().item.unwrap();
    for (name, value) in [
        ("name", "集計"),
        ("ownerId", record.owner_id.as_str()),
        ("code", &record.code),
        ("scheduleCron", "*/5 9-17 * * 1-5"),
    ] {
        assert_eq!(item[name], text(value), "{name}");
    }
    assert_eq!(item["scheduleEnabled"], AttributeValue::Bool(true));
    assert_eq!((&item["createdAt"], &item["updatedAt"]), (&number(1_700_000_000), &number(1_700_000_002)));
    let mut inputs: Vec<_> = record.input_ids().map(|id| text(id.as_str())).collect();
    inputs.sort_by_key(|input| input.as_s().cloned().ok());
    assert_eq!(item["inputDatasetIds"], AttributeValue::L(inputs));

    // Whoever turns the schedule off by hand means it.
    let scheduled = async || store.stores().transforms.scheduled(PageRequest::first(10)).await.unwrap().items;
    assert_eq!(scheduled().await.len(), 1);
    let mut item = item;
    item.insert("scheduleEnabled".to_owned(), AttributeValue::Bool(false));
    store.put_all(&TRANSFORMS, vec![item]).await.unwrap();
    assert_eq!(scheduled().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_has_the_key_and_the_attributes_of_the_contract() {
    let Some(store) = store().await else { return };
    let executions = store.stores().executions;
    let start = Timestamp::from_micros(at(0).micros() + 250_000);
    let record = ExecutionRecord {
        reason: Reason::Due,
        scheduled_at: Some(at(0)),
        ..contract::new_execution(&TransformId::random(), start)
    };
    executions.begin(record.clone()).await.unwrap();
    let output = DatasetId::random();
    let ended = ExecutionRecord {
        status: ExecutionStatus::Success,
        finished_at: Some(Timestamp::from_micros(start.micros() + 1_500_999)),
        output_row_count: Some(7),
        output_dataset_id: Some(output.clone()),
        revision: 1,
        ..record.clone()
    };
    executions.put(ended).await.unwrap();
    let call = store.client.get_item().table_name("bi_transform_executions");
    let call = call.key("transformId", text(record.transform_id.as_str()));
    let item = call.key("startedAt", number("1700000000.25")).send().await.unwrap().item.unwrap();
    for (name, value) in [
        ("executionId", text(record.id.as_str())),
        ("status", text("success")),
        ("startedAt", number("1700000000.25")),
        ("finishedAt", number(1_700_000_001)),
        ("durationMs", number(1500)),
        ("outputRowCount", number(7)),
        ("outputDatasetId", text(output.as_str())),
        ("triggeredBy", text("manual")),
        ("scheduledAt", number(1_700_000_000)),
    ] {
        assert_eq!(item[name], value, "{name}");
    }
    assert!(!item.contains_key("runningNow") && !item.contains_key("error"), "{item:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_changes_all_its_inputs_at_once() {
    let Some(store) = store().await else { return };
    let transforms = store.stores().transforms;
    let inputs = |count: usize| -> Vec<TransformInput> {
        let new =
            |_| TransformInput { dataset_id: DatasetId::random(), alias: None, columns: None, filter: None };
        (0..count).map(new).collect()
    };
    let mut record = contract::new_transform(&UserId::random(), "wide", at(0));
    record.inputs = inputs(TRANSFORM_INPUTS_MAX);
    record.revision = transforms.put(record.clone()).await.unwrap();
    let before = std::mem::replace(&mut record.inputs, inputs(TRANSFORM_INPUTS_MAX));
    record.owner_id = UserId::random();
    record.revision = transforms.put(record.clone()).await.unwrap();
    for (inputs, count) in [(&before, 0), (&record.inputs, 1)] {
        for input in inputs {
            assert_eq!(transforms.readers(&input.dataset_id).await.unwrap().len(), count);
        }
    }
    record.inputs = inputs(TRANSFORM_INPUTS_MAX * 2);
    let error = transforms.put(record.clone()).await.unwrap_err();
    assert!(matches!(&error, StoreError::TooLarge(what) if what.contains(record.id.as_str())), "{error:?}");
    assert_eq!(transforms.readers(&record.inputs[0].dataset_id).await.unwrap(), []);
}

/// A log that is told again and again is stored compressed; one that is too large all the same is refused by name, and
/// the execution stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_execution_keeps_its_log_as_far_as_it_fits() {
    let Some(store) = store().await else { return };
    let executions = store.stores().executions;
    let mut record = contract::new_execution(&TransformId::random(), at(0));
    assert_eq!(executions.begin(record.clone()).await.unwrap(), Begun::Yes);
    record.revision = 1;
    record.log = (0..50_000).map(|n| format!("row {n} of 50000\n")).collect();
    record.revision = executions.put(record.clone()).await.unwrap();
    let stored = executions.get(&record.transform_id, &record.id).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&record));
    let endless = ExecutionRecord {
        log: (0..30_000).map(|_| random_digits()).collect(),
        status: ExecutionStatus::Failed,
        ..record.clone()
    };
    let error = executions.put(endless).await.unwrap_err();
    assert!(matches!(&error, StoreError::TooLarge(what) if what.contains(record.id.as_str())), "{error:?}");
    assert_eq!(executions.get(&record.transform_id, &record.id).await.unwrap(), stored);
}

/// What somebody wrote by hand, or an older version did: a default says the same as an absent attribute.
#[tokio::test(flavor = "multi_thread")]
async fn executions_that_lack_attributes_still_read() {
    let Some(store) = store().await else { return };
    let executions = store.stores().executions;
    let record = contract::new_execution(&TransformId::random(), at(0));
    executions.begin(record.clone()).await.unwrap();
    let key = super::execution_item::execution_key(&record.transform_id, "1700000000");
    let mut item = store.get(&EXECUTIONS, key).await.unwrap().unwrap();
    for attribute in ["attempt", "params", "inputs", "checks", "usage", "log", "lease"] {
        item.remove(attribute).unwrap();
    }
    store.put_all(&EXECUTIONS, vec![item]).await.unwrap();
    let read = executions.get(&record.transform_id, &record.id).await.unwrap().unwrap();
    let expected = ExecutionRecord {
        params: serde_json::json!({}),
        inputs: Vec::new(),
        lease: None,
        revision: 1,
        ..record
    };
    assert_eq!(read, expected);
}

/// An item of a first version of this store: a later one adds attributes, and reads it with defaults.
#[tokio::test(flavor = "multi_thread")]
async fn items_that_lack_new_attributes_still_read() {
    let Some(store) = store().await else { return };
    let id = UserId::random();
    let user = Item::new()
        .text("userId", id.as_str())
        .text("email", "old@example.com")
        .text("role", "admin")
        .text("passwordHash", "$2b$12$…");
    store.put(&USERS, user, String::new).await.unwrap();
    let users = store.stores().users;
    let read = users.get(&id).await.unwrap().unwrap();
    assert_eq!((read.role, read.disabled, read.scan_bytes_max), (Role::Admin, false, None));
    // Another program put it there, without a name that is kept unique.
    assert_eq!(users.by_email("old@example.com").await.unwrap().unwrap().id, id);

    let record = published(&store.stores(), "old", 1).await;
    let mut item = store.get(&DATASETS, dataset_key(&record.id)).await.unwrap().unwrap();
    for attribute in ["description", "readContract", "lastImportAt", "lastImportAtMicros", "sourceFileName"] {
        item.remove(attribute).unwrap();
    }
    put_raw(&store, item).await;
    let read = store.stores().datasets.lookup(std::slice::from_ref(&record.id), &[]).await.unwrap().remove(0);
    assert_eq!((read.name.as_str(), read.description.as_str()), ("old", ""));
    assert_eq!(read.last_import_at, record.current.created_at);
}

async fn put_raw(store: &DynamoStore, item: Attributes) {
    store.put_all(&DATASETS, vec![item]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_by_name() {
    let Some(store) = store().await else { return };
    let stores = store.stores();
    let mut wide = dataset(&UserId::random(), "wide");
    // Ten thousand columns fit, because what is found in a file is stored compressed.
    let columns: Vec<_> =
        (0..10_000).map(|n| serde_json::json!({ "name": format!("column {n}"), "type": "int64" })).collect();
    wide.read_contract = serde_json::json!({ "columns": columns });
    commit(&stores, Change::Create(wide.clone())).await.unwrap();
    let read = stores.datasets.lookup(std::slice::from_ref(&wide.id), &[]).await.unwrap().remove(0);
    assert_eq!(read.read_contract, wide.read_contract);

    let mut large = dataset(&UserId::random(), "large");
    large.description = "x".repeat(420_000);
    let error = commit(&stores, Change::Create(large.clone())).await.unwrap_err();
    assert!(matches!(&error, StoreError::TooLarge(what) if what.contains(large.id.as_str())), "{error:?}");
    assert_eq!(stores.datasets.lookup(&[large.id], &[]).await.unwrap(), []);
}

/// A transaction has room for a hundred writes, and a dataset can have more versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_with_many_versions_is_deleted_whole() {
    const VERSIONS: usize = 130;
    let Some(store) = store().await else { return };
    let stores = store.stores();
    let record = published(&stores, "many", VERSIONS as u64).await;
    let delete = Change::Delete { id: record.id.clone(), revision: record.revision, at: at(5) };
    commit(&stores, delete).await.unwrap();
    let versions = stores.datasets.versions(&record.id, PageRequest::first(10)).await.unwrap();
    assert_eq!(versions.items, []);
    let expired = stores.expired.expired(at(6), PageRequest::first(1_000)).await.unwrap();
    assert_eq!(expired.items.len(), VERSIONS);
    assert!(expired.items.iter().all(|expired| expired.expired_at == at(5)));
}

/// A crash between the deletion and the burial: whoever asks for what has expired buries first.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_of_a_deletion_is_found_by_the_collector() {
    let Some(store) = store().await else { return };
    let stores = store.stores();
    let record = published(&stores, "crashed", 3).await;
    // As `commit` does it, up to the transaction.
    let mut writes = Transaction::new(&store);
    let there = Condition::present(&DATASETS);
    writes.delete_if(&DATASETS, dataset_key(&record.id), there, Unless::Conflict(String::new()));
    writes.put(&EXPIRED, super::expired::tombstone(&record.id, at(5)), String::new()).unwrap();
    writes.run().await.unwrap();
    for _ in 0..2 {
        let expired = stores.expired.expired(at(6), PageRequest::first(10)).await.unwrap();
        let mut labels: Vec<_> = expired.items.into_iter().map(|expired| expired.label).collect();
        labels.sort();
        assert_eq!(labels, ["000001-0123abcd", "000002-0123abcd", "000003-0123abcd"]);
    }
    let left = super::page::Query::of_table(&VERSIONS, record.id.as_str());
    assert_eq!(store.first(&left, 10).await.unwrap().len(), 0);
}

/// All of them add to the same counter.
#[tokio::test(flavor = "multi_thread")]
async fn datasets_made_at_once_are_counted_each() {
    const TASKS: usize = 24;
    let Some(store) = store().await else { return };
    let owner = UserId::random();
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| {
            let (stores, record) = (store.stores(), dataset(&owner, &format!("at once {n}")));
            tasks::spawn(async move { commit(&stores, Change::Create(record)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let stores = store.stores();
    for owner in [Owner::Anyone, Owner::User(owner)] {
        let (page, total) = stores.datasets.list(&owner, PageRequest::first(100)).await.unwrap();
        assert_eq!((page.items.len(), total), (TASKS, TASKS as u64));
    }
}

/// A dataset that goes to another owner is counted there.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_is_counted_for() {
    let Some(store) = store().await else { return };
    let stores = store.stores();
    let record = published(&stores, "moves", 1).await;
    let to = UserId::random();
    let moved = DatasetRecord {
        owner_id: to.clone(),
        name: "moved".to_owned(),
        name_key: NameKey::of("moved"),
        ..record.clone()
    };
    commit(&stores, Change::Update(moved)).await.unwrap();
    for (owner, expected) in [(record.owner_id, 0), (to, 1)] {
        let (page, total) = stores.datasets.list(&Owner::User(owner), PageRequest::first(10)).await.unwrap();
        assert_eq!((page.items.len(), total), (expected, expected as u64));
    }
    let found = stores.datasets.lookup(&[], &[NameKey::of("moves"), NameKey::of("moved")]).await.unwrap();
    assert_eq!(found.len(), 1, "the old name is free");
}

/// Two replicas: what one published, the next request on the other sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_sees_at_once_what_another_published() {
    let Some(one) = store().await else { return };
    let other = DynamoStore::new(one.settings.clone()).stores();
    let one = one.stores();
    let mut record = published(&one, "shared", 1).await;
    for number in 2..20 {
        record.current = version(&record.id, number);
        commit(&one, Change::Publish(record.clone())).await.unwrap();
        record.revision += 1;
        let seen = other.datasets.lookup(&[], &[NameKey::of("shared")]).await.unwrap();
        assert_eq!(seen[0].current.number, number);
    }
}

/// DynamoDB cancels a transaction that meets another one; which of its conditions do not hold is told exactly.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_by_their_place() {
    let Some(store) = store().await else { return };
    let record = published(&store.stores(), "refusing", 1).await;
    let mut writes = Transaction::new(&store);
    let key = || dataset_key(&record.id);
    writes.check(
        &DATASETS,
        dataset_key(&DatasetId::random()),
        Condition::absent(&DATASETS),
        Unless::Taken("a".to_owned()),
    );
    writes.delete_if(
        &DATASETS,
        key(),
        Condition::is("revision", number(7)),
        Unless::Conflict("b".to_owned()),
    );
    let NotDone::Refused(refused) = writes.run().await.unwrap_err() else { panic!("not refused") };
    assert_eq!(refused.len(), 1);
    assert!(matches!(&refused[0].unless, Unless::Conflict(what) if what == "b"));
    assert_eq!(refused[0].at, 1);
    assert_eq!(refused[0].stored.as_ref().unwrap()["revision"], number(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_cursor_is_refused() {
    let Some(store) = store().await else { return };
    let stores = store.stores();
    for cursor in ["[1,2,3]", "DatasetsByAge|x", ""] {
        let after = Some(Cursor(cursor.to_owned()));
        let error = stores.audit.list(PageRequest { after, limit: 1 }).await.unwrap_err();
        assert!(error.to_string().contains("no cursor"), "{cursor}: {error}");
    }
}

/// An update of the program that brings an index adds it to the tables that are there.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_missing_is_added() {
    let Some(settings) = settings() else { return };
    let store = DynamoStore::new(settings);
    let without = super::schema::Table { indexes: &USERS.indexes[..2], ..USERS };
    store.make(&without).await.unwrap();
    let missing = store.missing(&USERS).await.unwrap().unwrap();
    assert_eq!(missing, "no index `AdminsByAddress` of the table `bi_users`");
    let states = store.init().await.unwrap();
    let added: Vec<_> = states.into_iter().filter(|state| !state.made).collect();
    assert_eq!(added.len(), 1, "{added:?}");
    assert!(added[0].told().starts_with("there, added AdminsByAddress"), "{added:?}");
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_somebody_else_is_left_alone() {
    let Some(settings) = settings() else { return };
    let store = DynamoStore::new(settings);
    let other = super::schema::Table { name: USERS.name, ..super::schema::COMMITS };
    store.make(&other).await.unwrap();
    let error = store.init().await.unwrap_err().to_string();
    assert!(error.contains("commitId") && error.contains("userId") && error.contains("PREFIX"), "{error}");
}

/// Pages of more than the megabyte that one call returns.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_full_however_large_its_items_are() {
    const USERS: usize = 12;
    let Some(store) = store().await else { return };
    let users = store.stores().users;
    for n in 0..USERS {
        let record = UserRecord {
            id: UserId::random(),
            email: format!("{n:02}@example.com"),
            name: "n".repeat(200_000),
            role: Role::User,
            password_hash: String::new(),
            token_version: 0,
            disabled: false,
            scan_bytes_max: None,
            created_at: at(0),
            revision: 0,
        };
        users.put(record).await.unwrap();
    }
    for (part, limit) in [("", USERS), ("", USERS - 1), ("11@", USERS), ("example", USERS)] {
        let found = users.search(part, "", limit).await.unwrap();
        let expected = if part == "11@" { 1 } else { limit };
        assert_eq!(found.len(), expected, "{part}");
    }
    let ids: Vec<_> = users.search("", "", USERS).await.unwrap().into_iter().map(|user| user.id).collect();
    assert_eq!(Arc::clone(&users).lookup(&ids).await.unwrap().len(), USERS);
}
