//! The READMEs tell of every setting. A setting that is not in the table does not exist for its users, and a default that
//! is wrong there is worse.

use std::fs;
use std::path::Path;

use super::Offence;

/// Both languages have the table.
const READMES: [&str; 2] = ["README.md", "README.ja.md"];

/// What stands in the table for a setting without a default.
const NONE: &str = "–";

/// A row of the table: the line it is on, the setting's name, and its default as written.
type Row = (usize, String, String);

pub(super) fn config_tables_list_every_setting() -> Vec<Offence> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected: Vec<_> = shirabe::config::settings()
        .map(|setting| {
            (setting.name, setting.default.map_or_else(|| NONE.to_owned(), |text| format!("`{text}`")))
        })
        .collect();
    READMES
        .iter()
        .flat_map(|path| compare(path, &fs::read_to_string(root.join(path)).unwrap(), &expected))
        .collect()
}

/// The first row of the table in `text` that is not as it should be.
fn compare(path: &str, text: &str, expected: &[(&str, String)]) -> Option<Offence> {
    let rows = rows(text);
    let offence = |line, reason| Some(Offence { path: path.to_owned(), line, reason });
    for (place, (name, default)) in expected.iter().enumerate() {
        let Some((line, found_name, found_default)) = rows.get(place) else {
            return offence(1, format!("the table of settings lacks `{name}`"));
        };
        if (found_name.as_str(), found_default) != (name, default) {
            let found = format!("`{found_name}` with {found_default}");
            return offence(
                *line,
                format!("expected the setting `{name}` with the default {default}, got {found}"),
            );
        }
    }
    let (line, name, _) = rows.get(expected.len())?;
    offence(*line, format!("there is no setting `{name}`"))
}

/// Rows of three cells whose first is a name in capitals.
fn rows(text: &str) -> Vec<Row> {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let row = |(line, number): (&str, usize)| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.strip_suffix('`').filter(|name| is_name(name))?;
        Some((number, name.to_owned(), cells.next()?.to_owned()))
    };
    text.lines().zip(1..).filter_map(row).collect()
}

#[test]
fn a_table_that_differs_is_found() {
    check("| `A` | `1` | x |\ntext\n| `B_2` | – | y |", None);
    check("| `A` | `1` | x |", Some(1));
    check("| `A` | `2` | x |\n| `B_2` | – | y |", Some(1));
    check("| `B_2` | – | y |\n| `A` | `1` | x |", Some(1));
    check("| `A` | `1` | x |\n| `B_2` | – | y |\n| `C` | – | z |", Some(3));
    check("| `a` | `1` | x |\n| `A` | `1` | x |\n| `B_2` | `–` | y |", Some(3));

    #[track_caller]
    fn check(text: &str, expected: Option<usize>) {
        let settings = [("A", "`1`".to_owned()), ("B_2", NONE.to_owned())];
        assert_eq!(compare("README.md", text, &settings).map(|offence| offence.line), expected, "{text}");
    }
}
