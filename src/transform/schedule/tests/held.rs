//! Holding an execution: renewals, answers that do not come, and losing it.

use std::time::Duration;

use super::faulty::Fate;
use super::{Scene, TIMING, on_one_thread, transform};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus, Lease, Reason};
use crate::clock::Clock as _;
use crate::error::Code;
use crate::transform::schedule::{Held, Started, new_execution};

const MINUTE: Duration = Duration::from_secs(60);

/// A scene in which the first process runs an execution that somebody asked for.
async fn scene() -> (Scene, Held, ExecutionRecord) {
    let scene = Scene::new(2, &[transform(0)]).await;
    let execution = begin(&scene).await;
    let held = scene.processes[0].leases.hold(execution.clone());
    (scene, held, execution)
}

async fn begin(scene: &Scene) -> ExecutionRecord {
    let process = &scene.processes[0];
    let new = new_execution(&transform(0), Reason::Request, None, process.local.now());
    match process.leases.begin(new).await.unwrap() {
        Started::Yes(execution) => *execution,
        other => panic!("{other:?}"),
    }
}

async fn stored(scene: &Scene, execution: &ExecutionRecord) -> ExecutionRecord {
    let found = scene.stores.executions.get(&execution.transform_id, &execution.id).await;
    found.unwrap().unwrap()
}

/// What another process does that has seen nothing of it for long.
async fn take_over(scene: &Scene, execution: &ExecutionRecord) {
    let now = stored(scene, execution).await;
    let lease = Some(Lease { holder: "other".to_owned(), until: now.started_at });
    scene.stores.executions.put(ExecutionRecord { attempt: 2, lease, ..now }).await.unwrap();
}

fn fail(record: &mut ExecutionRecord) {
    record.status = ExecutionStatus::Failed;
    record.finished_at = Some(record.started_at);
}

#[test]
fn a_lease_is_renewed_until_it_is_taken() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        let lease = execution.lease.clone().unwrap();
        assert_eq!(lease.until, execution.started_at.plus_seconds(60));
        scene.time.run_for(5 * MINUTE + Duration::from_secs(1)).await;
        let now = stored(&scene, &execution).await;
        let renewed = Lease { until: execution.started_at.plus_seconds(300 + 60), ..lease };
        assert_eq!((now.revision, now.lease.clone()), (16, Some(renewed)), "every twenty seconds");
        assert!(!held.lost().is_cancelled());

        let taken = held.take().await.unwrap();
        assert_eq!(taken, now);
        scene.time.run_for(5 * MINUTE).await;
        assert_eq!(stored(&scene, &execution).await, taken, "nothing moves its revision any more");
    });
}

#[test]
fn whoever_lost_it_is_told_and_changes_nothing() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        let lost = held.lost();
        take_over(&scene, &execution).await;
        let taken = stored(&scene, &execution).await;
        scene.time.run_for(TIMING.renewal).await;
        assert!(lost.is_cancelled());
        let error = held.update(|record| record.log = "mine".to_owned()).await.unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        assert_eq!(error.to_string(), "another process has taken the execution over");
        assert_eq!(held.take().await.unwrap_err().code(), Code::Conflict);
        assert_eq!(stored(&scene, &execution).await, taken);

        // Told by a change, before the next renewal.
        let scene = self::scene().await;
        take_over(&scene.0, &scene.2).await;
        scene.1.update(|_| {}).await.unwrap_err();
        assert!(scene.1.lost().is_cancelled());

        // And not told at all: what is taken in the moment before is refused by the store.
        let scene = self::scene().await;
        let record = scene.1.take().await.unwrap();
        take_over(&scene.0, &scene.2).await;
        scene.0.stores.executions.put(record).await.unwrap_err();
    });
}

#[test]
fn an_outage_is_survived_within_the_lease() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        scene.chaos.outage(TIMING.lease - Duration::from_secs(5));
        scene.time.run_for(2 * MINUTE).await;
        assert!(!held.lost().is_cancelled());
        assert!(stored(&scene, &execution).await.revision > 1);

        scene.chaos.outage(2 * MINUTE);
        let before = stored(&scene, &execution).await;
        let renewed = before.lease.unwrap().until.seconds() - before.started_at.seconds();
        let over = Duration::from_secs(u64::try_from(renewed).unwrap());
        scene.time.run_until(over - Duration::from_secs(5)).await;
        assert!(!held.lost().is_cancelled());
        scene.time.run_until(over + Duration::from_secs(5)).await;
        assert!(held.lost().is_cancelled(), "before anybody else may take it");
    });
}

