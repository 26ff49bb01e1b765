//! What a thousand kills leave. Apart from the other tests, because it counts what its own process has open.

// Says to clippy what is true anyway: helpers here are test code too, and may unwrap.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use shirabe_wire::host::{Failure, Finished, Request, Zygote};
use shirabe_wire::{Job, Limits, Tier};

#[path = "it/processes.rs"]
mod processes;

use processes::{descendants, is_at_rest, wait_until};

const ENDLESS: &str = "def transform(inputs, params):\n    while True:\n        pass\n";
const SHORT: &str =
    "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({'n': [1]})\n";

fn open_files(process: &str) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// The loader's only child.
fn forking(zygote: &Zygote) -> u32 {
    let children = descendants(zygote.id());
    assert_eq!(children.len(), 1, "{children:?}");
    *children.first().unwrap()
}

fn run(zygote: &Zygote, tier: Tier, code: &str, deadline_ms: u64) -> Finished {
    let job = Job::transform(code);
    let limits = Limits { deadline_ms, ..Limits::transform() };
    zygote.run(&Request { job: &job, inputs: &[], limits, tier, cancel: None }, &mut |_| {})
}

#[test]
fn a_thousand_kills_leave_nothing() {
    #[expect(clippy::disallowed_methods, reason = "`./dev test` says where the libraries are")]
    let home = std::env::var_os("SHIRABE_PYTHON_HOME").expect("`./dev test` sets SHIRABE_PYTHON_HOME");
    let zygote = Zygote::start(env!("CARGO_BIN_EXE_shirabe-worker").as_ref(), home.as_ref()).unwrap();
    let forking = forking(&zygote);
    // Once, so that what is made at first use is there.
    assert!(run(&zygote, Tier::A, SHORT, 60_000).result.is_ok());
    wait_until("a child for the next job", || is_at_rest(zygote.id()));
    let before = (open_files("self"), open_files(&forking.to_string()));
    let mut slowest = Duration::ZERO;
    for round in 0..1000 {
        // Killed in every phase: some before their place is made, most in the loop.
        let finished = run(&zygote, Tier::ALL[round % 3], ENDLESS, (round % 50) as u64);
        assert!(matches!(finished.result, Err(Failure::TimedOut { .. })), "{round}: {finished:?}");
        slowest = slowest.max(finished.dying.unwrap());
    }
    wait_until("the end of all processes", || is_at_rest(zygote.id()));
    assert!(descendants(zygote.id()).contains(&forking));
    assert_eq!((open_files("self"), open_files(&forking.to_string())), before);
    assert!(run(&zygote, Tier::A, SHORT, 60_000).result.is_ok());
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}
