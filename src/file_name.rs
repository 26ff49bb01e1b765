//! What the name of a file tells: what its dataset is called, and which format it may have. One rule, for
//! the command line, which looks datasets up by it, and for the service, which names them.

/// Endings of files that can be imported.
pub(crate) const ENDINGS: &[&str] =
    &["csv", "tsv", "ndjson", "jsonl", "json", "xlsx", "parquet", "arrow", "arrows", "feather", "ipc"];
/// What may follow them.
const COMPRESSED: &[&str] = &["gz", "zst"];

/// The name without the endings that are known: `flights.csv.gz` is `flights`, `v1.2 data.csv` is
/// `v1.2 data`, and `.csv` stays, for a dataset needs a name.
pub(crate) fn dataset_name(file_name: &str) -> &str {
    let name = without(file_name, COMPRESSED);
    without(without(name, ENDINGS), &["txt"])
}

/// The ending that says what is inside, in lower case, past that of a compression; empty when there is none.
pub(crate) fn ending(file_name: &str) -> String {
    let name = without(file_name, COMPRESSED);
    name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase())
}

fn without<'a>(name: &'a str, endings: &[&str]) -> &'a str {
    match name.rsplit_once('.') {
        Some((before, ending))
            if !before.is_empty() && endings.iter().any(|known| ending.eq_ignore_ascii_case(known)) =>
        {
            before
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_is_called_like_its_file() {
        check("flights.csv", "flights");
        check("flights.CSV.GZ", "flights");
        check("売上 2024.xlsx", "売上 2024");
        check("v1.2 data.parquet", "v1.2 data");
        check("2024.01.csv", "2024.01");
        check("notes.txt", "notes");
        check("table.csv.txt", "table.csv");
        check(".hidden.csv", ".hidden");
        check(".csv", ".csv");
        check("README", "README");
        check("archive.tar.gz", "archive.tar");

        #[track_caller]
        fn check(file: &str, expected: &str) {
            assert_eq!(dataset_name(file), expected);
        }
    }

    #[test]
    fn the_ending_is_that_of_what_is_inside() {
        check("a.CSV", "csv");
        check("a.ndjson.zst", "ndjson");
        check("README", "");
        check(".csv", "csv");

        #[track_caller]
        fn check(file: &str, expected: &str) {
            assert_eq!(ending(file), expected);
        }
    }
}
