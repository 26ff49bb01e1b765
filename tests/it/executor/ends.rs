//! How runs end, and what they print on the way.

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _};
use shirabe::error::{Code, Error};
use shirabe::executor::{Class, Executor, InputName, InputRows, Job, Output, PythonRun};
use tokio::sync::mpsc;

use super::{error_of, nothing_runs, rows_of, small, transform, transform_of, user};

const HONEST: &str = "
import pandas as pd
def transform(inputs, params):
    return pd.DataFrame({'n': [1]})
";
pub(super) const ENDLESS: &str = "
def transform(inputs, params):
    print('begun')
    while True:
        pass
";

async fn still_runs(executor: &Executor) {
    assert_eq!(rows_of(executor.run(transform(HONEST)).await).await.num_rows(), 1);
}

pub(super) async fn errors_of_python_keep_their_place(executor: &Executor) {
    let code = "
def inner(t):
    return t['ammount']

def transform(inputs, params):
    print('before')
    return inner(inputs['t'].rename(columns={'n': 'amount'}))
";
    let mut run = transform_of(code, &[small()]);
    run.job.file_name = "monthly.py".to_owned();
    let ran = executor.run(run).await;
    assert_eq!((ran.log.as_str(), ran.violation), ("before\n", false));
    let error = error_of(ran);
    assert_eq!((error.code(), error.to_string().as_str()), (Code::ExecutionError, "KeyError: 'ammount'"));
    let details = error.details();
    assert_eq!(
        (details["line"].as_u64(), details["kind"].as_str()),
        (Some(3), Some("KeyError")),
        "{details}"
    );
    let traceback = details["traceback"].as_str().unwrap();
    assert!(traceback.contains("File \"monthly.py\", line 7, in transform"), "{traceback}");
    assert!(traceback.contains("    return t['ammount']"), "{traceback}");
    assert!(!traceback.contains("shirabe_run"), "{traceback}");
    assert!(details["hint"].as_str().unwrap().contains("columns: `n`, `text`"), "{details}");

    for (code, kind, line, hint) in [
        ("def transform(inputs, params)\n    return 1\n", "SyntaxError", Some(1), None),
        ("x = 1\n", "MissingFunction", None, Some("def transform(inputs, params)")),
        ("import requests\n", "ModuleNotFoundError", Some(1), None),
        ("def transform(i, p):\n    return 1 / 0\n", "ZeroDivisionError", Some(2), None),
        ("def transform(i, p):\n    open('/etc/passwd')\n", "", Some(2), Some("no files, no network")),
    ] {
        let error = error_of(executor.run(transform(code)).await);
        let details = error.details();
        assert_eq!(error.code(), Code::ExecutionError, "{error}");
        assert!(kind.is_empty() || details["kind"] == kind, "{error}: {details}");
        assert_eq!(details["line"].as_u64(), line, "{error}: {details}");
        match hint {
            Some(part) => assert!(details["hint"].as_str().unwrap().contains(part), "{details}"),
            None => assert!(details.get("hint").is_none(), "{details}"),
        }
    }
    // What can be imported is named.
    let error = error_of(executor.run(transform("import requests\n")).await);
    assert!(error.to_string().contains("pandas, plotly, polars"), "{error}");
}

/// Before the end of a run that has none.
pub(super) async fn lines_come_before_the_end(executor: &Executor) {
    let (send, mut lines) = mpsc::channel(16);
    let mut run = transform(ENDLESS);
    run.lines = Some(send);
    let mut running = Box::pin(executor.run(run));
    // The run has no end, so the line came before it.
    let line = tokio::select! {
        line = lines.recv() => line,
        ran = &mut running => panic!("{ran:?}"),
    };
    assert_eq!(line.as_deref(), Some("begun"));
    drop(running);
    nothing_runs(executor).await;
}

/// Whoever does not read holds nothing up, and whoever prints without end fills nothing.
pub(super) async fn lines_that_find_no_room_are_left_out(executor: &Executor) {
    let (send, mut lines) = mpsc::channel(2);
    let mut run = transform(
        "
import pandas as pd
def transform(inputs, params):
    for n in range(1000):
        print('line', n)
    return pd.DataFrame({'n': [1]})
",
    );
    run.lines = Some(send);
    let ran = executor.run(run).await;
    assert_eq!((ran.lines_dropped, ran.log.lines().count(), ran.log_was_cut), (998, 1000, false));
    assert_eq!(lines.recv().await.as_deref(), Some("line 0"));

    let mut run = transform(
        "
import pandas as pd
def transform(inputs, params):
    for n in range(100_000):
        print('x' * 100)
    return pd.DataFrame({'n': [1]})
",
    );
    run.limits.log_bytes_max = 10_000;
    let ran = executor.run(run).await;
    assert!(ran.log_was_cut && (9_900..10_200).contains(&ran.log.len()), "{}", ran.log.len());
    assert_eq!(rows_of(ran).await.num_rows(), 1);
}

