//! Executions whose process has ended, was stopped, or only looks as if it had.

use std::time::Duration;

use super::faulty::Fate;
use super::runner::{Course, End};
use super::{Scene, TIMING, on_one_thread, scheduled, transform};
use crate::catalog::transform::{ExecutionRecord, ExecutionStatus, Missed, Reason, TransformRecord};
use crate::clock::Clock as _;
use crate::error::Code;
use crate::limits::SCHEDULED_RUNS_MAX;
use crate::transform::schedule::{Started, Timing, new_execution};

const MINUTE: Duration = Duration::from_secs(60);

/// How long a crash may go unnoticed.
fn noticed() -> Duration {
    TIMING.patience() + 2 * TIMING.sweep
}

/// Begins an execution in the first process and lets that end.
async fn crash(scene: &mut Scene, transform: &TransformRecord, reason: Reason) -> ExecutionRecord {
    let process = &mut scene.processes[0];
    let now = process.local.now();
    let due = matches!(reason, Reason::Due | Reason::Backfill).then_some(now);
    let Started::Yes(execution) =
        process.leases.begin(new_execution(transform, reason, due, now)).await.unwrap()
    else {
        panic!()
    };
    process.kill(true);
    *execution
}

async fn stored(scene: &Scene, execution: &ExecutionRecord) -> ExecutionRecord {
    let found = scene.stores.executions.get(&execution.transform_id, &execution.id).await;
    found.unwrap().unwrap()
}

#[test]
fn a_crash_is_noticed_within_the_lease_and_five_seconds() {
    let timing = Timing::every(MINUTE);
    // It is first seen at the next look, and last when patience ends between two of them.
    assert!(timing.patience() + 2 * timing.sweep <= timing.lease + Duration::from_secs(5));
    assert!(timing.patience() > timing.lease && timing.renewal * 3 <= timing.lease);
}

#[test]
fn what_nobody_waits_for_is_run_again() {
    on_one_thread(async {
        for reason in [Reason::Due, Reason::Backfill, Reason::InputChanged] {
            let transform = scheduled(0, "0 0 1 1 *", Missed::All);
            let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
            let execution = crash(&mut scene, &transform, reason).await;
            scene.runner(1).set(Course::takes(MINUTE));
            scene.processes[1].start();
            scene.time.run_for(TIMING.patience()).await;
            assert_eq!(stored(&scene, &execution).await, execution, "{reason:?}");
            scene.time.run_for(noticed() - TIMING.patience()).await;
            let again = stored(&scene, &execution).await;
            assert_eq!((again.attempt, again.is_running()), (2, true), "{reason:?}");
            assert_ne!(again.lease.unwrap().holder, execution.lease.unwrap().holder);
            scene.time.run_for(2 * MINUTE).await;
            let runs = scene.runner(1).runs();
            let ended =
                scene.stores.executions.get(&runs[0].transform_id, &runs[0].id).await.unwrap().unwrap();
            assert_eq!(
                (ended.status, ended.attempt, runs.len()),
                (ExecutionStatus::Success, 2, 1),
                "{reason:?}"
            );
        }
    });
}

#[test]
fn what_somebody_waits_for_fails() {
    on_one_thread(async {
        let transform = transform(0);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        let execution = crash(&mut scene, &transform, Reason::Request).await;
        scene.processes[1].start();
        scene.time.run_for(noticed()).await;
        let ended = stored(&scene, &execution).await;
        check_interrupted(&ended, 1);
        assert_eq!(scene.runner(1).interrupted_runs(), [ended]);
        assert!(scene.runner(1).runs().is_empty());
    });
}

#[track_caller]
fn check_interrupted(ended: &ExecutionRecord, attempt: u32) {
    let failure = ended.failure.clone().unwrap();
    assert_eq!((ended.status, ended.attempt), (ExecutionStatus::Failed, attempt), "{ended:#?}");
    assert_eq!(failure.code, Code::ServiceUnavailable);
    assert!(
        failure.message.starts_with("interrupted: the process that ran it has ended"),
        "{}",
        failure.message
    );
    assert!(ended.finished_at.is_some_and(|end| end >= ended.started_at));
    assert_eq!(ended.lease, None);
}

