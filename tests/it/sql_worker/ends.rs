//! How a query ends that has to: it is told to stop, made to stop, or takes its worker with it, and the next one
//! works.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rustix::process::{Pid, Signal};
use shirabe::error::{Code, Error};

use super::{Ground, has_ended};
use crate::crash::server::until;

/// Rows without end, each of which gives way.
const LONG: &str =
    "select count(*) from numbers a, numbers b, numbers c, numbers d where a.n + b.n + c.n + d.n < 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nobody_reads_ends_and_its_worker_stays() {
    let ground = Ground::new().await;
    let process = ground.workers.idle_processes();
    let mut rows =
        ground.isolated.run(ground.spec("select a.n from numbers a, numbers b").await).await.unwrap();
    rows.next().await.unwrap().unwrap();
    assert_eq!(ground.workers.report().busy, 1);
    drop(rows);
    ground.quiet().await;
    assert!(ground.ask("select 1").await.unwrap().contains("1 rows"));
    ground.quiet().await;
    assert_eq!(ground.workers.idle_processes(), process, "the worker is the same");
    assert_eq!(ground.workers.report().lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_query_and_its_worker_is_free() {
    let ground = Ground::new().await;
    let mut spec = ground.spec(LONG).await;
    spec.limits.deadline_ms = 300;
    let error = match ground.isolated.run(spec).await {
        Ok(mut rows) => rows.next().await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.code(), Code::QueryTimeout, "{error}");
    ground.quiet().await;
    assert!(ground.ask("select 1").await.is_ok());
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_never_gives_way_is_killed() {
    let ground = Ground::new().await;
    let process = ground.workers.idle_processes();
    let mut spec = ground.spec("-- hostile: spin\nselect 1").await;
    spec.limits.deadline_ms = 200;
    let began = Instant::now();
    let error = ground.isolated.run(spec).await.expect_err("it spins");
    assert_eq!(error.code(), Code::QueryTimeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "whoever asked does not wait for the process");
    until(|| ground.workers.report().lost == 1).await;
    ground.quiet().await;
    assert!(ground.ask("select 1").await.is_ok());
    assert_ne!(ground.workers.idle_processes(), process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_is_one_query_s_error() {
    let ground = Ground::new().await;
    let [process] = ground.workers.idle_processes()[..] else { panic!("there is one worker") };
    let mut rows =
        ground.isolated.run(ground.spec("select a.n from numbers a, numbers b").await).await.unwrap();
    rows.next().await.unwrap().unwrap();
    kill(process);
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("a result that was cut off must not look complete"),
        }
    };
    assert_eq!(error.code(), Code::ServiceUnavailable, "{error}");
    assert!(error.to_string().contains("ended from outside"), "{error}");
    assert!(ground.ask("select 1").await.is_ok(), "the next one works");
    assert_eq!(ground.workers.report().lost, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ended_while_it_waited_is_nobody_s_error() {
    let ground = Ground::new().await;
    let [process] = ground.workers.idle_processes()[..] else { panic!("there is one worker") };
    kill(process);
    until(|| has_ended(process)).await;
    assert!(ground.ask("select count(*) from numbers").await.is_ok());
    assert_eq!(ground.workers.report().lost, 1);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_nobody_counts_is_one_query_s_error() {
    let ground = Ground::new().await;
    let error = ground.fail("-- hostile: memory\nselect 1").await;
    assert_eq!(error.code(), Code::OverLimit, "{error}");
    assert!(error.to_string().contains("more memory"), "{error}");
    assert!(ground.ask("select 1").await.is_ok(), "the next one works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_is_named() {
    let ground = Ground::new().await;
    let spec = ground.spec("select sum(people) from cities").await;
    let key = &Ground::first_file(&spec);
    std::fs::remove_file(ground.app.path().join("objects").join(key)).unwrap();
    let error = match ground.isolated.run(spec.clone()).await {
        Ok(mut rows) => rows.next().await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    let Error::Damaged { object, reason } = &error else { panic!("{error}") };
    assert_eq!((object, reason.as_str()), (key, "it is missing"));
}

fn kill(process: u32) {
    let process = Pid::from_raw(process.cast_signed()).unwrap();
    rustix::process::kill_process(process, Signal::KILL).unwrap();
}