pub(super) async fn limits_end_a_run(executor: &Executor) {
    let mut run = transform(ENDLESS);
    run.limits.deadline_ms = 1_000;
    let begun = Instant::now();
    let ran = executor.run(run).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(ran.usage.cpu_ms >= 200, "{:?}", ran.usage);
    let error = error_of(ran);
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (Code::ExecutionTimeout, "the code ran longer than 1 s")
    );

    let mut run =
        transform("def transform(i, p):\n    kept = [bytes(1 << 20) + b'x' for _ in range(4096)]\n");
    run.limits.memory_bytes_max = 256 << 20;
    let ran = executor.run(run).await;
    assert!(ran.usage.memory_peak_bytes > 100 << 20, "{:?}", ran.usage);
    let error = error_of(ran);
    assert_eq!(error.code(), Code::OverLimit, "{error}");
    assert!(error.to_string().contains("more than 256 MiB of memory"), "{error}");

    // One that ends its own process is an error like another.
    let error = error_of(executor.run(transform("import os\ndef transform(i, p):\n    os._exit(0)\n")).await);
    assert_eq!(error.code(), Code::ExecutionError, "{error}");
    still_runs(executor).await;
}

pub(super) async fn a_violation_is_told(executor: &Executor) {
    let code = "
import ctypes
def transform(inputs, params):
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
";
    let ran = executor.run(transform(code)).await;
    assert!(ran.violation, "{ran:?}");
    let error = error_of(ran);
    assert_eq!(error.code(), Code::ExecutionError);
    assert!(error.to_string().contains("break out of its sandbox"), "{error}");
    still_runs(executor).await;
}

pub(super) async fn a_card_is_a_page(executor: &Executor) {
    let code = "
def render(dataset, filters, params):
    rows = len(dataset[dataset['n'] > filters['n']])
    return HTMLResult(html=f'<b>{rows} 件</b>', used_columns=['n'], filter_applicable=['n'])
";
    let card = PythonRun {
        job: Job { filters: serde_json::json!({ "n": 1 }), ..Job::card(code) },
        limits: executor.limits(Class::Card),
        class: Class::Card,
        ..transform_of(code, &[small()])
    };
    assert_eq!((card.limits.deadline_ms, card.limits.memory_bytes_max), (10_000, 2048 << 20));
    let ran = executor.run(card).await;
    match ran.result {
        Ok(Output::Card { html, used_columns, filter_applicable }) => {
            assert_eq!(html, "<b>1 件</b>");
            assert_eq!((used_columns, filter_applicable), (vec!["n".to_owned()], vec!["n".to_owned()]));
            assert_eq!(ran.usage.output_bytes, html.len() as u64);
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn whoever_goes_away_ends_the_run(executor: &Executor) {
    let (send, mut lines) = mpsc::channel(16);
    let mut run = transform(ENDLESS);
    run.lines = Some(send);
    let mut running = Box::pin(executor.run(run));
    tokio::select! {
        _ = lines.recv() => {}
        ran = &mut running => panic!("{ran:?}"),
    }
    let health = executor.health().await;
    assert_eq!(health.running_count, 1);
    assert!(health.memory_reserved_bytes >= 1 << 30, "{health:?}");
    drop(running);
    // The turn comes back once the process is dead, and no sooner: then the other end of the channel is gone.
    assert_eq!(lines.recv().await, None);
    nothing_runs(executor).await;
    still_runs(executor).await;
}

pub(super) async fn a_failing_input_ends_the_run(executor: &Executor) {
    let batch = small();
    let failing = futures::stream::iter([
        Ok(batch.clone()),
        Err(Error::Damaged { object: "part-0000.parquet".to_owned(), reason: "a bit is wrong".to_owned() }),
    ]);
    let name = InputName { id: "ds_0123456789ab".to_owned(), alias: None };
    let inputs = vec![InputRows { name, schema: batch.schema(), rows: failing.boxed(), same: None }];
    let error = error_of(executor.run(PythonRun { inputs, ..transform(HONEST) }).await);
    assert_eq!(error.code(), Code::StorageDamaged);

    // One that never comes counts as one that is too slow.
    let name = InputName { id: "ds_0123456789ab".to_owned(), alias: None };
    let inputs = vec![InputRows {
        name,
        schema: batch.schema(),
        rows: futures::stream::pending().boxed(),
        same: None,
    }];
    let mut run = PythonRun { inputs, ..transform(HONEST) };
    run.limits.deadline_ms = 300;
    let error = error_of(executor.run(run).await);
    assert_eq!(error.code(), Code::ExecutionTimeout);
    assert!(error.to_string().contains("reading the inputs"), "{error}");
}

/// Two run, four may wait.
pub(super) async fn a_full_queue_says_so(executor: &Executor) {
    let endless = |letter| PythonRun { user_id: user(letter), ..transform(ENDLESS) };
    let mut all: Vec<_> = ['a', 'a', 'a', 'a', 'a', 'b']
        .into_iter()
        .map(|letter| {
            let mut running = Box::pin(executor.run(endless(letter)));
            assert!((&mut running).now_or_never().is_none(), "it has to run or to wait");
            running
        })
        .collect();
    let health = executor.health().await;
    assert_eq!((health.running_count, health.waiting_count), (2, 4));
    let error = error_of(executor.run(endless('c')).await);
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("`EXECUTOR_WAITING_MAX`"), "{error}");
    // A card has turns of its own, but no place to wait in, if it had to.
    let card = PythonRun {
        class: Class::Card,
        job: Job::card("def render(d): return HTMLResult(html='')"),
        ..endless('c')
    };
    let ran = executor.run(card).await;
    assert!(matches!(ran.result, Err(Error::Unavailable { .. })), "{ran:?}");
    all.clear();
    nothing_runs(executor).await;
    still_runs(executor).await;
}