#[test]
fn what_was_tried_often_enough_fails() {
    on_one_thread(async {
        let mut transform = scheduled(0, "0 0 1 1 *", Missed::All);
        transform.settings.retries.max = 2;
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        let execution = crash(&mut scene, &transform, Reason::Due).await;
        scene.runner(1).set(Course { end: End::Vanishes, ..Course::takes(Duration::ZERO) });
        scene.processes[1].start();
        scene.time.run_for(4 * noticed()).await;
        check_interrupted(&stored(&scene, &execution).await, 3);
        let attempts: Vec<_> = scene.runner(1).runs().iter().map(|run| run.attempt).collect();
        assert_eq!(attempts, [2, 3]);
    });
}

#[test]
fn what_has_no_transform_any_more_fails() {
    on_one_thread(async {
        let transform = scheduled(0, "0 0 1 1 *", Missed::All);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        let execution = crash(&mut scene, &transform, Reason::Due).await;
        scene.stores.transforms.remove(&transform.id, 1).await.unwrap();
        scene.processes[1].start();
        scene.time.run_for(noticed()).await;
        check_interrupted(&stored(&scene, &execution).await, 1);
    });
}

#[test]
fn a_clock_that_jumps_ends_nothing_and_keeps_nothing_alive() {
    on_one_thread(async {
        for jump in [-3_600, 3_600] {
            let transform = scheduled(0, "0 0 1 1 *", Missed::All);
            let mut scene = Scene::new(3, std::slice::from_ref(&transform)).await;
            let process = &scene.processes[2];
            let now = process.local.now();
            let new = new_execution(&transform, Reason::Due, Some(now), now);
            let Started::Yes(alive) = process.leases.begin(new).await.unwrap() else { panic!() };
            let held = process.leases.hold(*alive.clone());
            scene.processes[1].start();
            scene.time.run_for(MINUTE).await;
            scene.processes[1].local.set_clock_ahead(jump);
            scene.time.run_for(10 * MINUTE).await;
            assert_eq!(stored(&scene, &alive).await.attempt, 1, "{jump}");
            held.release().await.unwrap();
            scene.time.run_for(10 * MINUTE).await;

            let execution = crash(&mut scene, &transform, Reason::Request).await;
            scene.processes[1].local.set_clock_ahead(-jump);
            scene.time.run_for(noticed()).await;
            check_interrupted(&stored(&scene, &execution).await, 1);
        }
    });
}

#[test]
fn what_was_let_go_is_run_again_at_once() {
    on_one_thread(async {
        let transform = scheduled(0, "0 0 1 1 *", Missed::All);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        let process = &scene.processes[0];
        let now = process.local.now();
        let Started::Yes(execution) =
            process.leases.begin(new_execution(&transform, Reason::Due, Some(now), now)).await.unwrap()
        else {
            panic!()
        };
        process.leases.hold(*execution.clone()).release().await.unwrap();
        scene.runner(1).set(Course::takes(Duration::ZERO));
        scene.processes[1].start();
        scene.time.run_for(TIMING.sweep).await;
        let ended = stored(&scene, &execution).await;
        assert_eq!((ended.status, ended.attempt), (ExecutionStatus::Success, 2));
    });
}

