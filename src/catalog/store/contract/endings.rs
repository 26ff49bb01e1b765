//! Commits that end an execution: both happen, or neither.

use super::executions::{begin, check_conflict, end, get};
use super::samples::{failed, new_execution};
use super::{at, audit, create, dataset, next_version, stored, walk};
use crate::catalog::record::{DatasetRecord, MadeBy};
use crate::catalog::store::{Change, Commit, StoreError, Stores};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus};
use crate::ids::{CommitId, DatasetId, TransformId};
use crate::tasks;

const N_TASKS: usize = 16;

pub(super) async fn run(stores: &Stores) {
    a_commit_ends_its_execution(stores).await;
    a_commit_of_a_lost_execution_changes_nothing(stores).await;
    racing_to_end(stores).await;
}

/// A commit of this change that ends an execution.
fn ending(change: Change, record: &ExecutionRecord) -> Commit {
    let success = ExecutionRecord { status: ExecutionStatus::Success, failure: None, ..failed(record) };
    let told = audit(&DatasetId::random(), at(80));
    Commit { id: CommitId::random(), change, audit: Some(told), execution: Some(success) }
}

/// A dataset that a transform made.
fn made_by(execution: &ExecutionRecord, name: &str) -> DatasetRecord {
    let mut record = dataset(&execution.user_id, name, at(0));
    record.source.kind = "transform".to_owned();
    record.source.made_by = Some(MadeBy {
        transform_id: execution.transform_id.clone(),
        execution_id: execution.id.clone(),
        inputs: execution.inputs.clone(),
    });
    record
}

async fn a_commit_ends_its_execution(stores: &Stores) {
    let transform = TransformId::random();
    let execution = begin(stores, new_execution(&transform, at(0))).await;
    let output = made_by(&execution, "made by a transform");
    let commit = ending(Change::Create(output.clone()), &execution);
    let expected = ExecutionRecord { revision: 2, ..commit.execution.clone().unwrap() };
    stores.datasets.commit(commit).await.unwrap();
    assert_eq!(get(stores, &execution).await, Some(expected));
    let output = DatasetRecord { revision: 1, ..output };
    assert_eq!(stored(stores, &output.id).await, Some(output.clone()), "who made it comes back");

    let execution = begin(stores, new_execution(&transform, at(1))).await;
    let next = DatasetRecord { source: made_by(&execution, "").source, ..next_version(&output) };
    let commit = ending(Change::Publish(next.clone()), &execution);
    let expected = ExecutionRecord { revision: 2, ..commit.execution.clone().unwrap() };
    stores.datasets.commit(commit).await.unwrap();
    assert_eq!(get(stores, &execution).await, Some(expected));
    let output = DatasetRecord { revision: 2, ..next };
    assert_eq!(stored(stores, &output.id).await, Some(output.clone()));

    // Every kind of change can end one.
    for (n, change) in (2..).zip([
        Change::Update(DatasetRecord { description: "told".to_owned(), ..output.clone() }),
        Change::Expire { id: output.id.clone(), number: 1, at: at(90) },
        Change::Delete { id: output.id.clone(), revision: 3, at: at(91) },
    ]) {
        let execution = begin(stores, new_execution(&transform, at(n))).await;
        stores.datasets.commit(ending(change, &execution)).await.unwrap();
        assert_eq!(get(stores, &execution).await.unwrap().status, ExecutionStatus::Success);
    }
}

async fn a_commit_of_a_lost_execution_changes_nothing(stores: &Stores) {
    let transform = TransformId::random();
    let execution = begin(stores, new_execution(&transform, at(0))).await;
    let output = create(stores, made_by(&execution, "lost")).await;
    // Another process has taken it over, and runs it.
    let taken = ExecutionRecord {
        revision: stores.executions.put(execution.clone()).await.unwrap(),
        ..execution.clone()
    };
    let refused = async |execution: &ExecutionRecord| {
        for change in [
            Change::Publish(next_version(&output)),
            Change::Create(made_by(execution, "lost and new")),
            Change::Update(DatasetRecord { description: "told".to_owned(), ..output.clone() }),
            Change::Delete { id: output.id.clone(), revision: 1, at: at(90) },
        ] {
            let commit = ending(change.clone(), execution);
            let (id, told) = (commit.id.clone(), commit.audit.clone().unwrap().id);
            let outcome = stores.datasets.commit(commit).await;
            let named =
                outcome.as_ref().is_err_and(|error| error.to_string().contains(execution.id.as_str()));
            assert!(named, "{change:?}: {outcome:?}");
            check_conflict(outcome);
            assert!(!stores.datasets.committed(&id).await.unwrap());
            assert_eq!(stored(stores, &output.id).await, Some(output.clone()));
            if let Change::Create(record) = change {
                assert_eq!(stored(stores, &record.id).await, None);
            }
            let log = walk(100, async |page| stores.audit.list(page).await.unwrap()).await;
            assert!(log.iter().all(|entry| entry.id != told), "what did not happen is not told");
        }
        let versions = walk(10, async |page| stores.datasets.versions(&output.id, page).await.unwrap());
        assert_eq!(versions.await, std::slice::from_ref(&output.current));
    };
    refused(&execution).await;
    assert_eq!(get(stores, &execution).await, Some(taken.clone()));
    // Or has told that it failed: with its last revision too.
    let ended = end(stores, &taken).await;
    refused(&taken).await;
    refused(&ended).await;
    assert_eq!(get(stores, &execution).await, Some(ended));
    refused(&ExecutionRecord { revision: 1, ..new_execution(&transform, at(1)) }).await;

    // And the other way round: what the dataset refuses does not end the execution.
    let execution = begin(stores, new_execution(&transform, at(2))).await;
    let stale = DatasetRecord { revision: 7, ..next_version(&output) };
    check_conflict(stores.datasets.commit(ending(Change::Publish(stale), &execution)).await);
    assert_eq!(get(stores, &execution).await, Some(execution));
}

async fn racing_to_end(stores: &Stores) {
    let transform = TransformId::random();
    let record = begin(stores, new_execution(&transform, at(0))).await;
    let output = create(stores, made_by(&record, "raced by executions")).await;
    // Half of them publish what was made, and half have given the execution up.
    let tasks: Vec<_> = (0..N_TASKS)
        .map(|n| {
            let (stores, record, output) = (stores.clone(), record.clone(), output.clone());
            tasks::spawn(async move {
                if n % 2 == 0 {
                    stores.datasets.commit(ending(Change::Publish(next_version(&output)), &record)).await
                } else {
                    stores.executions.put(failed(&record)).await.map(drop)
                }
            })
        })
        .collect();
    let mut n_winners = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => n_winners += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error:?}"),
        }
    }
    assert_eq!(n_winners, 1);
    let now = get(stores, &record).await.unwrap();
    let published = stored(stores, &output.id).await.unwrap().current.number == 2;
    assert_eq!((now.revision, now.status == ExecutionStatus::Success), (2, published));
}