#[test]
fn an_answer_that_is_lost_does_not_lose_the_execution() {
    on_one_thread(async {
        for fate in [Fate::NoAnswer, Fate::Lost, Fate::Late(Duration::from_secs(1))] {
            let (scene, held, execution) = scene().await;
            scene.chaos.next(&[fate; 3]);
            scene.time.run_for(2 * MINUTE).await;
            assert!(!held.lost().is_cancelled(), "{fate:?}");
            held.update(|record| record.log = "still here".to_owned()).await.unwrap();
            let taken = held.take().await.unwrap();
            assert_eq!(taken, stored(&scene, &execution).await, "{fate:?}");
        }
    });
}

#[test]
fn a_write_that_is_late_cannot_come_between() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        scene.chaos.next(&[Fate::Late(MINUTE)]);
        scene.time.run_for(TIMING.renewal).await;
        // The revision that is handed out is a new one, under which the late write is an old one.
        let taken = held.take().await.unwrap();
        assert_eq!(taken.revision, 2);
        scene.time.run_for(2 * MINUTE).await;
        assert_eq!(stored(&scene, &execution).await, taken);
        scene.stores.executions.put(taken).await.unwrap();
    });
}

#[test]
fn a_late_write_of_its_own_does_not_look_like_another_process() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        // The renewal after twenty seconds arrives five seconds later. The next try looks where things stand, and is
        // stopped before it writes until that has happened.
        scene.chaos.next(&[Fate::Late(Duration::from_secs(5))]);
        scene.time.run_for(TIMING.renewal + Duration::from_secs(1)).await;
        scene.chaos.stop_after_read(Duration::from_secs(3));
        scene.time.run_for(Duration::from_secs(15)).await;
        assert!(!held.lost().is_cancelled());
        assert_eq!(stored(&scene, &execution).await.revision, 3);
    });
}

#[test]
fn what_is_told_is_stored_once_the_store_answers() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        scene.chaos.next(&[Fate::Lost]);
        let error = held.update(|record| record.log.push_str("one ")).await.unwrap_err();
        assert_eq!(error.code(), Code::ServiceUnavailable);
        assert_eq!(stored(&scene, &execution).await.log, "");
        scene.time.run_for(TIMING.renewal).await;
        assert_eq!(stored(&scene, &execution).await.log, "one ");
        held.update(|record| record.log.push_str("two")).await.unwrap();
        assert_eq!(stored(&scene, &execution).await.log, "one two");
    });
}

#[test]
fn an_end_is_stored_once() {
    on_one_thread(async {
        for fate in [Fate::Fine, Fate::NoAnswer, Fate::Lost, Fate::Late(Duration::from_secs(2))] {
            let (scene, held, execution) = scene().await;
            scene.chaos.next(&[fate]);
            let end = crate::tasks::spawn(held.end(fail));
            scene.time.run_for(2 * MINUTE).await;
            let ended = end.await.unwrap().unwrap();
            let now = stored(&scene, &execution).await;
            assert_eq!((now.status, now.revision), (ExecutionStatus::Failed, 2), "{fate:?}");
            assert_eq!(ended.revision, 2, "{fate:?}");
        }
        // The store does not come back in time: whoever asked is told, and the sweep has it.
        let (scene, held, execution) = scene().await;
        scene.chaos.outage(5 * MINUTE);
        let end = crate::tasks::spawn(held.end(fail));
        scene.time.run_for(2 * MINUTE).await;
        assert_eq!(end.await.unwrap().unwrap_err().code(), Code::ServiceUnavailable);
        assert!(stored(&scene, &execution).await.is_running());
    });
}

#[test]
fn a_start_is_settled_when_its_answer_is_lost() {
    on_one_thread(async {
        let scene = Scene::new(1, &[transform(0)]).await;
        scene.chaos.next(&[Fate::NoAnswer]);
        let execution = begin(&scene).await;
        assert_eq!(stored(&scene, &execution).await, execution);
        scene.processes[0].leases.hold(execution).end(fail).await.unwrap();

        scene.chaos.next(&[Fate::Lost]);
        let leases = &scene.processes[0].leases;
        let new = new_execution(&transform(0), Reason::Request, None, scene.processes[0].local.now());
        leases.begin(new.clone()).await.unwrap_err();
        // In the same microsecond as the one before it.
        let Started::Yes(begun) = leases.begin(new.clone()).await.unwrap() else { panic!() };
        assert_eq!(begun.started_at.micros(), new.started_at.micros() + 1);
        let Started::AlreadyRunning(other) = leases.begin(new).await.unwrap() else { panic!() };
        assert_eq!(other, begun);
    });
}

#[test]
fn what_is_dropped_is_renewed_no_more() {
    on_one_thread(async {
        let (scene, held, execution) = scene().await;
        drop(held);
        scene.time.run_for(5 * MINUTE).await;
        assert_eq!(stored(&scene, &execution).await, execution);
    });
}
