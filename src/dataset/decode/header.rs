//! The first row: is it a header, and what are the columns called?

use std::collections::{HashMap, HashSet};

use super::{
    cells::{Kind, NullSet},
    contract::Contract,
    error::{DecodeError, LimitName},
    infer,
    limits::DecodeLimits,
};

/// A first row or a row below it, as far as it decides about the header.
pub(super) type HeadRow = Vec<(String, Kind)>;

/// A header names columns: no cell of it is a number, a boolean or a time. Empty names are forgiven when the rows below
/// show by their types that the first row is another kind of row.
pub(super) fn is_header(rows: &[HeadRow], contract: &Contract) -> bool {
    let nulls = NullSet::new(&contract.null_values);
    let typed = |(text, kind): &(String, Kind)| {
        !nulls.has(text.as_bytes()) && infer::is_typed(text, *kind, contract.era_dates)
    };
    let Some((first, below)) = rows.split_first() else { return false };
    let empty = |(text, _): &(String, Kind)| text.trim().is_empty();
    if first.iter().all(empty) || first.iter().any(typed) {
        return false;
    }
    let differs =
        below.iter().any(|row| row.iter().zip(first).any(|(cell, name)| !empty(name) && typed(cell)));
    differs || !first.iter().any(empty)
}

/// The columns' names, and a warning for each that is not as the file has it.
pub(super) fn names(
    raw: &[String],
    limits: &DecodeLimits,
) -> Result<(Vec<String>, Vec<String>), DecodeError> {
    if raw.len() > limits.columns {
        let reason = format!("expected at most {} columns, got {}", limits.columns, raw.len());
        return Err(DecodeError::OverLimit { what: LimitName::Columns, reason });
    }
    let folded = |name: &str| name.trim().to_lowercase();
    let written: HashSet<String> = raw.iter().map(|name| folded(name)).collect();
    let mut taken = HashSet::new();
    // Where the search for a free number goes on: ten thousand equal names would be counted through each time.
    let mut next_number: HashMap<String, u32> = HashMap::new();
    let mut warnings = Vec::new();
    let mut names = Vec::with_capacity(raw.len());
    for (place, raw) in raw.iter().enumerate() {
        let base = match raw.trim() {
            "" => format!("column_{}", place + 1),
            name => name.to_owned(),
        };
        let free = |name: &String| {
            !taken.contains(&folded(name)) && (!written.contains(&folded(name)) || *name == raw.trim())
        };
        let mut name = base.clone();
        if !free(&name) {
            let number = next_number.entry(folded(&base)).or_insert(1);
            while !free(&name) {
                *number += 1;
                name = format!("{base}_{number}");
            }
        }
        if raw.trim().is_empty() {
            warnings.push(format!("column {} has no name and is called `{name}`", place + 1));
        } else if name != base {
            warnings.push(format!(
                "column {} has the name `{base}` of a column before it and is called `{name}`",
                place + 1
            ));
        }
        taken.insert(folded(&name));
        names.push(name);
    }
    Ok((names, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_unique() {
        check(&["a", "b"], &["a", "b"], 0);
        check(&["", "b", " "], &["column_1", "b", "column_3"], 2);
        check(&["a", "A", "a"], &["a", "A_2", "a_3"], 2);
        check(&["a", "a", "a_2"], &["a", "a_3", "a_2"], 1);
        check(&["column_2", ""], &["column_2", "column_2_2"], 1);
        check(&[" 名前 ", "名前"], &["名前", "名前_2"], 1);

        #[track_caller]
        fn check(raw: &[&str], expected: &[&str], warnings: usize) {
            let raw: Vec<String> = raw.iter().map(|name| (*name).to_owned()).collect();
            let (names, warned) = names(&raw, &DecodeLimits::default()).unwrap();
            assert_eq!(names, expected);
            assert_eq!(warned.len(), warnings, "{warned:?}");
        }
    }

    #[test]
    fn too_many_columns_are_refused() {
        let raw = |count: usize| vec![String::new(); count];
        assert_eq!(names(&raw(10_000), &DecodeLimits::default()).unwrap().0.len(), 10_000);
        let error = names(&raw(10_001), &DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::OverLimit { what: LimitName::Columns, .. }));
    }
}
