//! What must not stand in code: results held whole, SQL in the middle of Rust, tests that are skipped or that wait, and
//! reminders that nobody tracks.

use super::source::{Source, Word};
use super::{Offence, check};

/// A result can be larger than memory, so it passes as a stream; a test knows how large its own is.
pub(super) fn results_are_streamed(source: &Source) -> Vec<Offence> {
    let held = [
        &[".", "collect", "(", ")", ".", "await"][..],
        &[".", "collect_partitioned", "(", ")", ".", "await"][..],
    ];
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let found = held.iter().flat_map(|pattern| source.find(pattern)).map(|at| &source.words[at]);
    let shipped = found.filter(|word| !word.in_test);
    shipped.map(|word| Offence::new(source, word.line, "a result is streamed, not collected")).collect()
}

/// SQL that needs more than a line deserves its own file, where an editor and a test can read it.
pub(super) fn sql_over_a_line_lives_in_sql(source: &Source) -> Vec<Offence> {
    let long = source.words.iter().filter(|word| word.line_end > word.line && !word.in_test && is_sql(word));
    long.map(|word| Offence::new(source, word.line, "SQL over more than one line lives in a file under sql/"))
        .collect()
}

fn is_sql(literal: &Word) -> bool {
    const STARTS: &[&str] = &[
        "alter", "create", "delete", "drop", "explain", "insert", "merge", "pragma", "select", "update",
        "with",
    ];
    const GOES_ON: &[&str] =
        &["as", "from", "index", "into", "select", "set", "table", "trigger", "values", "view"];
    if !literal.is_literal() {
        return false;
    }
    let text = literal.text.to_lowercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.len() > 1);
    words.next().is_some_and(|first| STARTS.contains(&first)) && words.any(|word| GOES_ON.contains(&word))
}

/// A test that does not run says nothing, and says it in green.
pub(super) fn no_test_is_ignored(source: &Source) -> Vec<Offence> {
    let found = source.find(&["#", "[", "ignore"]).map(|at| &source.words[at]);
    found.map(|word| Offence::new(source, word.line, "a test is run or removed, not ignored")).collect()
}

/// A test that sleeps is slow on a fast machine and wrong on a slow one: it waits on a condition, or pauses the clock.
pub(super) fn no_test_sleeps(source: &Source) -> Vec<Offence> {
    let names = [&["sleep", "("][..], &["sleep_until", "("][..]];
    let found = names.iter().flat_map(|name| source.find(name)).map(|at| &source.words[at]);
    let in_tests = found.filter(|word| word.in_test);
    in_tests
        .map(|word| Offence::new(source, word.line, "a test waits on a condition, it does not sleep"))
        .collect()
}

/// A reminder in a comment is forgotten; one that names its issue is found.
pub(super) fn no_reminder_without_an_issue(source: &Source) -> Vec<Offence> {
    const REMINDERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
    let reminds = |line: &str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| REMINDERS.contains(&word))
    };
    let names_issue = |line: &str| {
        line.match_indices('#').any(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
    };
    let in_literal = |number: usize| {
        let mut literals = source.words.iter().filter(|word| word.is_literal());
        literals.any(|word| (word.line..=word.line_end).contains(&number) && reminds(&word.text))
    };
    let lines = source.text.lines().zip(1..);
    let found = lines.filter(|(line, number)| reminds(line) && !names_issue(line) && !in_literal(*number));
    found.map(|(_, number)| Offence::new(source, number, "a reminder names its issue, as in `#12`")).collect()
}

#[test]
fn a_collected_result_is_found() {
    let rule = results_are_streamed;
    check(rule, "src/engine/run.rs", "let batches = frame\n    .collect()\n    .await?;", &[2]);
    check(rule, "src/engine/run.rs", "let names: Vec<_> = names.iter().collect();", &[]);
    check(
        rule,
        "src/engine/run.rs",
        "#[cfg(test)]\nmod tests {\n    fn f() { frame.collect().await }\n}",
        &[],
    );
    check(rule, "tests/it/http.rs", "frame.collect().await", &[]);
}

#[test]
fn long_sql_is_found() {
    let rule = sql_over_a_line_lives_in_sql;
    check(rule, "src/engine/run.rs", "let sql = \"\n    SELECT *\n    FROM t\";", &[1]);
    check(rule, "src/engine/run.rs", "\nlet sql = r#\"with x as (\n select 1) select 2\"#;", &[2]);
    check(rule, "src/engine/run.rs", "let sql = \"INSERT INTO t \\\n    VALUES (1)\";", &[1]);
    check(rule, "src/engine/run.rs", "let sql = \"SELECT * FROM t\";", &[]);
    check(rule, "src/engine/run.rs", "let text = \"select a colour,\n then go on\";", &[]);
    check(rule, "src/engine/run.rs", "let text = \"many\n from\";", &[]);
}

#[test]
fn an_ignored_test_is_found() {
    check(no_test_is_ignored, "tests/it/http.rs", "#[test]\n#[ignore]\nfn f() {}", &[2]);
    check(no_test_is_ignored, "src/ids.rs", "#[ignore = \"slow\"]\nfn f() {}", &[1]);
    check(no_test_is_ignored, "src/ids.rs", "// #[ignore]\nfn ignore() {}", &[]);
}

#[test]
fn a_sleeping_test_is_found() {
    let rule = no_test_sleeps;
    check(rule, "tests/it/http.rs", "fn f() { std::thread::sleep(SECOND) }", &[1]);
    check(
        rule,
        "src/ids.rs",
        "#[cfg(test)]\nmod tests {\n    async fn f() { tokio::time::sleep(S).await }\n}",
        &[3],
    );
    check(rule, "src/ids.rs", "async fn f() { tokio::time::sleep(S).await }", &[]);
}

#[test]
fn a_reminder_without_an_issue_is_found() {
    let rule = no_reminder_without_an_issue;
    check(rule, "src/ids.rs", "\n// TODO: later", &[2]);
    check(rule, "src/ids.rs", "/// FIXME(ana) soon\nfn f() {}", &[1]);
    check(rule, "src/ids.rs", "// TODO #12: later", &[]);
    check(rule, "src/ids.rs", "const WORDS: &str = \"TODO\";", &[]);
}
