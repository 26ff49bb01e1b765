//! What stays in memory: nothing of a run in the process that the next one is forked from, and no result that changes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use memchr::memmem;
use shirabe_wire::host::Answer;
use shirabe_wire::{Tier, corpus, memory};

use crate::processes::descendants;
use crate::support::{Run, TIERS, start};

/// How often `needle` is in the memory of a process.
fn count(process: u32, needle: &str) -> usize {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
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
    found
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
    for what in ["code", "parameter", "row"] {
        assert_eq!(count(forking, &secret(what)), 0, "{what}");
    }
    // What is there is found.
    assert_ne!(count(forking, "shirabe_run.py"), 0);
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
