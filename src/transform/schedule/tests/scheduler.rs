//! What is begun, and what is not.

use std::time::Duration;

use super::runner::{Course, End};
use super::{START, Scene, TIMING, dataset_id, following, import, on_one_thread, scheduled, transform};
use crate::catalog::store::PageRequest;
use crate::catalog::transform::{
    ExecutionRecord, ExecutionStatus, Missed, ReadVersion, Reason, Schedule, TransformRecord, Trigger,
};
use crate::clock::{Clock as _, Timestamp};
use crate::error::Code;
use crate::limits::{BACKFILL_DUE_TIMES_MAX, SCHEDULED_RUNS_MAX};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Minutes after the start.
fn minute(minutes: i64) -> Timestamp {
    START.plus_seconds(60 * minutes)
}

/// Executions of a transform, the oldest first.
async fn executions(scene: &Scene, transform: &TransformRecord) -> Vec<ExecutionRecord> {
    let (page, _) = scene.stores.executions.list(&transform.id, PageRequest::first(1_000)).await.unwrap();
    page.items.into_iter().rev().collect()
}

async fn due_times(scene: &Scene, transform: &TransformRecord) -> Vec<Timestamp> {
    executions(scene, transform).await.iter().filter_map(|execution| execution.scheduled_at).collect()
}

#[test]
fn of_several_processes_one_begins() {
    on_one_thread(async {
        let transform = scheduled(0, "*/10 * * * *", Missed::Skip);
        let mut scene = Scene::new(3, std::slice::from_ref(&transform)).await;
        for process in &mut scene.processes {
            process.runner().set(Course::takes(MINUTE));
            process.start();
        }
        scene.time.run_for(HOUR).await;
        let found = executions(&scene, &transform).await;
        assert_eq!(due_times(&scene, &transform).await, (0..=6).map(|n| minute(10 * n)).collect::<Vec<_>>());
        for execution in &found[..6] {
            assert_eq!(execution.status, ExecutionStatus::Success);
            assert_eq!((execution.reason, execution.triggered_by), (Reason::Due, Trigger::Schedule));
            assert_eq!(execution.user_id, transform.owner_id);
            let late = execution.started_at.seconds() - execution.scheduled_at.unwrap().seconds();
            assert!((0..=20).contains(&late), "{late} s");
        }
        let runs: usize = scene.processes.iter().map(|process| process.runner().runs().len()).sum();
        assert_eq!(runs, 7);
    });
}

#[test]
fn what_was_missed_while_nobody_looked_goes_by_the_policy() {
    on_one_thread(async {
        let mut transforms =
            [Missed::Skip, Missed::One, Missed::All].map(|missed| scheduled(0, "0 * * * *", missed));
        for (number, transform) in (0..).zip(&mut transforms) {
            transform.id = super::transform(number).id;
            transform.output_dataset_id = super::transform(number).output_dataset_id;
        }
        let mut scene = Scene::new(1, &transforms).await;
        scene.runner(0).set(Course::takes(Duration::from_secs(5)));
        scene.time.run_for(3 * HOUR + 30 * MINUTE).await;
        scene.processes[0].start();
        scene.time.run_for(3 * TIMING.interval - Duration::from_secs(5)).await;
        assert_eq!(due_times(&scene, &transforms[0]).await, []);
        assert_eq!(due_times(&scene, &transforms[1]).await, [minute(180)]);
        // One after the other, and without waiting for the next tick.
        let all = [minute(0), minute(60), minute(120), minute(180)];
        assert_eq!(due_times(&scene, &transforms[2]).await, all);
        scene.time.run_for(HOUR).await;
        assert_eq!(due_times(&scene, &transforms[0]).await, [minute(240)]);
        assert_eq!(due_times(&scene, &transforms[1]).await, [minute(180), minute(240)]);
        assert_eq!(due_times(&scene, &transforms[2]).await.len(), 5);
    });
}