#[test]
fn a_process_that_was_stopped_commits_nothing() {
    on_one_thread(async {
        let transform = scheduled(0, "0 * * * *", Missed::One);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        // It works for ten seconds, heeds nothing, and is stopped for two leases before it commits.
        let stopped =
            Course { heeds: false, stopped: 2 * TIMING.lease, ..Course::takes(Duration::from_secs(10)) };
        scene.runner(0).set(stopped);
        scene.runner(1).set(Course::takes(Duration::from_secs(5)));
        scene.processes[0].start();
        scene.time.run_for(Duration::from_secs(11)).await;
        scene.processes[1].start();
        scene.time.run_for(2 * MINUTE).await;
        assert_eq!(scene.runner(0).runs().len(), 1);
        let first = stored(&scene, &scene.runner(0).runs()[0]).await;
        assert_eq!((first.status, first.attempt), (ExecutionStatus::Success, 2), "by the other process");
        assert_eq!(scene.chaos.refused(), 1, "the one that was stopped has tried");
        assert_eq!(scene.chaos.commits()[&first.id], 1);
        assert!(scene.chaos.violations().is_empty());
    });
}

#[test]
fn a_process_that_starts_nothing_ends_what_nobody_runs() {
    on_one_thread(async {
        let transform = scheduled(0, "* * * * *", Missed::All);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        let by_clock = crash(&mut scene, &transform, Reason::Due).await;
        scene.processes[0].kill(false);
        scene.processes[0].start();
        // Others would try it again, so they have some time for that.
        scene.time.run_for(noticed()).await;
        assert!(stored(&scene, &by_clock).await.is_running());
        scene.time.run_for(4 * noticed()).await;
        check_interrupted(&stored(&scene, &by_clock).await, 1);
        let by_hand = crash(&mut scene, &transform, Reason::Request).await;
        scene.processes[0].kill(false);
        scene.processes[0].start();
        scene.time.run_for(noticed()).await;
        check_interrupted(&stored(&scene, &by_hand).await, 1);
        assert!(scene.runner(0).runs().is_empty());
        assert_eq!(scene.chaos.ticks(), 0);
    });
}

#[test]
fn taking_over_is_settled_when_its_answer_is_lost() {
    on_one_thread(async {
        for (fate, attempts) in
            [(Fate::NoAnswer, 2), (Fate::Lost, 2), (Fate::Late(Duration::from_secs(5)), 3)]
        {
            let transform = scheduled(0, "0 0 1 1 *", Missed::All);
            let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
            let execution = crash(&mut scene, &transform, Reason::Due).await;
            scene.runner(1).set(Course::takes(Duration::ZERO));
            scene.processes[1].start();
            scene.chaos.next(&[fate]);
            scene.time.run_for(3 * noticed()).await;
            let ended = stored(&scene, &execution).await;
            assert_eq!((ended.status, ended.attempt), (ExecutionStatus::Success, attempts), "{fate:?}");
            assert_eq!(scene.runner(1).runs().len(), 1, "{fate:?}");
        }
    });
}

#[test]
fn an_end_is_told_also_when_its_answer_is_lost() {
    on_one_thread(async {
        for fate in [Fate::NoAnswer, Fate::Lost, Fate::Late(Duration::from_secs(40))] {
            let transform = transform(0);
            let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
            let execution = crash(&mut scene, &transform, Reason::Request).await;
            scene.processes[1].start();
            scene.chaos.next(&[fate]);
            scene.time.run_for(3 * noticed()).await;
            let ended = stored(&scene, &execution).await;
            check_interrupted(&ended, 1);
            assert_eq!(scene.runner(1).interrupted_runs(), [ended], "{fate:?}");
        }
    });
}

#[test]
fn it_waits_for_a_slot() {
    on_one_thread(async {
        let transforms: Vec<_> =
            (0..SCHEDULED_RUNS_MAX as u64 + 2).map(|n| scheduled(n, "0 0 1 1 *", Missed::All)).collect();
        let mut scene = Scene::new(2, &transforms).await;
        for transform in &transforms {
            crash(&mut scene, transform, Reason::Due).await;
        }
        scene.runner(1).set(Course::takes(5 * MINUTE));
        scene.processes[1].start();
        scene.time.run_for(noticed()).await;
        assert_eq!(scene.runner(1).runs().len(), SCHEDULED_RUNS_MAX);
        scene.time.run_for(6 * MINUTE).await;
        assert_eq!(scene.runner(1).runs().len(), SCHEDULED_RUNS_MAX + 2);
    });
}
