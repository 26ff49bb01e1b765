//! Names that only their owner may say, so that what stands behind them can be replaced in one place.

use super::source::Source;
use super::{Offence, check};

struct Owned {
    /// Words that stand one after the other.
    name: &'static [&'static str],
    /// Starts of the paths that may say it.
    owners: &'static [&'static str],
    /// Whether a test may say it anywhere: it has to build what it tests.
    tests_may: bool,
}

const OWNED: &[Owned] = &[
    owned(&["axum"], &["src/server/http/"]),
    owned(&["tower_http"], &["src/server/http/"]),
    owned(&["utoipa_axum"], &["src/server/http/"]),
    owned(&["SessionContext"], &["src/engine/session.rs"]),
    owned(&["SessionStateBuilder"], &["src/engine/session.rs"]),
    owned(&["rusqlite"], &["src/catalog/store/sqlite/"]),
    owned(&["aws_sdk_dynamodb"], &["src/catalog/store/dynamo/"]),
    // The tests of the engine keep a real history.
    store(&["SqliteStore"], &["src/catalog/store/", "src/engine/testing.rs"]),
    store(&["DynamoStore"], &["src/catalog/store/"]),
    store(&["DurableLocal"], &["src/app.rs", "src/storage/"]),
    store(&["AmazonS3Builder"], &["src/storage/s3/"]),
    store(&["ImportBuckets"], &["src/places.rs", "src/storage/"]),
    owned(&["aws_config"], &["src/storage/s3/", "src/catalog/store/"]),
    store(&["RetryFile"], &["src/app.rs", "src/audit_log/"]),
    store(&["LocalFileSystem"], &["src/app.rs", "src/storage/"]),
    // Tests of a store over a server are told where it is.
    owned(&["env", "::", "var"], &["src/config/", "src/catalog/store/dynamo/tests.rs"]),
    owned(&["env", "::", "vars"], &["src/config/"]),
    owned(&["env", "::", "var_os"], &["src/config/"]),
    owned(&["SystemTime"], &["src/clock.rs"]),
    owned(&["Utc", "::", "now"], &["src/clock.rs"]),
    owned(&["Local", "::", "now"], &["src/clock.rs"]),
    owned(&["task", "::", "spawn"], &["src/tasks.rs"]),
    owned(&["tokio", "::", "spawn"], &["src/tasks.rs"]),
    // What a hostile statement would do, for tests, is tried where it must fail. The worker becomes another program, and
    // starts none.
    owned(
        &["Command", "::", "new"],
        &[
            "src/sql_worker/process.rs",
            "src/sql_worker/inside/hostile.rs",
            "udfs/wire/src/host/process.rs",
            "udfs/worker/src/process.rs",
        ],
    ),
    owned(&["pyo3"], &["udfs/worker/src/"]),
    owned(&["libc", "::", "fork"], &["udfs/worker/src/process.rs"]),
    // The filters say which of them a run may make.
    owned(
        &["SYS_clone"],
        &[
            "src/sql_worker/inside/confine.rs",
            "udfs/worker/src/process.rs",
            "udfs/worker/src/confine/filter.rs",
        ],
    ),
];

const fn owned(name: &'static [&'static str], owners: &'static [&'static str]) -> Owned {
    Owned { name, owners, tests_may: false }
}

const fn store(name: &'static [&'static str], owners: &'static [&'static str]) -> Owned {
    Owned { name, owners, tests_may: true }
}

pub(super) fn names_stay_with_their_owner(source: &Source) -> Vec<Offence> {
    let is_ours = source.path.starts_with("src/") || source.path.starts_with("udfs/");
    // Tests and benchmarks build what they look at, and a build script reads what cargo tells it.
    if !is_ours || ["/tests/", "/benches/", "/build.rs"].iter().any(|part| source.path.contains(part)) {
        return Vec::new();
    }
    let foreign =
        OWNED.iter().filter(|owned| !owned.owners.iter().any(|owner| source.path.starts_with(owner)));
    let offences = foreign.flat_map(|owned| {
        let said = source.find(owned.name).map(|at| &source.words[at]);
        let wrongly = said.filter(|word| !(owned.tests_may && word.in_test));
        wrongly.map(|word| {
            let reason = format!("only {} may name `{}`", owned.owners.join(" and "), owned.name.concat());
            Offence::new(source, word.line, reason)
        })
    });
    let mut offences: Vec<Offence> = offences.collect();
    offences.sort_by_key(|offence| offence.line);
    offences
}

#[test]
fn a_name_is_said_by_its_owner_only() {
    let rule = names_stay_with_their_owner;
    for (name, owner) in [
        ("axum::Router", "src/server/http/mod.rs"),
        ("SessionContext", "src/engine/session.rs"),
        ("SqliteStore", "src/catalog/store/place.rs"),
        ("DurableLocal", "src/storage/mod.rs"),
        ("DynamoStore", "src/catalog/store/place.rs"),
        ("rusqlite::Connection", "src/catalog/store/sqlite/mod.rs"),
        ("aws_sdk_dynamodb::Client", "src/catalog/store/dynamo/mod.rs"),
        ("std::env::var", "src/config/mod.rs"),
        ("std::time::SystemTime", "src/clock.rs"),
        ("tokio::spawn", "src/tasks.rs"),
        ("pyo3::Python", "udfs/worker/src/interpreter.rs"),
        ("std::process::Command::new", "udfs/wire/src/host/process.rs"),
    ] {
        let text = format!("\nuse {name};");
        check(rule, owner, &text, &[]);
        check(rule, "src/engine/run.rs", &text, &[2]);
    }
    check(rule, "src/engine/run.rs", "// axum\nconst NAME: &str = \"axum\";\nlet axum_like = 1;", &[]);
    check(rule, "src/engine/run.rs", "let folder = env!(\"HOME\");", &[]);
    check(rule, "tests/it/http.rs", "use axum::Router;", &[]);
    check(rule, "udfs/wire/src/job.rs", "use pyo3::Python;", &[1]);
    check(rule, "udfs/worker/tests/it/ends.rs", "std::process::Command::new(python)", &[]);
    let in_test =
        "#[cfg(test)]\nmod tests {\n    use crate::storage::DurableLocal;\n    use axum::Router;\n}";
    check(rule, "src/engine/run.rs", in_test, &[4]);
}
