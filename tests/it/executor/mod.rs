//! Python in workers of this process and of another: rows in and out, what a run prints, how it ends.
//!
//! `./dev test` builds the worker, and says in `SHIRABE_WORKER` where it is and in `SHIRABE_PYTHON_HOME` where its
//! libraries are. Starting workers takes seconds, because they are tested first; so the tests of one executor are one
//! test.

mod ends;
mod local;
mod remote;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use futures::{StreamExt as _, TryStreamExt as _};
use shirabe::error::Error;
use shirabe::executor::{
    AdmissionLimits, Class, Executor, ExecutorSettings, Frames, InputName, InputRows, Job, Limits, Output,
    PythonRun, PythonSettings, Ran, Tier, Timeouts,
};
use shirabe::ids::UserId;

/// What `./dev test` says in the environment.
fn told(name: &str) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "`./dev test` says where the worker is")]
    let found = std::env::var_os(name);
    found.unwrap_or_else(|| panic!("`{name}` is not set: see `./dev test`")).into()
}

fn python() -> PythonSettings {
    PythonSettings {
        program: Some(told("SHIRABE_WORKER")),
        home: told("SHIRABE_PYTHON_HOME"),
        tier_min: Tier::C,
    }
}

fn admission() -> AdmissionLimits {
    AdmissionLimits {
        memory_bytes_max: 6 << 30,
        cards_max: 2,
        transforms_max: 2,
        waiting_max: 4,
        wait_max: Duration::from_secs(120),
    }
}

fn settings() -> ExecutorSettings {
    let timeouts = Timeouts { card: Duration::from_secs(10), transform: Duration::from_secs(60) };
    ExecutorSettings { python: python(), admission: admission(), kept_bytes_max: 1 << 30, timeouts }
}

fn limits() -> Limits {
    Limits {
        deadline_ms: 60_000,
        memory_bytes_max: 1 << 30,
        output_bytes_max: 256 << 20,
        ..Limits::transform()
    }
}

fn user(letter: char) -> UserId {
    UserId::parse(&format!("user_{}", letter.to_string().repeat(12))).unwrap()
}

/// A transform of `code` without inputs.
fn transform(code: &str) -> PythonRun {
    PythonRun {
        job: Job::transform(code),
        inputs: Vec::new(),
        limits: limits(),
        class: Class::Transform,
        lines: None,
        user_id: user('a'),
    }
}

/// Whose only input, `t`, has these rows.
fn transform_of(code: &str, batches: &[RecordBatch]) -> PythonRun {
    let rows = futures::stream::iter(batches.to_vec()).map(Ok).boxed();
    let name = InputName { id: "ds_0123456789ab".to_owned(), alias: Some("t".to_owned()) };
    let inputs = vec![InputRows { name, schema: batches[0].schema(), rows, same: None }];
    PythonRun { inputs, ..transform(code) }
}

fn with_frames(mut run: PythonRun, frames: Frames) -> PythonRun {
    run.job.frames = frames;
    run
}

/// Two columns of three rows.
fn small() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
        ("text", Arc::new(StringArray::from(vec![Some("東京"), None, Some("")]))),
    ])
    .unwrap()
}

/// The rows of a run that must end well, as one batch.
#[track_caller]
fn rows_of(ran: Ran) -> impl Future<Output = RecordBatch> {
    let (schema, row_count, rows) = match ran.result {
        Ok(Output::Rows { schema, row_count, rows }) => (schema, row_count, rows),
        other => panic!("{other:?}\n{}", ran.log),
    };
    async move {
        let batch = together(&schema, rows.try_collect().await.unwrap());
        assert_eq!(batch.num_rows() as u64, row_count);
        batch
    }
}

fn together(schema: &SchemaRef, batches: Vec<RecordBatch>) -> RecordBatch {
    arrow::compute::concat_batches(schema, &batches).unwrap()
}

/// The error of a run that must not end well.
#[track_caller]
fn error_of(ran: Ran) -> Error {
    match ran.result {
        Err(error) => error,
        Ok(output) => panic!("it was expected to fail: {output:?}"),
    }
}

/// Waits until all turns have come back.
async fn nothing_runs(executor: &Executor) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let holds = async {
        while executor.health().await.running_count > 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), holds).await.expect("a turn does not come back");
}

/// What comes back when nothing is done with it.
const PASS: &str = "def transform(inputs, params):\n    return inputs['t']\n";
