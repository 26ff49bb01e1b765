//! `ExecutionStore`.

use super::samples::{failed, new_execution, new_transform};
use super::{at, transforms, walk};
use crate::catalog::store::{Begun, PageRequest, StoreError, Stores};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus, Reason, Trigger};
use crate::clock::Timestamp;
use crate::ids::{ExecutionId, TransformId, UserId};
use crate::tasks;

const N_TASKS: usize = 16;

/// One of a due time.
fn due(transform: &TransformId, started_at: Timestamp, due: Timestamp, reason: Reason) -> ExecutionRecord {
    ExecutionRecord {
        triggered_by: Trigger::Schedule,
        reason,
        scheduled_at: Some(due),
        ..new_execution(transform, started_at)
    }
}

/// Begins one and returns it as it is stored.
pub(super) async fn begin(stores: &Stores, record: ExecutionRecord) -> ExecutionRecord {
    assert_eq!(stores.executions.begin(record.clone()).await.unwrap(), Begun::Yes);
    ExecutionRecord { revision: 1, ..record }
}

/// Ends one and returns it as it is stored.
pub(super) async fn end(stores: &Stores, record: &ExecutionRecord) -> ExecutionRecord {
    let ended = failed(record);
    let revision = stores.executions.put(ended.clone()).await.unwrap();
    ExecutionRecord { revision, ..ended }
}

pub(super) async fn get(stores: &Stores, record: &ExecutionRecord) -> Option<ExecutionRecord> {
    stores.executions.get(&record.transform_id, &record.id).await.unwrap()
}

async fn list(stores: &Stores, transform: &TransformId) -> Vec<ExecutionRecord> {
    walk(3, async |page| stores.executions.list(transform, page).await.unwrap().0).await
}

pub(super) fn check_conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(&outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
}

pub(super) async fn run(stores: &Stores) {
    one_runs(stores).await;
    a_due_time_has_one(stores).await;
    an_id_and_a_start_are_taken_once(stores).await;
    an_old_revision_loses(stores).await;
    lists(stores).await;
    those_that_run_are_found(stores).await;
    the_last_due_time(stores).await;
    trims(stores).await;
    executions_outlive_their_transform(stores).await;
    racing_to_begin(stores).await;
    racing_for_a_due_time(stores).await;
}

async fn one_runs(stores: &Stores) {
    let transform = TransformId::random();
    let first = begin(stores, new_execution(&transform, at(0))).await;
    assert_eq!(get(stores, &first).await, Some(first.clone()), "all of it comes back");
    let second = new_execution(&transform, at(1));
    let running = Begun::AlreadyRunning(Box::new(first.clone()));
    assert_eq!(stores.executions.begin(second.clone()).await.unwrap(), running);
    assert_eq!(get(stores, &second).await, None);
    begin(stores, new_execution(&TransformId::random(), at(0))).await;

    // What renews its lease runs on; what has ended makes room.
    let renewed = ExecutionRecord { log: "1".to_owned(), ..first };
    assert_eq!(stores.executions.put(renewed.clone()).await.unwrap(), 2);
    let renewed = ExecutionRecord { revision: 2, ..renewed };
    let running = Begun::AlreadyRunning(Box::new(renewed.clone()));
    assert_eq!(stores.executions.begin(second.clone()).await.unwrap(), running);
    let ended = end(stores, &renewed).await;
    assert_eq!(get(stores, &ended).await, Some(ended.clone()), "all of it comes back");
    let second = begin(stores, second).await;

    // What has ended never runs again, whether another runs or not.
    let again = ExecutionRecord { status: ExecutionStatus::Running, ..ended.clone() };
    check_conflict(stores.executions.put(again.clone()).await);
    end(stores, &second).await;
    check_conflict(stores.executions.put(again).await);
    assert_eq!(get(stores, &ended).await, Some(ended.clone()));
    // But what is told of it may change, and that ends nothing of another's.
    let third = begin(stores, new_execution(&transform, at(2))).await;
    let retold = ExecutionRecord { log: "shorter".to_owned(), ..ended };
    assert_eq!(stores.executions.put(retold.clone()).await.unwrap(), 4);
    let running = Begun::AlreadyRunning(Box::new(third.clone()));
    assert_eq!(stores.executions.begin(new_execution(&transform, at(3))).await.unwrap(), running);
    // A copy brings what has ended, beside what runs.
    begin(stores, failed(&new_execution(&transform, at(-1)))).await;
    assert_eq!(stores.executions.begin(new_execution(&transform, at(3))).await.unwrap(), running);
    end(stores, &third).await;
}

