//! Python in an executor of its own: the program as people run it, and whoever asks it over HTTP.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use secrecy::SecretString;
use shirabe::error::{Code, Error};
use shirabe::executor::{
    Class, Executor, ExecutorState, InputName, InputRows, Output, PythonRun, RemoteSettings,
};
use tokio::sync::mpsc;

use super::{ends, error_of, nothing_runs, rows, settings, small, told, transform, transform_of, user};

const TOKEN: &str = "a-secret-that-both-sides-of-it-know";

/// `shirabe executor`, killed when dropped.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    #[expect(clippy::disallowed_methods, reason = "an executor is a process of its own")]
    fn start(settings: &[(&str, &str)]) -> Self {
        // A port that was free a moment ago: the system hands out others first.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shirabe"));
        command.arg("executor").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("EXECUTOR_PORT", port.to_string()).env("EXECUTOR_TOKEN", TOKEN).env("LOG_FORMAT", "json");
        command.env("EXECUTOR_WORKER", told("SHIRABE_WORKER"));
        command.env("EXECUTOR_PYTHON_HOME", told("SHIRABE_PYTHON_HOME"));
        let mut child = command.envs(settings.iter().copied()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut heard, mut line) = (String::new(), String::new());
        while !line.contains("\"serving\"") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it served: {heard}");
            heard.push_str(&line);
        }
        // Nobody reads on, and the service must not wait for somebody who does.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails when it was killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn executor(url: &str, token: &str) -> Executor {
    let timeouts = settings().timeouts;
    let (url, token) = (url.to_owned(), SecretString::from(token));
    Executor::remote(RemoteSettings { url, token, timeouts, wait_max: Duration::from_secs(60) }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_in_another_process() {
    let mut service = Service::start(&[
        ("EXECUTOR_MAX_CONCURRENT_TRANSFORMS", "2"),
        ("EXECUTOR_MAX_CONCURRENT_CARDS", "2"),
        ("EXECUTOR_WAITING_MAX", "4"),
        ("EXECUTOR_MEMORY_MB", "6144"),
    ]);
    let executor = executor(&service.url, TOKEN);
    rows::pass_through_exactly(&executor).await;
    let health = executor.health().await;
    assert_eq!((health.state, health.memory_bytes_max), (ExecutorState::Ready, 6144 << 20), "{health:?}");
    assert!(health.selftest.is_some_and(|score| score.contains('/')) && health.tier.is_some());

    rows::come_in_plain_and_in_any_frame(&executor).await;
    rows::that_no_dataset_can_hold_are_refused(&executor).await;
    rows::of_many_batches_pass(&executor).await;
    rows::that_do_not_fit_are_refused(&executor).await;
    ends::errors_of_python_keep_their_place(&executor).await;
    ends::lines_come_before_the_end(&executor).await;
    ends::limits_end_a_run(&executor).await;
    ends::a_violation_is_told(&executor).await;
    ends::a_card_is_a_page(&executor).await;
    ends::whoever_goes_away_ends_the_run(&executor).await;
    ends::a_failing_input_ends_the_run(&executor).await;
    a_full_queue_is_a_503(&executor).await;
    whoever_waits_and_goes_away_leaves_its_place(&executor).await;
    a_result_that_nobody_reads_is_let_go(&executor).await;
    others_are_not_let_in(&service).await;
    // Ends it.
    a_killed_executor_ends_its_runs(&mut service, &executor).await;
}

async fn until(executor: &Executor, counts: (u64, u64)) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let holds = async {
        loop {
            let health = executor.health().await;
            if (health.running_count, health.waiting_count) == counts {
                return;
            }
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), holds).await.expect("it never came to that");
}

/// Two run, and the rest waits for them.
async fn a_full_queue_is_a_503(executor: &Executor) {
    let mut running = Vec::new();
    for (at, letter) in ['a', 'a', 'a', 'a', 'b', 'b'].into_iter().enumerate() {
        let run = PythonRun { user_id: user(letter), ..transform(ends::ENDLESS) };
        let asked = executor.clone();
        running.push(shirabe::tasks::spawn(async move { asked.run(run).await }));
        let count = at as u64 + 1;
        until(executor, (count.min(2), count.saturating_sub(2))).await;
    }
    let error = error_of(executor.run(PythonRun { user_id: user('c'), ..transform(ends::ENDLESS) }).await);
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("`EXECUTOR_WAITING_MAX`"), "{error}");
    running.clear();
    nothing_runs(executor).await;
}

async fn whoever_waits_and_goes_away_leaves_its_place(executor: &Executor) {
    let start = |executor: &Executor| {
        let executor = executor.clone();
        shirabe::tasks::spawn(async move { executor.run(transform(ends::ENDLESS)).await })
    };
    let running = [start(executor), start(executor)];
    until(executor, (2, 0)).await;
    let waiting = start(executor);
    until(executor, (2, 1)).await;
    drop(waiting);
    until(executor, (2, 0)).await;
    drop(running);
    nothing_runs(executor).await;
}

