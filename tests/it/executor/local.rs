//! Workers of this process.

use shirabe::error::Code;
use shirabe::executor::{Executor, ExecutorSettings, ExecutorState, PythonSettings};

use super::{ends, error_of, rows, settings, transform};

#[tokio::test(flavor = "multi_thread")]
async fn runs_in_this_process() {
    let executor = Executor::local(settings());
    assert_eq!(executor.health().await.state, ExecutorState::NotStarted);
    executor.warm();
    assert_eq!(executor.health().await.state, ExecutorState::Starting);
    // Those that come early wait for the test of the sandbox.
    rows::pass_through_exactly(&executor).await;
    let health = executor.health().await;
    assert_eq!((health.state, health.memory.as_str()), (ExecutorState::Ready, "rlimit"), "{health:?}");
    let (passed, all) = health.selftest.as_ref().unwrap().split_once('/').unwrap();
    assert!(passed == all && all.parse::<u32>().unwrap() >= 60, "{health:?}");
    assert!(matches!(health.tier, Some('A' | 'B' | 'C')), "{health:?}");

    rows::come_in_plain_and_in_any_frame(&executor).await;
    rows::that_no_dataset_can_hold_are_refused(&executor).await;
    rows::of_many_batches_pass(&executor).await;
    rows::that_do_not_fit_are_refused(&executor).await;
    rows::that_stay_the_same_are_read_once(&executor).await;
    ends::errors_of_python_keep_their_place(&executor).await;
    ends::lines_come_before_the_end(&executor).await;
    ends::lines_that_find_no_room_are_left_out(&executor).await;
    ends::limits_end_a_run(&executor).await;
    ends::a_violation_is_told(&executor).await;
    ends::a_card_is_a_page(&executor).await;
    ends::whoever_goes_away_ends_the_run(&executor).await;
    ends::a_failing_input_ends_the_run(&executor).await;
    ends::a_full_queue_says_so(&executor).await;

    let health = executor.health().await;
    assert_eq!((health.running_count, health.waiting_count, health.memory_reserved_bytes), (0, 0, 0));
}

#[tokio::test]
async fn without_a_worker_nothing_runs() {
    let python = settings().python;
    let no_program = PythonSettings { program: Some("/nowhere/shirabe-worker".into()), ..python.clone() };
    check(no_program, "`EXECUTOR_WORKER`").await;
    check(PythonSettings { home: "/nowhere/python".into(), ..python.clone() }, "`EXECUTOR_PYTHON_HOME`")
        .await;
    // No worker, and none that could tell why it is not one.
    check(PythonSettings { program: Some("/bin/true".into()), ..python }, "cannot be started").await;

    async fn check(python: PythonSettings, expected: &str) {
        let executor = Executor::local(ExecutorSettings { python, ..settings() });
        for _ in 0..2 {
            let error = error_of(executor.run(transform("")).await);
            assert_eq!(error.code(), Code::SandboxUnavailable, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        let health = executor.health().await;
        assert_eq!((health.state, health.running_count), (ExecutorState::Unavailable, 0));
        assert!(health.reason.unwrap().contains(expected));
    }
}