async fn a_due_time_has_one(stores: &Stores) {
    let transform = TransformId::random();
    let first = begin(stores, due(&transform, at(0), at(100), Reason::Due)).await;
    // Whether it runs or has ended, and why ever it ran.
    let again = due(&transform, at(1), at(100), Reason::Backfill);
    assert_eq!(stores.executions.begin(again.clone()).await.unwrap(), Begun::AlreadyDone);
    let ended = end(stores, &first).await;
    assert_eq!(stores.executions.begin(again.clone()).await.unwrap(), Begun::AlreadyDone);
    assert_eq!(stores.executions.begin(failed(&again)).await.unwrap(), Begun::AlreadyDone);
    assert_eq!(get(stores, &again).await, None);

    let next = begin(stores, due(&transform, at(2), at(101), Reason::Backfill)).await;
    let running = Begun::AlreadyRunning(Box::new(next.clone()));
    let third = due(&transform, at(3), at(102), Reason::Due);
    assert_eq!(stores.executions.begin(third.clone()).await.unwrap(), running);
    // Where both are true, that it is done is what stays true.
    assert_eq!(stores.executions.begin(again).await.unwrap(), Begun::AlreadyDone);
    let next = end(stores, &next).await;
    // One that was refused left no due time behind, and those without one are as many as there are.
    let third = end(stores, &begin(stores, third).await).await;
    let fourth = end(stores, &begin(stores, new_execution(&transform, at(4))).await).await;
    let fifth = end(stores, &begin(stores, new_execution(&transform, at(5))).await).await;
    assert_eq!(list(stores, &transform).await, [fifth, fourth, third, next, ended]);
    begin(stores, due(&TransformId::random(), at(0), at(100), Reason::Due)).await;
}

async fn an_id_and_a_start_are_taken_once(stores: &Stores) {
    let transform = TransformId::random();
    let first = end(stores, &begin(stores, new_execution(&transform, at(0))).await).await;
    let same_id = ExecutionRecord { id: first.id.clone(), ..new_execution(&transform, at(1)) };
    check_conflict(stores.executions.begin(same_id).await);
    check_conflict(stores.executions.begin(due(&transform, at(0), at(9), Reason::Due)).await);
    check_conflict(
        stores.executions.begin(ExecutionRecord { revision: 1, ..new_execution(&transform, at(1)) }).await,
    );
    assert_eq!(list(stores, &transform).await, [first]);
    // A microsecond is enough, and what was refused left nothing behind.
    let close = Timestamp::from_micros(at(0).micros() + 1);
    begin(stores, due(&transform, close, at(9), Reason::Due)).await;
}

async fn an_old_revision_loses(stores: &Stores) {
    let transform = TransformId::random();
    let first = begin(stores, due(&transform, at(0), at(9), Reason::Backfill)).await;
    assert_eq!(stores.executions.put(first.clone()).await.unwrap(), 2);
    let taken = ExecutionRecord { revision: 2, ..first.clone() };
    check_conflict(stores.executions.put(failed(&first)).await);
    check_conflict(stores.executions.put(ExecutionRecord { revision: 0, ..first.clone() }).await);
    check_conflict(stores.executions.put(ExecutionRecord { revision: 3, ..first.clone() }).await);
    check_conflict(
        stores.executions.put(ExecutionRecord { revision: 1, ..new_execution(&transform, at(1)) }).await,
    );
    // What it is one of stays.
    check_conflict(stores.executions.put(ExecutionRecord { started_at: at(5), ..taken.clone() }).await);
    check_conflict(
        stores.executions.put(ExecutionRecord { scheduled_at: Some(at(5)), ..taken.clone() }).await,
    );
    check_conflict(stores.executions.put(ExecutionRecord { scheduled_at: None, ..taken.clone() }).await);
    check_conflict(stores.executions.put(ExecutionRecord { reason: Reason::Due, ..taken.clone() }).await);
    let elsewhere = ExecutionRecord { transform_id: TransformId::random(), ..taken.clone() };
    check_conflict(stores.executions.put(elsewhere).await);
    check_conflict(
        stores.executions.put(ExecutionRecord { id: ExecutionId::random(), ..taken.clone() }).await,
    );
    assert_eq!(list(stores, &transform).await, std::slice::from_ref(&taken));
    let running = Begun::AlreadyRunning(Box::new(taken.clone()));
    assert_eq!(stores.executions.begin(new_execution(&transform, at(1))).await.unwrap(), running);
    end(stores, &taken).await;
}

