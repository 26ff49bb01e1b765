//! Names that people give to datasets, and the form in which two names are the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::Error;

/// Longest name, in characters.
const CHARS_MAX: usize = 200;

/// The form in which names are compared: compatibility-normalised (full-width `Ａ` is `A`, half-width
/// kana is kana), lower-case, without blanks around it. Two datasets never share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameKey(String);

impl NameKey {
    /// The key of any text; whether the text is a good name is [`check_name`]'s business.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(name.nfkc().collect::<String>().trim().to_lowercase())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name as it is stored: trimmed, otherwise as the user wrote it.
///
/// # Errors
/// `Invalid` when it is empty, longer than 200 characters, holds control characters, or looks like a
/// dataset's id: a statement may name a dataset by either, so a name must never hide an id.
pub fn check_name(name: &str) -> Result<String, Error> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 {
        return Err(Error::invalid_field("name", "`name` is empty"));
    }
    if length > CHARS_MAX {
        return Err(Error::invalid_field(
            "name",
            format!("`name` has {length} characters; at most {CHARS_MAX} are accepted"),
        ));
    }
    if let Some(bad) = name.chars().find(|c| c.is_control()) {
        return Err(Error::invalid_field(
            "name",
            format!("`name` holds the control character U+{:04X}", u32::from(bad)),
        ));
    }
    if crate::ids::DatasetId::parse(NameKey::of(name).as_str()).is_ok() {
        return Err(Error::invalid_field(
            "name",
            format!("`{name}` has the form of a dataset id; choose another name"),
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_the_same() {
        check("Flights", "flights");
        check(" flights ", "flights");
        check("ＳＡＬＥＳ", "sales");
        check("ｳﾘｱｹﾞ", "ウリアゲ");
        check("売上", "売上");

        #[track_caller]
        fn check(name: &str, key: &str) {
            assert_eq!(NameKey::of(name).as_str(), key);
        }
    }

    #[test]
    fn bad_names_are_refused() {
        check("売上 2024", Ok("売上 2024"));
        check("  trips ", Ok("trips"));
        check("   ", Err("empty"));
        check("a\nb", Err("control"));
        check(&"長".repeat(201), Err("201 characters"));
        check("DS_0123456789ab", Err("form of a dataset id"));

        #[track_caller]
        fn check(name: &str, expected: Result<&str, &str>) {
            match (check_name(name), expected) {
                (Ok(got), Ok(want)) => assert_eq!(got, want),
                (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{got}"),
                (got, want) => panic!("{got:?}, expected {want:?}"),
            }
        }
    }
}
