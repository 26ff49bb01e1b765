//! Files that nothing reads. SQL and test data are kept because code names them; a file that no code names is left over.

use super::Offence;
use super::source::Source;
use super::tree::Tree;

pub(super) fn every_data_file_is_read(tree: &Tree) -> Vec<Offence> {
    let stray = tree.files.iter().filter(|path| path.starts_with("src/") && path.ends_with(".sql"));
    let stray = stray.map(|path| offence(path, "SQL lives under sql/"));
    let kept = tree.files.iter().filter(|path| !path.starts_with("src/") && !path.ends_with("README.md"));
    let unread = kept
        .filter(|path| !is_read(path, &tree.sources))
        .map(|path| offence(path, "no code reads this file"));
    stray.chain(unread).collect()
}

/// Whether a string somewhere names the file, or its folder: a test may walk a folder of cases.
fn is_read(path: &str, sources: &[Source]) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folder.strip_prefix("tests/").unwrap_or(folder);
    // `sql` and `data` themselves are named to build other paths, and so prove nothing.
    let folder = folder.contains('/').then_some(folder);
    let literals = sources.iter().flat_map(|source| &source.words).filter(|word| word.is_literal());
    let mut texts = literals.map(|word| word.text.as_str());
    texts.any(|text| text.contains(name) || folder.is_some_and(|folder| text.contains(folder)))
}

fn offence(path: &str, reason: &str) -> Offence {
    Offence { path: path.to_owned(), line: 1, reason: reason.to_owned() }
}

#[test]
fn a_file_that_no_code_names_is_found() {
    check("sql/users.sql", "include_str!(\"../../sql/users.sql\")", false);
    check("sql/users.sql", "// users.sql", true);
    check("sql/users.sql", "include_str!(\"../../sql/keys.sql\")", true);
    check("sql/migrations/001.sql", "include_dir(\"sql/migrations\")", false);
    check("tests/data/trips.csv", "open(\"trips.csv\")", false);
    check("tests/data/trips.csv", "open(\"data\")", true);
    check("tests/data/README.md", "", false);
    check("src/catalog/users.sql", "include_str!(\"users.sql\")", true);

    #[track_caller]
    fn check(path: &str, code: &str, expected: bool) {
        let sources = vec![Source::parse("src/catalog/users.rs", code).unwrap()];
        let tree = Tree { sources, files: vec![path.to_owned()] };
        assert_eq!(!every_data_file_is_read(&tree).is_empty(), expected, "{path} with {code}");
    }
}