async fn lists(stores: &Stores) {
    let transform = TransformId::random();
    let mut expected = Vec::new();
    for n in 0..7 {
        // Within one second: what is stored as seconds must still tell them apart, in their order.
        let started_at = Timestamp::from_micros(at(0).micros() + n * 100_000);
        expected.insert(0, end(stores, &begin(stores, new_execution(&transform, started_at)).await).await);
    }
    begin(stores, new_execution(&TransformId::random(), at(0))).await;
    for limit in [1, 2, 3, 7, 8] {
        let found = walk(limit, async |page| {
            let (page, total) = stores.executions.list(&transform, page).await.unwrap();
            assert_eq!(total, 7);
            page
        });
        assert_eq!(found.await, expected, "newest first, in pages of {limit}");
    }
    let nobody = TransformId::random();
    let (page, total) = stores.executions.list(&nobody, PageRequest::first(10)).await.unwrap();
    assert_eq!((page.items.len(), page.next, total), (0, None, 0));
    assert_eq!(stores.executions.get(&nobody, &expected[0].id).await.unwrap(), None, "it is not its own");
    assert_eq!(stores.executions.get(&transform, &ExecutionId::random()).await.unwrap(), None);
}

async fn those_that_run_are_found(stores: &Stores) {
    let transforms: Vec<_> = (0..5).map(|_| TransformId::random()).collect();
    let mut made = Vec::new();
    for (n, transform) in (0..).zip(&transforms) {
        made.push(begin(stores, new_execution(transform, at(n / 2))).await);
    }
    // What other checks left runs too.
    let running = async |limit| {
        let found = walk(limit, async |page| stores.executions.running(page).await.unwrap()).await;
        let mut found: Vec<_> =
            found.into_iter().filter(|found| transforms.contains(&found.transform_id)).collect();
        found.sort_by_key(|found| transforms.iter().position(|transform| *transform == found.transform_id));
        found
    };
    for limit in [1, 2, 100] {
        assert_eq!(running(limit).await, made, "all of it, each once, in pages of {limit}");
    }
    made[1].revision = stores.executions.put(made[1].clone()).await.unwrap();
    for ended in [4, 2] {
        end(stores, &made.remove(ended)).await;
    }
    begin(stores, failed(&new_execution(&transforms[4], at(9)))).await;
    assert_eq!(running(2).await, made);
}

async fn the_last_due_time(stores: &Stores) {
    let transform = TransformId::random();
    let last = async || stores.executions.last_due(&transform).await.unwrap();
    assert_eq!(last().await, None);
    let by_hand = begin(stores, new_execution(&transform, at(500))).await;
    end(stores, &by_hand).await;
    assert_eq!(last().await, None);
    let first = begin(stores, due(&transform, at(501), at(100), Reason::Due)).await;
    assert_eq!(last().await, Some(at(100)), "it need not have ended");
    end(stores, &first).await;
    for (n, time, reason, expected) in [
        (502, 300, Reason::Backfill, 100),
        (503, 200, Reason::Due, 200),
        // Made up for, after a later one.
        (504, 150, Reason::Due, 200),
        (505, 400, Reason::InputChanged, 200),
    ] {
        let record = begin(stores, due(&transform, at(n), at(time), reason)).await;
        end(stores, &record).await;
        assert_eq!(last().await, Some(at(expected)), "after {time} of {reason:?}");
    }
    assert_eq!(stores.executions.last_due(&TransformId::random()).await.unwrap(), None);
}

