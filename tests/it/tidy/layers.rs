//! Which stage may import which. The table is the picture of ARCHITECTURE.md; a stage without a row is an offence.

use super::source::Source;
use super::{Offence, check};

/// What every stage may use, and what may use only itself: words and bounds that all share.
const FOUNDATION: &[&str] = &[
    "block_sums",
    "checked_ipc",
    "cidr",
    "clock",
    "error",
    "file_name",
    "ids",
    "limits",
    "machine",
    "tasks",
    "telemetry",
    "write_steps",
];

/// A stage, and what it may import besides itself and the foundation.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("telemetry", &["config"]),
    ("data_folder", &[]),
    ("auth", &[]),
    ("encode", &[]),
    ("storage", &["auth"]),
    ("catalog", &["auth"]),
    ("audit_log", &["auth", "catalog"]),
    ("engine", &["auth", "catalog", "storage"]),
    ("sql_worker", &["catalog", "engine", "storage"]),
    ("executor", &["catalog"]),
    ("account", &["auth", "audit_log", "catalog"]),
    ("dataset", &["auth", "audit_log", "catalog", "encode", "engine", "storage"]),
    ("macros", &["auth", "catalog", "engine"]),
    ("transfer", &["catalog", "storage"]),
    ("transform", &["auth", "audit_log", "catalog", "dataset", "engine", "executor"]),
    (
        "server",
        &[
            "account",
            "auth",
            "audit_log",
            "catalog",
            "dataset",
            "encode",
            "engine",
            "executor",
            "macros",
            "storage",
            "transform",
        ],
    ),
    ("health", &["catalog", "dataset", "engine", "executor", "server", "sql_worker", "storage"]),
    ("clockwork", &["audit_log", "catalog", "config", "dataset", "engine", "executor", "transform"]),
    ("places", &["config", "data_folder", "dataset", "executor", "storage"]),
    ("cli", &["config", "data_folder", "encode", "server"]),
    ("embedded", &["app", "cli", "config", "data_folder", "places", "server", "transfer"]),
    (
        "app",
        &[
            "account",
            "auth",
            "audit_log",
            "catalog",
            "cli",
            "clockwork",
            "config",
            "data_folder",
            "dataset",
            "encode",
            "engine",
            "executor",
            "health",
            "macros",
            "places",
            "server",
            "sql_worker",
            "storage",
            "transform",
        ],
    ),
];

pub(super) fn imports_point_one_way(source: &Source) -> Vec<Offence> {
    let Some(stage) = source.stage() else { return Vec::new() };
    let Some(allowed) = allowed_for(stage) else {
        let reason = format!("`{stage}` is not in the table of stages; add a row to tests/it/tidy/layers.rs");
        return vec![Offence::new(source, 1, reason)];
    };
    imports(source)
        .filter(|(to, _)| *to != stage && is_stage(to) && !allowed.contains(to))
        .map(|(to, line)| Offence::new(source, line, format!("`{stage}` must not import `{to}`")))
        .collect()
}

/// The commands speak HTTP. One file starts a server inside the process when none runs; no other needs to know how.
pub(super) fn one_file_of_the_command_line_starts_a_server(sources: &[Source]) -> Vec<Offence> {
    let commands = sources.iter().filter(|source| source.stage() == Some("cli"));
    let starters = commands.filter_map(|source| {
        let (_, line) = imports(source).find(|(to, _)| matches!(*to, "app" | "server"))?;
        Some(Offence::new(source, line, "a second file of `cli` names the server"))
    });
    starters.skip(1).collect()
}

fn is_stage(name: &str) -> bool {
    allowed_for(name).is_some()
}

/// What `stage` may import besides itself; `None` for a stage without a row.
fn allowed_for(stage: &str) -> Option<Vec<&'static str>> {
    let row = MAY_IMPORT.iter().find(|(name, _)| *name == stage).map(|(_, allowed)| *allowed);
    let row = row.or_else(|| FOUNDATION.contains(&stage).then_some(&[][..]))?;
    Some([FOUNDATION, row].concat())
}

/// The modules at the root of the crate that `source` names, with the line: `crate::x`, `crate::{x, y}`, and as many
/// `super::` as reach the root.
fn imports(source: &Source) -> impl Iterator<Item = (&str, usize)> {
    (0..source.words.len())
        .flat_map(|at| root_ends_at(source, at).map_or_else(Vec::new, |end| named_after(source, end)))
}