#[test]
fn what_a_clock_that_was_ahead_passed_over_is_still_on_time() {
    on_one_thread(async {
        let transform = scheduled(0, "*/30 * * * *", Missed::Skip);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(Duration::ZERO));
        scene.processes[0].local.set_clock_ahead(85 * 60);
        scene.processes[0].start();
        scene.time.run_for(MINUTE).await;
        assert_eq!(due_times(&scene, &transform).await, [], "all that had passed was too late");
        scene.processes[0].local.set_clock_ahead(0);
        scene.time.run_for(HOUR).await;
        assert_eq!(due_times(&scene, &transform).await, [0, 30, 60].map(minute));
    });
}

#[test]
fn one_that_still_runs_is_waited_for() {
    on_one_thread(async {
        let transform = scheduled(0, "*/5 * * * *", Missed::All);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        for process in &mut scene.processes {
            process.runner().set(Course::takes(7 * MINUTE));
            process.start();
        }
        scene.time.run_for(30 * MINUTE).await;
        let found = executions(&scene, &transform).await;
        for pair in found.windows(2) {
            assert!(pair[0].finished_at.unwrap() <= pair[1].started_at, "one at a time");
        }
        assert_eq!(due_times(&scene, &transform).await, [0, 5, 10, 15, 20].map(minute));
    });
}

#[test]
fn a_schedule_that_is_changed_is_followed_from_then_on() {
    on_one_thread(async {
        let mut transform = scheduled(0, "*/10 * * * *", Missed::All);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(Duration::ZERO));
        scene.processes[0].start();
        scene.time.run_for(15 * MINUTE).await;
        transform.schedule.enabled = false;
        transform.revision = 1;
        scene.stores.transforms.put(transform.clone()).await.unwrap();
        scene.time.run_for(HOUR).await;
        assert_eq!(due_times(&scene, &transform).await, [0, 10].map(minute), "paused");
        let now = scene.processes[0].local.now();
        transform.schedule =
            Schedule { enabled: true, cron: Some("5 * * * *".to_owned()), since: now, ..transform.schedule };
        transform.revision = 2;
        scene.stores.transforms.put(transform.clone()).await.unwrap();
        scene.time.run_for(2 * HOUR).await;
        assert_eq!(due_times(&scene, &transform).await, [0, 10, 125, 185].map(minute));
    });
}

#[test]
fn one_that_cannot_be_read_keeps_no_other_from_running() {
    on_one_thread(async {
        let bad = scheduled(0, "61 * * * *", Missed::All);
        let good = scheduled(1, "* * * * *", Missed::All);
        let mut scene = Scene::new(1, &[bad, good.clone()]).await;
        scene.runner(0).set(Course::takes(Duration::ZERO));
        scene.processes[0].start();
        scene.time.run_for(Duration::from_secs(90)).await;
        assert_eq!(due_times(&scene, &good).await, [0, 1].map(minute));
    });
}

#[test]
fn a_tick_without_an_answer_is_made_up_for() {
    on_one_thread(async {
        let transform = scheduled(0, "* * * * *", Missed::All);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(Duration::ZERO));
        scene.chaos.outage(5 * MINUTE);
        let error = scene.processes[0].scheduler.tick(START).await.unwrap_err();
        assert_eq!(error.code(), Code::ServiceUnavailable);
        scene.processes[0].start();
        scene.time.run_for(7 * MINUTE + MINUTE / 2).await;
        assert_eq!(due_times(&scene, &transform).await, (0..=7).map(minute).collect::<Vec<_>>());
    });
}

#[test]
fn each_has_its_turn_when_there_are_more_than_slots() {
    on_one_thread(async {
        // All have more to do than there is time for.
        let transforms: Vec<_> =
            (0..2 * SCHEDULED_RUNS_MAX as u64).map(|n| scheduled(n, "* * * * *", Missed::All)).collect();
        let mut scene = Scene::new(1, &transforms).await;
        scene.runner(0).set(Course::takes(2 * MINUTE));
        scene.processes[0].start();
        scene.time.run_for(HOUR).await;
        for transform in &transforms {
            let ran = due_times(&scene, transform).await.len();
            assert!((12..=16).contains(&ran), "{ran} of {}", transform.id);
        }
    });
}

