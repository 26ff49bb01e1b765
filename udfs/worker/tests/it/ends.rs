//! Ending runs that do not end: by the deadline, by a cancel, with the worker; and that nothing is left of them.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use rustix::process::Signal;
use shirabe_wire::Tier;
use shirabe_wire::host::{Cancel, Failure, PythonWorkers, Settings, Zygote};

use crate::processes::{descendants, is_at_rest, wait_until};
use crate::support::{Run, TIERS, home, program, start, zygote};

const ENDLESS: &str = "def transform(inputs, params):\n    print('begun')\n    while True:\n        pass\n";
const SHORT: &str =
    "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({'n': [1]})\n";
#[test]
fn a_run_is_dead_soon_after_its_deadline() {
    for code in [ENDLESS, "import re\ndef transform(i, p):\n    re.match(r'(a+)+$', 'a' * 64 + 'b')\n"] {
        let mut times: Vec<Duration> = (0..20)
            .map(|round| {
                let mut run = Run::transform(TIERS[round % TIERS.len()], code);
                run.limits.deadline_ms = 300;
                run.on(&zygote(), None).dying.unwrap()
            })
            .collect();
        times.sort_unstable();
        // The slowest ones show how busy the machine is, the one in the middle what a kill takes.
        assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    }
}

#[test]
fn a_cancel_ends_the_run_it_was_given_to() {
    let zygote = zygote();
    for tier in TIERS {
        let cancel = Cancel::new().unwrap();
        let mut run = Run::transform(tier, ENDLESS);
        let request = shirabe_wire::host::Request {
            job: &run.job,
            inputs: &[],
            limits: run.limits,
            tier,
            cancel: Some(&cancel),
        };
        // Once it prints, it is in its loop.
        let finished = zygote.run(&request, &mut |_| cancel.cancel());
        assert!(matches!(finished.result, Err(Failure::Cancelled)), "{finished:?}");
        run.job.code = SHORT.to_owned();
        assert!(run.on(&zygote, None).result.is_ok());
    }
}

#[test]
fn runs_end_with_their_worker_and_another_worker_takes_over() {
    let settings = Settings { runs_max: 3, ..Settings::new(program(), home()) };
    let workers = PythonWorkers::start(settings).unwrap();
    assert_eq!(workers.tier(), Tier::A);
    let zygote = workers.zygote().unwrap();
    let first = zygote.id();
    let job = shirabe_wire::Job::transform(ENDLESS);
    let request = shirabe_wire::host::Request {
        job: &job,
        inputs: &[],
        limits: crate::support::limits(),
        tier: Tier::A,
        cancel: None,
    };
    let mut running = BTreeSet::new();
    let finished = workers.run(&request, &mut |_| {
        running = descendants(first);
        rustix::process::pidfd_send_signal(zygote.forking(), Signal::KILL).unwrap();
    });
    assert!(matches!(finished.result, Err(Failure::Unavailable(_))), "{finished:?}");
    assert!(finished.may_be_tried_again());
    assert!(running.len() >= 2, "a zygote and a child, and that of the next job: {running:?}");
    drop(zygote);
    let short = shirabe_wire::Job::transform(SHORT);
    let request = shirabe_wire::host::Request { job: &short, ..request };
    let finished = workers.run(&request, &mut |_| {});
    assert!(finished.result.is_ok(), "{finished:?}");
    assert_ne!(workers.zygote().unwrap().id(), first);
    wait_until("the end of the run", || {
        running.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap())
    });
    // Much used, it is replaced while it still serves.
    let second = workers.zygote().unwrap().id();
    wait_until("another zygote", || {
        assert!(workers.run(&request, &mut |_| {}).result.is_ok());
        workers.zygote().unwrap().id() != second
    });
}

#[test]
fn a_worker_that_is_dropped_ends_what_it_runs() {
    let zygote = start();
    let id = zygote.id();
    let all = descendants(id);
    drop(zygote);
    assert!(!fs::exists(format!("/proc/{id}")).unwrap());
    assert!(all.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()), "{all:?}");
}

#[test]
fn a_child_that_waits_takes_one_job_and_may_die_before() {
    let zygote = start();
    // What one has left in its process, the next one would find there.
    let code = "
import builtins, sys
import pandas as pd
def transform(inputs, params):
    met = hasattr(builtins, 'left') or '__left__' in sys.modules
    builtins.left = sys.modules['__left__'] = True
    return pd.DataFrame({'met': [met]})
";
    let waiting = || is_at_rest(zygote.id());
    for tier in TIERS.into_iter().flat_map(|tier| [tier; 3]) {
        let batch = match Run::transform(tier, code).on(&zygote, None).result {
            Ok(shirabe_wire::host::Answer::Rows(rows)) => crate::support::read(rows.stream),
            other => panic!("{tier}: {other:?}"),
        };
        assert!(!batch.column(0).as_boolean().value(0), "{tier}");
        wait_until("a child for the next job", waiting);
    }
    // The one that was made last.
    let child = *descendants(zygote.id()).last().unwrap();
    let child = rustix::process::Pid::from_raw(child.try_into().unwrap()).unwrap();
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    wait_until("its end", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    });
    let finished = Run::transform(*TIERS.last().unwrap(), SHORT).on(&zygote, None);
    assert!(finished.result.is_ok(), "{finished:?}");
}

#[test]
fn many_runs_at_once_do_not_meet() {
    let zygote = zygote();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let zygote = &zygote;
            scope.spawn(move || {
                let code = format!("import pandas as pd\ndef transform(i, p):\n    return pd.DataFrame({{'n': [{number}] * {number}}})");
                for tier in TIERS {
                    let mut run = Run::transform(tier, &code);
                    match run.on(zygote, None).result.unwrap() {
                        shirabe_wire::host::Answer::Rows(rows) => assert_eq!(rows.row_count, number),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
}

#[test]
fn a_worker_without_libraries_says_so() {
    let error = Zygote::start(&program(), "/nonexistent".as_ref()).unwrap_err();
    assert!(error.to_string().contains("no libraries"), "{error}");
}
