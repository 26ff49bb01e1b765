//! Every key there is. Made from identifiers and labels only, so no text a user wrote can name a path.

use object_store::path::Path;

use crate::ids::{DatasetId, random_digits};

/// Below it lies everything of all datasets.
pub const ROOT: &str = "datasets";

/// A label for version `number`, unique even between two imports that race for the same number.
#[must_use]
pub fn new_label(number: u64) -> String {
    let random = random_digits();
    format!("{number:06}-{}", &random[..8])
}

/// Below it lies everything of one dataset.
#[must_use]
pub fn dataset(id: &DatasetId) -> Path {
    Path::from_iter([ROOT, id.as_str()])
}

/// The folders of a version's data files: those of the whole, and those of days.
#[must_use]
pub fn data_folders(id: &DatasetId, label: &str) -> [Path; 2] {
    ["data", "partitions"].map(|kind| Path::from_iter([ROOT, id.as_str(), kind, label]))
}

/// The `index`-th data file of a version.
#[must_use]
pub fn data_file(id: &DatasetId, label: &str, index: usize) -> Path {
    Path::from_iter([ROOT, id.as_str(), "data", label, &part(index)])
}

/// The `index`-th data file of one day of a version that is split by days. `column` is escaped the way
/// Hive does it for `/`, `%`, `=` and what else a path cannot hold.
#[must_use]
pub fn partition_file(id: &DatasetId, label: &str, column: &str, day: &str, index: usize) -> Path {
    let folder = format!("{}={day}", escape(column));
    Path::from_iter([ROOT, id.as_str(), "partitions", label, &folder, &part(index)])
}

/// The manifest of a version.
#[must_use]
pub fn manifest(id: &DatasetId, label: &str) -> Path {
    Path::from_iter([ROOT, id.as_str(), "versions", &format!("{label}.json")])
}

/// A key as a manifest has it. Letters beyond ASCII are written as `%XX` there, and are not to be escaped once more.
#[must_use]
pub fn stored(text: &str) -> Path {
    Path::parse(text).unwrap_or_else(|_| Path::from(text))
}

/// Below it lie the manifests of a dataset, by its id as a folder is called.
#[must_use]
pub fn manifests(id: &str) -> Path {
    Path::from_iter([ROOT, id, "versions"])
}

/// The rows set aside while a version was imported.
#[must_use]
pub fn quarantine(id: &DatasetId, label: &str) -> Path {
    Path::from_iter([ROOT, id.as_str(), "quarantine", &format!("{label}.ndjson")])
}

fn part(index: usize) -> String {
    format!("part-{index:04}.parquet")
}

/// Letters and digits of any script, `_` and `-` stay; all else becomes `_XX` per byte.
fn escape(column: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(column.len());
    for c in column.chars() {
        if c.is_alphanumeric() || c == '-' || c == '_' {
            text.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "_{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_layout_of_the_contract() {
        let id = DatasetId::parse("ds_0123456789ab").unwrap();
        let label = "000007-89abcdef";
        check(&data_file(&id, label, 0), "datasets/ds_0123456789ab/data/000007-89abcdef/part-0000.parquet");
        check(
            &partition_file(&id, label, "day", "2024-01-05", 12),
            "datasets/ds_0123456789ab/partitions/000007-89abcdef/day=2024-01-05/part-0012.parquet",
        );
        check(&manifest(&id, label), "datasets/ds_0123456789ab/versions/000007-89abcdef.json");
        check(&quarantine(&id, label), "datasets/ds_0123456789ab/quarantine/000007-89abcdef.ndjson");

        #[track_caller]
        fn check(key: &Path, expected: &str) {
            assert_eq!(key.as_ref(), expected);
        }
    }

    #[test]
    fn a_key_that_was_stored_is_the_same_key() {
        let id = DatasetId::parse("ds_0123456789ab").unwrap();
        for column in ["day", "計上日", "a%b/c", "ä ö"] {
            let key = partition_file(&id, "000007-89abcdef", column, "2024-01-05", 0);
            assert_eq!(stored(key.as_ref()), key, "{column}");
        }
    }

    #[test]
    fn a_column_name_cannot_leave_its_folder() {
        assert_eq!(escape("../../etc"), "_2E_2E_2F_2E_2E_2Fetc");
        assert_eq!(escape("a=b/c#1"), "a_3Db_2Fc_231");
        assert_eq!(escape("取引日"), "取引日");
        assert_eq!(escape("a\0"), "a_00");
    }

    #[test]
    fn labels_sort_by_number() {
        assert!(new_label(9) < new_label(10));
        assert_ne!(new_label(1), new_label(1));
    }
}
