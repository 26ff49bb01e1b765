//! Sizes: a file that one can hold in mind, and a folder that says what it is.

use super::source::Source;
use super::{Offence, check};

/// Lines of a file, its tests left out.
const LINES_MAX: usize = 400;

/// Lines of a file, its tests counted.
const LINES_WITH_TESTS_MAX: usize = 600;

pub(super) fn files_fit_a_mind(source: &Source) -> Vec<Offence> {
    let lines = source.text.lines().count();
    // Empty lines and comments between two words of a test belong to it.
    let tests = source.words.chunk_by(|word, next| word.in_test == next.in_test).filter(|run| run[0].in_test);
    let in_tests: usize = tests.map(|run| run[run.len() - 1].line_end - run[0].line + 1).sum();
    let without = lines.saturating_sub(in_tests);
    if lines > LINES_WITH_TESTS_MAX {
        let reason = format!("expected at most {LINES_WITH_TESTS_MAX} lines, found {lines}");
        return vec![Offence::new(source, LINES_WITH_TESTS_MAX + 1, reason)];
    }
    if without > LINES_MAX {
        let reason = format!("expected at most {LINES_MAX} lines without tests, found {without}");
        return vec![Offence::new(source, LINES_MAX + 1, reason)];
    }
    Vec::new()
}

/// A `mod.rs` opens with what its folder is for: it is the first file a newcomer opens there.
pub(super) fn a_folder_says_what_it_is(source: &Source) -> Vec<Offence> {
    let is_root =
        source.path.ends_with("/mod.rs") || matches!(source.path.as_str(), "src/lib.rs" | "tests/it/main.rs");
    if is_root && !source.text.starts_with("//! ") {
        return vec![Offence::new(source, 1, "expected the file to open with its docs (`//! `)")];
    }
    Vec::new()
}

#[test]
fn a_file_past_its_size_is_found() {
    let rule = files_fit_a_mind;
    let code = |lines: usize| "fn f() {}\n".repeat(lines);
    let tests = |lines: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(lines - 3));
    check(rule, "src/ids.rs", &code(400), &[]);
    check(rule, "src/ids.rs", &code(401), &[401]);
    check(rule, "src/ids.rs", &(code(400) + &tests(200)), &[]);
    check(rule, "src/ids.rs", &(code(400) + &tests(201)), &[601]);
    check(rule, "src/ids.rs", &(code(401) + &tests(100)), &[401]);
    check(rule, "src/ids.rs", &("#[cfg(test)]\nuse x::y;\n".to_owned() + &code(401) + &tests(9)), &[401]);
    check(rule, "tests/it/http.rs", &code(600), &[]);
    check(rule, "tests/it/http.rs", &code(601), &[601]);
}

#[test]
fn a_folder_without_docs_is_found() {
    check(a_folder_says_what_it_is, "src/engine/mod.rs", "mod session;", &[1]);
    check(a_folder_says_what_it_is, "src/engine/mod.rs", "//! Runs queries.\nmod session;", &[]);
    check(a_folder_says_what_it_is, "src/engine/session.rs", "mod x;", &[]);
}