#[test]
fn a_change_of_an_input_is_followed_once() {
    on_one_thread(async {
        let (a, b) = (dataset_id(1), dataset_id(2));
        let transform = following(0, &[a.clone(), b.clone()]);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        import(&scene.stores, &a, START).await;
        for process in &mut scene.processes {
            process.runner().set(Course::takes(MINUTE));
            process.start();
        }
        scene.time.run_for(5 * MINUTE).await;
        assert_eq!(executions(&scene, &transform).await, [], "one input is not there");
        import(&scene.stores, &b, START).await;
        scene.time.run_for(5 * MINUTE).await;
        assert_eq!(
            executions(&scene, &transform).await,
            [],
            "nothing has changed since the schedule was made"
        );

        import(&scene.stores, &a, minute(10)).await;
        scene.time.run_for(MINUTE / 2).await;
        // While it runs, two more.
        import(&scene.stores, &a, minute(10)).await;
        import(&scene.stores, &b, minute(10)).await;
        scene.time.run_for(10 * MINUTE).await;
        let found = executions(&scene, &transform).await;
        let read = |execution: &ExecutionRecord| {
            execution.inputs.iter().map(|input: &ReadVersion| input.version).collect::<Vec<_>>()
        };
        assert_eq!(found.iter().map(read).collect::<Vec<_>>(), [[2, 1], [3, 2]]);
        for execution in &found {
            assert_eq!((execution.reason, execution.triggered_by), (Reason::InputChanged, Trigger::Schedule));
            assert_eq!(execution.scheduled_at, None);
        }
        scene.time.run_for(HOUR).await;
        assert_eq!(executions(&scene, &transform).await.len(), 2, "and no more");
    });
}

#[test]
fn a_change_is_not_followed_again_because_that_failed() {
    on_one_thread(async {
        let transform = following(0, &[dataset_id(1)]);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        import(&scene.stores, &dataset_id(1), minute(1)).await;
        scene.runner(0).set(Course { end: End::Fails, ..Course::takes(Duration::ZERO) });
        scene.processes[0].start();
        scene.time.run_for(HOUR).await;
        assert_eq!(executions(&scene, &transform).await.len(), 1);

        // Nor because the clock of the process that followed it was an hour ahead.
        scene.processes[0].local.set_clock_ahead(3_600);
        import(&scene.stores, &dataset_id(1), minute(60)).await;
        scene.time.run_for(5 * MINUTE).await;
        scene.processes[0].local.set_clock_ahead(0);
        import(&scene.stores, &dataset_id(1), minute(65)).await;
        scene.time.run_for(2 * HOUR).await;
        assert_eq!(executions(&scene, &transform).await.len(), 3);
    });
}

#[test]
fn a_backfill_runs_what_has_no_execution_one_after_the_other() {
    on_one_thread(async {
        let transform = scheduled(0, "0 * * * *", Missed::Skip);
        let mut scene = Scene::new(2, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(10 * MINUTE));
        scene.processes[0].start();
        scene.time.run_for(3 * HOUR + MINUTE).await;
        assert_eq!(due_times(&scene, &transform).await.len(), 4);
        // The past, what was run already, and what is to come.
        let (from, to, now) = (minute(-180), minute(600), minute(181));
        let times = scene.processes[0].scheduler.backfill(&transform, from, to, now).await.unwrap();
        assert_eq!(times, [-180, -120, -60].map(minute));
        scene.time.run_for(HOUR).await;
        let found = executions(&scene, &transform).await;
        let backfilled: Vec<_> = found.iter().filter(|found| found.reason == Reason::Backfill).collect();
        assert_eq!(backfilled.iter().map(|found| found.scheduled_at.unwrap()).collect::<Vec<_>>(), times);
        for pair in found.windows(2) {
            assert!(pair[0].finished_at.unwrap() <= pair[1].started_at, "one at a time");
        }
        assert!(backfilled.iter().all(|found| found.triggered_by == Trigger::Manual));
        let again = scene.processes[0].scheduler.backfill(&transform, from, to, minute(241)).await.unwrap();
        assert_eq!(again, []);
    });
}