/// What it left is kept for whoever reads it, and no longer.
async fn a_result_that_nobody_reads_is_let_go(executor: &Executor) {
    let code = "
import numpy as np
import pyarrow as pa
def transform(inputs, params):
    return pa.table({'n': np.arange(20_000_000)})
";
    let ran = executor.run(transform(code)).await;
    let Ok(Output::Rows { mut rows, .. }) = ran.result else { panic!("{:?}", ran.result) };
    assert!(rows.try_next().await.unwrap().is_some());
    let health = executor.health().await;
    assert!(health.running_count == 0 && health.memory_reserved_bytes > 160_000_000, "{health:?}");
    drop(rows);
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while executor.health().await.memory_reserved_bytes > 0 {
        ticks.tick().await;
    }
}

async fn others_are_not_let_in(service: &Service) {
    let stranger = executor(&service.url, "another-secret-of-thirty-two-characters");
    let error = error_of(stranger.run(transform_of(super::PASS, &[small()])).await);
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("does not know our `EXECUTOR_TOKEN`"), "{error}");
    assert!(stranger.health().await.reason.unwrap().contains("EXECUTOR_TOKEN"));
    let client = reqwest::Client::new();
    let get = async |path: &str| client.get(format!("{}{path}", service.url)).send().await.unwrap();
    let health = get("/health").await;
    assert_eq!(
        (health.status().as_u16(), health.text().await.unwrap().as_str()),
        (200, "{\"status\":\"ok\"}")
    );
    assert_eq!(get("/status").await.status(), 401);
    assert_eq!(get("/nowhere").await.status(), 404);
    assert!(get("/metrics").await.text().await.unwrap().contains("shirabe_sandbox_tier{tier="));
    let run = client.post(format!("{}/run", service.url));
    assert_eq!(run.try_clone().unwrap().body("x").send().await.unwrap().status(), 401);
    let wrong = run.try_clone().unwrap().bearer_auth(TOKEN).body("not frames at all").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().await.unwrap().contains("VALIDATION_ERROR"));
    // One that stops in the middle of what it says.
    let cut = run.bearer_auth(TOKEN).body(vec![1_u8, 100, 0, 0, 0, b'{']).send().await.unwrap();
    assert_eq!(cut.status(), 499);
}

async fn a_killed_executor_ends_its_runs(service: &mut Service, executor: &Executor) {
    // One that has handed over a part of its result: what came is no complete one.
    let code = "
import numpy as np
import pyarrow as pa
def transform(inputs, params):
    return pa.table({'n': np.arange(25_000_000)})
";
    let ran = executor.run(transform(code)).await;
    let Ok(Output::Rows { mut rows, .. }) = ran.result else { panic!("{:?}", ran.result) };
    assert!(rows.try_next().await.unwrap().is_some());

    let (send, mut lines) = mpsc::channel(16);
    let run = PythonRun { lines: Some(send), ..transform(ends::ENDLESS) };
    let mut running = Box::pin(executor.run(run));
    tokio::select! {
        line = lines.recv() => assert_eq!(line.as_deref(), Some("begun")),
        ran = &mut running => panic!("{ran:?}"),
    }
    service.kill();
    let ran = running.await;
    assert_eq!(ran.log, "begun\n");
    let error = error_of(ran);
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("went away during the run"), "{error}");
    let outcome: Result<Vec<_>, Error> = rows.try_collect().await;
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("before its result was complete"), "{error}");

    let error = error_of(executor.run(transform(super::PASS)).await);
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    let health = executor.health().await;
    assert!(
        health.state == ExecutorState::Unavailable && health.reason.unwrap().contains("cannot be reached")
    );
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "an executor is a process of its own")]
async fn an_executor_without_its_secret_does_not_start() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shirabe"));
    let output = command.arg("executor").env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`EXECUTOR_TOKEN` is not set"));
}

/// Before anything is asked of an input, nothing is open.
#[tokio::test]
async fn an_executor_that_is_not_there_asks_for_no_rows() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let executor = executor(&format!("http://127.0.0.1:{port}"), TOKEN);
    let asked = futures::stream::once(async { panic!("nobody may ask") }).boxed();
    let name = InputName { id: "ds_0123456789ab".to_owned(), alias: None };
    let inputs = vec![InputRows { name, schema: small().schema(), rows: asked, same: None }];
    let run = PythonRun { inputs, class: Class::Transform, ..transform(super::PASS) };
    assert_eq!(error_of(executor.run(run).await).code(), Code::ServiceUnavailable);
}