async fn trims(stores: &Stores) {
    let executions = &stores.executions;
    let transform = TransformId::random();
    let ended = async |record| end(stores, &begin(stores, record).await).await;
    let due_old = ended(due(&transform, at(0), at(100), Reason::Due)).await;
    let due_last = ended(due(&transform, at(1), at(200), Reason::Due)).await;
    let due_missed = ended(due(&transform, at(2), at(150), Reason::Due)).await;
    let backfill = ended(due(&transform, at(3), at(300), Reason::Backfill)).await;
    let by_hand = ended(new_execution(&transform, at(4))).await;
    let newest = ended(new_execution(&transform, at(5))).await;
    let running = begin(stores, new_execution(&transform, at(6))).await;
    let other = ended(new_execution(&TransformId::random(), at(0))).await;
    let check = async |expected: &[&ExecutionRecord]| {
        let expected: Vec<_> = expected.iter().map(|record| (*record).clone()).collect();
        assert_eq!(list(stores, &transform).await, expected);
        let (_, total) = executions.list(&transform, PageRequest::first(1)).await.unwrap();
        assert_eq!(total, expected.len() as u64);
    };

    assert_eq!(executions.trim(&transform, 6, at(1_000)).await.unwrap(), 0, "one that runs does not count");
    assert_eq!(executions.trim(&transform, 5, at(1_000)).await.unwrap(), 1);
    check(&[&running, &newest, &by_hand, &backfill, &due_missed, &due_last]).await;
    assert_eq!(get(stores, &due_old).await, None);
    assert_eq!(executions.trim(&transform, 1, at(149)).await.unwrap(), 1);
    check(&[&running, &newest, &backfill, &due_missed, &due_last]).await;
    assert_eq!(executions.trim(&transform, 0, at(150)).await.unwrap(), 2, "the time itself is not after it");
    check(&[&running, &backfill, &due_last]).await;
    assert_eq!(executions.trim(&transform, 0, at(1_000)).await.unwrap(), 1);
    check(&[&running, &due_last]).await;
    assert_eq!(executions.last_due(&transform).await.unwrap(), Some(at(200)));
    assert_eq!(executions.trim(&transform, 0, at(1_000)).await.unwrap(), 0);

    // What is forgotten leaves its due time, its id and its start to others.
    end(stores, &running).await;
    ended(ExecutionRecord { id: due_old.id.clone(), ..due(&transform, at(0), at(100), Reason::Due) }).await;
    ended(due(&transform, at(2), at(150), Reason::Due)).await;
    assert_eq!(get(stores, &other).await, Some(other.clone()), "of another transform nothing goes");

    // Many at once.
    for n in 0..120 {
        begin(stores, failed(&new_execution(&transform, at(1_000 + n)))).await;
    }
    assert_eq!(executions.trim(&transform, 2, at(1_000)).await.unwrap(), 121);
    let starts: Vec<_> = list(stores, &transform).await.iter().map(|found| found.started_at).collect();
    assert_eq!(starts, [at(1_119), at(1_118), at(1)]);
}

async fn executions_outlive_their_transform(stores: &Stores) {
    let transform = transforms::create(stores, new_transform(&UserId::random(), "gone", at(0))).await;
    let execution = begin(stores, new_execution(&transform.id, at(0))).await;
    stores.transforms.remove(&transform.id, 1).await.unwrap();
    let ended = end(stores, &execution).await;
    assert_eq!(list(stores, &transform.id).await, [ended]);
}

/// Begins all of them at the same time, and says how each came out.
async fn race(stores: &Stores, records: Vec<ExecutionRecord>) -> Vec<(ExecutionRecord, Begun)> {
    let tasks: Vec<_> = records
        .into_iter()
        .map(|record| {
            let executions = std::sync::Arc::clone(&stores.executions);
            tasks::spawn(async move { (record.clone(), executions.begin(record).await.unwrap()) })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

fn winner(outcomes: &[(ExecutionRecord, Begun)]) -> ExecutionRecord {
    let winners: Vec<_> = outcomes.iter().filter(|(_, begun)| *begun == Begun::Yes).collect();
    assert_eq!(winners.len(), 1, "exactly one wins: {outcomes:?}");
    ExecutionRecord { revision: 1, ..winners[0].0.clone() }
}

async fn racing_to_begin(stores: &Stores) {
    let transform = TransformId::random();
    let starts = (0..).take(N_TASKS).map(at);
    let outcomes = race(stores, starts.map(|start| new_execution(&transform, start)).collect()).await;
    let winner = winner(&outcomes);
    for (_, begun) in outcomes.into_iter().filter(|(record, _)| record.id != winner.id) {
        assert_eq!(begun, Begun::AlreadyRunning(Box::new(winner.clone())));
    }
    assert_eq!(list(stores, &transform).await, [winner]);
}

async fn racing_for_a_due_time(stores: &Stores) {
    let transform = TransformId::random();
    let starts = (0..).take(N_TASKS).map(at);
    let outcomes =
        race(stores, starts.map(|start| due(&transform, start, at(100), Reason::Due)).collect()).await;
    let winner = winner(&outcomes);
    assert_eq!(outcomes.iter().filter(|(_, begun)| *begun == Begun::AlreadyDone).count(), N_TASKS - 1);
    assert_eq!(list(stores, &transform).await, [winner]);
}