#[test]
fn what_is_due_meanwhile_goes_before_the_rest_of_a_backfill() {
    on_one_thread(async {
        let transform = scheduled(0, "*/10 * * * *", Missed::Skip);
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(MINUTE));
        scene.processes[0].start();
        let from = minute(-10 * 60);
        let times = scene.processes[0].scheduler.backfill(&transform, from, START, START).await.unwrap();
        assert_eq!(times.len(), 61);
        scene.time.run_for(HOUR + 5 * MINUTE).await;
        let found = executions(&scene, &transform).await;
        let due: Vec<_> = found.iter().filter(|found| found.reason == Reason::Due).collect();
        let due: Vec<_> = due.iter().filter_map(|found| found.scheduled_at).collect();
        assert_eq!(due, [0, 10, 20, 30, 40, 50, 60].map(minute), "none came too late");
        assert!(found.len() > 50, "{}", found.len());
    });
}

#[test]
fn a_backfill_that_a_crash_ended_goes_on_when_it_is_asked_for_again() {
    on_one_thread(async {
        let transform = TransformRecord {
            schedule: Schedule { cron: Some("0 * * * *".to_owned()), ..Schedule::none(START) },
            ..transform(0)
        };
        let mut scene = Scene::new(1, std::slice::from_ref(&transform)).await;
        scene.runner(0).set(Course::takes(10 * MINUTE));
        let range = (minute(-600), minute(-60));
        let scheduler = &scene.processes[0].scheduler;
        assert_eq!(scheduler.backfill(&transform, range.0, range.1, START).await.unwrap().len(), 10);
        scene.time.run_for(35 * MINUTE).await;
        scene.processes[0].kill(true);
        scene.runner(0).set(Course::takes(10 * MINUTE));
        scene.processes[0].start();
        let scheduler = &scene.processes[0].scheduler;
        let rest = scheduler.backfill(&transform, range.0, range.1, minute(35)).await.unwrap();
        assert_eq!(rest.len(), 6, "three have ended, and one was interrupted");
        scene.time.run_for(2 * HOUR).await;
        let found = executions(&scene, &transform).await;
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|found| found.status == ExecutionStatus::Success));
        assert_eq!(found.iter().map(|found| found.attempt).sum::<u32>(), 11);
    });
}

#[test]
fn a_backfill_of_nothing_or_too_much_is_refused() {
    on_one_thread(async {
        let minutes = scheduled(0, "* * * * *", Missed::Skip);
        let scene = Scene::new(1, std::slice::from_ref(&minutes)).await;
        let scheduler = &scene.processes[0].scheduler;
        let most = i64::try_from(BACKFILL_DUE_TIMES_MAX).unwrap();
        let error = scheduler.backfill(&minutes, minute(-most), START, START).await.unwrap_err();
        assert!(error.to_string().contains("more than 1000 times are due in the range"), "{error}");
        let times = scheduler.backfill(&minutes, minute(1 - most), START, START).await.unwrap();
        assert_eq!(times.len(), BACKFILL_DUE_TIMES_MAX);
        let never = following(1, &[]);
        let error = scheduler.backfill(&never, minute(-10), START, START).await.unwrap_err();
        assert_eq!(error.details()["field"], "schedule_cron");
        assert_eq!(scheduler.backfill(&minutes, minute(5), minute(9), START).await.unwrap(), []);
    });
}
