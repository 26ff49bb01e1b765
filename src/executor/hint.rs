//! What may help the author of code that failed, beyond the exception: what its inputs are called, and what a sandbox
//! does not have.

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use shirabe_wire::{InputName, PythonError};

/// Names that a hint tells at most.
const NAMES_MAX: usize = 20;
/// Names that look like the one that is missing.
const NEAR_MAX: usize = 3;
/// How alike they have to be, from 0 to 1.
const LIKENESS_MIN: f64 = 0.7;

/// What is known of the run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Keys of `inputs`.
    inputs: Vec<String>,
    columns: Vec<String>,
}

impl Known {
    pub(super) fn new<'a>(inputs: impl Iterator<Item = (&'a InputName, &'a SchemaRef)>) -> Self {
        let mut known = Self::default();
        for (name, schema) in inputs {
            known.inputs.push(name.id.clone());
            known.inputs.extend(name.alias.clone());
            known.columns.extend(schema.fields().iter().map(|field| field.name().clone()));
        }
        known
    }
}

/// A sentence, if there is something to say.
pub(super) fn hint(error: &PythonError, known: &Known) -> Option<String> {
    match error.kind.as_str() {
        "KeyError" | "ColumnNotFoundError" => missing(&error.message, known),
        "MissingFunction" => Some(
            "a transform is a function `def transform(inputs, params)`, a card `def render(dataset, filters, params)`"
                .to_owned(),
        ),
        "PermissionError" | "ConnectionError" | "ConnectionRefusedError" | "gaierror" | "URLError"
        | "FileNotFoundError" | "BlockingIOError" => Some(
            "code has no files, no network and no other processes: its data comes in as `inputs`, and leaves as what \
             it returns"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The message of these is the key that is missing, perhaps in quotes and with more behind it.
fn missing(message: &str, known: &Known) -> Option<String> {
    let key = message.trim_matches(|c: char| c == '\'' || c == '"');
    let key = key.split(['\n', ';']).next().unwrap_or_default();
    let all = || known.inputs.iter().chain(&known.columns);
    let mut near: Vec<(f64, &String)> = all()
        .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &key.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    near.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    near.dedup_by(|(_, one), (_, other)| one == other);
    if !near.is_empty() {
        return Some(format!(
            "near names: {}",
            listed(near.into_iter().take(NEAR_MAX).map(|(_, name)| name))
        ));
    }
    let is_empty = known.inputs.is_empty();
    (!is_empty).then(|| {
        let columns = listed(known.columns.iter().take(NAMES_MAX));
        format!("keys of `inputs`: {}; columns: {columns}", listed(known.inputs.iter().take(NAMES_MAX)))
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn what_is_missing_has_near_names() {
        check("KeyError", "'ammount'", Some("near names: `amount`"));
        check("KeyError", "'order'", Some("near names: `orders`"));
        check("ColumnNotFoundError", "unable to find column \"x\"", Some("keys of `inputs`"));
        check("KeyError", "'zzz'", Some("keys of `inputs`: `ds_1`, `orders`; columns: `amount`, `city`"));
        check(
            "MissingFunction",
            "the code has no function `transform`",
            Some("def transform(inputs, params)"),
        );
        check("PermissionError", "[Errno 1] Operation not permitted", Some("no files, no network"));
        check("ZeroDivisionError", "division by zero", None);

        #[track_caller]
        fn check(kind: &str, message: &str, expected: Option<&str>) {
            let name = InputName { id: "ds_1".to_owned(), alias: Some("orders".to_owned()) };
            let field = |name| Field::new(name, DataType::Int64, true);
            let schema = Arc::new(Schema::new(vec![field("amount"), field("city")]));
            let known = Known::new([(&name, &schema)].into_iter());
            let error = PythonError {
                kind: kind.to_owned(),
                message: message.to_owned(),
                traceback: String::new(),
                line: None,
            };
            let got = hint(&error, &known);
            match expected {
                Some(part) => assert!(got.as_ref().is_some_and(|hint| hint.contains(part)), "{got:?}"),
                None => assert_eq!(got, None),
            }
        }
    }
}