/// The position after the `::` of a path that starts at `at` with the root of the crate.
fn root_ends_at(source: &Source, at: usize) -> Option<usize> {
    let text = |at: usize| source.words.get(at).map(|word| word.text.as_str());
    match text(at)? {
        "crate" => (text(at + 1)? == "::").then_some(at + 2),
        "super" if at == 0 || text(at - 1)? != "::" => {
            let mut supers = 1;
            while text(at + 2 * supers) == Some("super") {
                supers += 1;
            }
            let depth = file_depth(&source.path) + source.words[at].module_depth;
            (depth == supers && text(at + 2 * supers - 1)? == "::").then_some(at + 2 * supers)
        }
        _ => None,
    }
}

/// How many modules enclose the text of a file: one for `src/engine/mod.rs`, two for `src/engine/session.rs`.
fn file_depth(path: &str) -> usize {
    path.strip_prefix("src/").map_or(0, |inner| inner.trim_end_matches("/mod.rs").split('/').count())
}

/// The name at `at`, or the first name of each path in the braces that open there.
fn named_after(source: &Source, at: usize) -> Vec<(&str, usize)> {
    let Some(first) = source.words.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.text.as_str(), first.line)];
    }
    let mut names = Vec::new();
    let mut open = 0;
    for pair in source.words[at..].windows(2) {
        let (word, next) = (&pair[0], &pair[1]);
        match word.text.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            _ => {}
        }
        if open == 0 {
            break;
        }
        if open == 1 && matches!(word.text.as_str(), "{" | ",") {
            names.push((next.text.as_str(), next.line));
        }
    }
    names
}

#[test]
fn a_stage_imports_only_what_is_below_it() {
    let rule = imports_point_one_way;
    check(rule, "src/catalog/name.rs", "use crate::error::Error;\nuse crate::catalog::record;", &[]);
    check(rule, "src/catalog/name.rs", "use crate::engine::run;", &[1]);
    check(rule, "src/catalog/name.rs", "fn f() {\n    crate::server::start()\n}", &[2]);
    check(
        rule,
        "src/engine/mod.rs",
        "use crate::{\n    catalog::{app, Manifest},\n    server,\n    dataset::x,\n};",
        &[3, 4],
    );
    check(rule, "src/engine/mod.rs", "use super::server::x;\nuse super::catalog::x;", &[1]);
    check(rule, "src/engine/run.rs", "use super::server::x;\nuse super::super::server::x;", &[2]);
    check(
        rule,
        "src/engine/run.rs",
        "mod tests {\n    use super::super::super::app;\n    use super::*;\n}",
        &[2],
    );
    check(rule, "src/server/http/auth.rs", "use crate::account::sign_in;\nuse crate::app::App;", &[2]);
    check(rule, "src/server/http/auth.rs", "use crate::config::Config;", &[1]);
    check(rule, "src/telemetry.rs", "use crate::config::LogConfig;\nuse crate::catalog::Manifest;", &[2]);
    check(rule, "src/error.rs", "use crate::limits::X;\nuse crate::auth::Principal;", &[2]);
    check(
        rule,
        "src/engine/mod.rs",
        "//! See [`crate::server`].\n// crate::app\nconst X: &str = \"crate::app\";",
        &[],
    );
    check(rule, "src/main.rs", "use crate::app;", &[]);
    check(rule, "src/misc/mod.rs", "", &[1]);
}

#[test]
fn only_one_command_file_names_the_server() {
    let parse = |path: &str, text: &str| Source::parse(path, text).unwrap();
    let first = parse("src/cli/transport.rs", "use crate::server::router;");
    let quiet = parse("src/cli/query.rs", "use crate::error::Error;");
    let second = parse("src/cli/users.rs", "\nuse crate::app::App;");
    assert_eq!(one_file_of_the_command_line_starts_a_server(&[first, quiet]), []);
    let first = parse("src/cli/transport.rs", "use crate::server::router;");
    let offences = one_file_of_the_command_line_starts_a_server(&[first, second]);
    assert_eq!(
        offences.iter().map(|offence| (offence.path.as_str(), offence.line)).collect::<Vec<_>>(),
        [("src/cli/users.rs", 2)]
    );
}
