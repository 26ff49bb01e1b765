//! What stays in memory: nothing of a run in the process that the next one is forked from, and no result that changes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use memchr::memmem;
use shirabe_wire::host::{Answer, Failure};
use shirabe_wire::{Tier, corpus, memory};

use crate::processes::{descendants, is_at_rest, wait_until};
use crate::support::{Run, TIERS, start, zygote};

/// How often `needle` is in the memory of a process. None where the kernel shows it to root only: a child that has given
/// its rights up.
fn count(process: u32, needle: &str) -> Option<usize> {
    let memory = match File::open(format!("/proc/{process}/mem")) {
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => return None,
        memory => memory.unwrap(),
    };
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // What was set aside and never used cannot be read, and has nothing in it.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found += memmem::find_iter(&bytes, needle).count();
        }
    }
    Some(found)
}

#[test]
fn the_zygote_has_met_no_code_parameter_or_row() {
    let zygote = start();
    let forking = *descendants(zygote.id()).first().unwrap();
    let secret = |what: &str| format!("canary-{what}-{}", std::process::id());
    let batch = RecordBatch::try_from_iter([(
        "s",
        Arc::new(StringArray::from(vec![secret("row"); 100])) as ArrayRef,
    )])
    .unwrap();
    for tier in TIERS {
        let code = format!("# {}\ndef transform(inputs, params):\n    return inputs['t']\n", secret("code"));
        let mut run = Run::transform(tier, &code).input("t", None, &batch);
        run.job.params = serde_json::json!({ "p": secret("parameter") });
        assert!(run.on(&zygote, None).result.is_ok());
    }
    // Nor has the child that waits for the next job.
    wait_until("a child for the next job", || is_at_rest(zygote.id()));
    let is_root = rustix::process::geteuid().is_root();
    for what in ["code", "parameter", "row"] {
        for process in descendants(zygote.id()) {
            let found = count(process, &secret(what));
            let is_hidden = found.is_none() && !is_root && process != forking;
            assert!(found == Some(0) || is_hidden, "{what} in {process}: {found:?}");
        }
    }
    // What is there is found.
    assert!(count(forking, "shirabe_run.py").is_some_and(|found| found > 0));
}

#[test]
fn a_result_cannot_change_once_it_is_handed_on() {
    let script = corpus::scripts().find(|script| script.name == "output_later").unwrap();
    let honest = "import pandas as pd\ndef transform(i, p):\n    return pd.DataFrame({'n': range(1000)})\n";
    let mut results = 0;
    for tier in TIERS {
        for code in [script.code, honest] {
            if let Ok(Answer::Rows(rows)) = Run::transform(tier, code).result() {
                assert!(memory::is_sealed(&rows.stream).unwrap(), "{tier}");
                assert_eq!(memory::length(&rows.stream).unwrap(), rows.byte_count);
                results += 1;
            }
        }
    }
    assert!(results >= TIERS.len(), "honest code has results");
    assert!(Tier::A < Tier::C, "tiers are ordered from the most confined one on");
}

#[test]
fn what_a_run_has_used_is_told() {
    for tier in TIERS {
        let nothing = "import pandas as pd\ndef transform(i, p):\n    return pd.DataFrame({'n': [1]})\n";
        let much = "
import time
import pandas as pd
def transform(inputs, params):
    kept = b'x' * (300 << 20)
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
    return pd.DataFrame({'n': [len(kept)]})
";
        let little = Run::transform(tier, nothing).on(&zygote(), None);
        assert!(little.result.is_ok(), "{tier}: {:?}", little.result);
        assert!((1..200 << 20).contains(&little.used.memory_peak_bytes), "{tier}: {:?}", little.used);
        let much = Run::transform(tier, much).on(&zygote(), None);
        assert!(much.result.is_ok(), "{tier}: {:?}", much.result);
        assert!((300 << 20..600 << 20).contains(&much.used.memory_peak_bytes), "{tier}: {:?}", much.used);
        assert!((500..10_000).contains(&much.used.cpu_ms), "{tier}: {:?}", much.used);
        // Also of one that was ended.
        let mut endless = Run::transform(tier, "def transform(i, p):\n    while True: pass\n");
        endless.limits.deadline_ms = 700;
        let ended = endless.on(&zygote(), None);
        assert!(matches!(ended.result, Err(Failure::TimedOut { .. })), "{tier}: {:?}", ended.result);
        assert!(ended.used.cpu_ms >= 200, "{tier}: {:?}", ended.used);
    }
}

#[test]
fn an_input_does_not_count_towards_the_limit_of_memory() {
    let text = Arc::new(StringArray::from(vec!["x".repeat(1 << 20); 300])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("s", text)]).unwrap();
    let code = "
import time
import pyarrow as pa
def transform(inputs: dict[str, pa.Table], params):
    time.sleep(0.5)
    return pa.table({'n': [inputs['t'].nbytes]})
";
    for tier in TIERS {
        let mut run = Run::transform(tier, code).input("t", None, &batch);
        run.limits.memory_bytes_max = 200 << 20;
        assert_eq!(run.rows().num_rows(), 1, "{tier}");
    }
}
