//! Rules about the source itself, each a function from a file to its offences.
//!
//! Why: the architecture is a set of sentences such as "only `engine/session.rs` makes a `SessionContext`". A sentence
//! that nothing checks is true until the first hurry. Every rule has a table of texts on which it must fire, and on which
//! it must not. It must not know what the service does: it reads words, not meaning.

use std::fmt::{self, Write as _};

use source::Source;
use tree::Tree;

mod conduct;
mod layers;
mod owners;
mod readme;
mod sizes;
mod source;
mod tree;
mod unread;

/// One place that breaks a rule. `line` counts from one.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    path: String,
    line: usize,
    reason: String,
}

impl Offence {
    fn new(source: &Source, line: usize, reason: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, reason: reason.into() }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.reason)
    }
}

type Rule = fn(&Source) -> Vec<Offence>;

const RULES: &[Rule] = &[
    layers::imports_point_one_way,
    owners::names_stay_with_their_owner,
    conduct::results_are_streamed,
    conduct::sql_over_a_line_lives_in_sql,
    conduct::no_test_is_ignored,
    conduct::no_test_sleeps,
    conduct::no_reminder_without_an_issue,
    sizes::files_fit_a_mind,
    sizes::a_folder_says_what_it_is,
];

#[test]
fn the_source_keeps_its_rules() {
    let tree = Tree::read();
    let mut offences: Vec<Offence> =
        tree.sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))).collect();
    offences.extend(layers::one_file_of_the_command_line_starts_a_server(&tree.sources));
    offences.extend(unread::every_data_file_is_read(&tree));
    offences.extend(readme::config_tables_list_every_setting());
    let mut report = String::new();
    for offence in &offences {
        writeln!(report, "{offence}").unwrap();
    }
    assert!(offences.is_empty(), "{} offences:\n{report}", offences.len());
}

/// Runs `rule` on a file of `text` at `path` and compares the lines on which it fired.
#[track_caller]
fn check(rule: Rule, path: &str, text: &str, expected: &[usize]) {
    let source = Source::parse(path, text).unwrap();
    let offences = rule(&source);
    let lines: Vec<usize> = offences.iter().map(|offence| offence.line).collect();
    let start: String = text.lines().take(20).collect::<Vec<_>>().join("\n");
    assert_eq!(lines, expected, "in {path}:\n{start}\ngot {offences:?}");
}
