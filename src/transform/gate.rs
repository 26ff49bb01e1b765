//! The gate before publishing: what has to hold of a version before readers get it.
//!
//! Checks become statements over the tables `candidate` and `previous`, run by the engine like any other. All checks
//! that one pass over the rows can answer share one.

use std::sync::Arc;

use serde_json::Value;

use super::quote::{literal, name};
use crate::catalog::Manifest;
use crate::catalog::transform::{Check, CheckResult};
use crate::dataset::schema_change::{SchemaChange, between};
use crate::error::{Error, Result};
use crate::limits::CHECKS_MAX;

/// The version to be, as checks name it.
pub(super) const CANDIDATE: &str = "candidate";
/// The version in force, for statements of the user's; the candidate itself before there is one.
pub(super) const PREVIOUS: &str = "previous";

/// A check, ready to be asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// Known without reading a row.
    Known(CheckResult),
    /// The column of this number in the shared statement.
    Shared { check: String, at: usize, expects: Expects },
    /// A statement of its own.
    Alone { check: String, sql: String, expects: Expects },
}

/// What the one value of a statement has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expects {
    /// Zero: how many rows offend, in these words.
    None(String),
    /// No row at all.
    NoRow,
    /// Not NULL and true: fresh enough.
    Fresh { column: String, hours: u64 },
}

/// All checks of a version.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) asked: Vec<Asked>,
    /// One row, with a column for each that is shared.
    pub(super) shared: Option<String>,
}

/// Whether checks make sense by themselves; whether their columns are there is known when there is a version.
///
/// # Errors
/// `Invalid`, which names the check.
pub(super) fn check_all(checks: &[Check]) -> Result<()> {
    let wrong = |check: &Check, why: &str| {
        Err(Error::invalid_field("checks", format!("the check `{}` {why}", title(check))))
    };
    if checks.len() > CHECKS_MAX {
        let message = format!("there are {} checks; at most {CHECKS_MAX} are accepted", checks.len());
        return Err(Error::invalid_field("checks", message));
    }
    for check in checks {
        match check {
            Check::Unique { columns } if columns.is_empty() => return wrong(check, "names no column"),
            Check::AcceptedValues { values, .. } if values.is_empty() => {
                return wrong(check, "accepts no value");
            }
            Check::AcceptedValues { values, .. } if values.iter().any(|value| literal(value).is_none()) => {
                return wrong(check, "has a value that is no text, number or boolean");
            }
            Check::Range { min: None, max: None, .. } | Check::RowCount { min: None, max: None } => {
                return wrong(check, "has neither `min` nor `max`");
            }
            Check::Range { min, max, .. }
                if [min, max].into_iter().flatten().any(|v| literal(v).is_none()) =>
            {
                return wrong(check, "has a bound that is no text or number");
            }
            Check::RowCountChange { max_decrease: None, max_increase: None } => {
                return wrong(check, "has neither `max_decrease` nor `max_increase`");
            }
            Check::RowCountChange { max_decrease, max_increase }
                if [max_decrease, max_increase]
                    .into_iter()
                    .flatten()
                    .any(|share| share.is_nan() || *share < 0.0) =>
            {
                return wrong(check, "has a share below 0");
            }
            Check::Sql { name, .. } if name.trim().is_empty() => return wrong(check, "has no name"),
            _ => {}
        }
    }
    Ok(())
}

impl Gate {
    /// What to ask of `candidate`. `now` is a time as SQL reads it.
    pub(super) fn of(checks: &[Check], candidate: &Manifest, previous: Option<&Manifest>, now: &str) -> Self {
        let mut gate = Self { asked: Vec::new(), shared: None };
        let mut shared: Vec<String> = Vec::new();
        for check in checks {
            let asked = match missing_column(check, candidate) {
                Some(column) => Asked::Known(failed(check, format!("there is no column `{column}`"))),
                None => ask(check, candidate, previous, now, &mut shared),
            };
            gate.asked.push(asked);
        }
        if !shared.is_empty() {
            gate.shared = Some(format!("SELECT {} FROM {CANDIDATE}", shared.join(", ")));
        }
        gate
    }
}

fn ask(
    check: &Check,
    candidate: &Manifest,
    previous: Option<&Manifest>,
    now: &str,
    shared: &mut Vec<String>,
) -> Asked {
    let mut share = |condition: String, words: String| {
        shared.push(format!("count(*) FILTER (WHERE {condition})"));
        Asked::Shared { check: title(check), at: shared.len() - 1, expects: Expects::None(words) }
    };
    match check {
        Check::NotNull { column } => {
            share(format!("{} IS NULL", name(column)), format!("rows have no `{column}`"))
        }
        Check::AcceptedValues { column, values } => {
            let values: Vec<_> = values.iter().filter_map(literal).collect();
            let condition = format!("{} NOT IN ({})", name(column), values.join(", "));
            share(condition, format!("rows have a `{column}` that is none of the accepted values"))
        }
        Check::Range { column, min, max } => {
            let bound = |sign: &str, bound: &Option<Value>| {
                bound.as_ref().and_then(literal).map(|bound| format!("{} {sign} {bound}", name(column)))
            };
            let outside: Vec<_> = [bound("<", min), bound(">", max)].into_iter().flatten().collect();
            share(outside.join(" OR "), format!("rows have a `{column}` outside of the range"))
        }
        Check::Unique { columns } => {
            let columns: Vec<_> = columns.iter().map(|column| name(column)).collect();
            let sql = format!(
                "SELECT coalesce(sum(c), 0) FROM (SELECT count(*) AS c FROM {CANDIDATE} GROUP BY {} HAVING count(*) > 1) AS repeated",
                columns.join(", ")
            );
            let words = format!("rows share their {}", columns.join(", "));
            Asked::Alone { check: title(check), sql, expects: Expects::None(words) }
        }
        Check::Freshness { column, max_age_hours } => {
            shared.push(format!(
                "max({}) >= TIMESTAMP '{now}' - INTERVAL '{max_age_hours} hours'",
                name(column)
            ));
            let expects = Expects::Fresh { column: column.clone(), hours: *max_age_hours };
            Asked::Shared { check: title(check), at: shared.len() - 1, expects }
        }
        Check::Sql { sql, .. } => {
            Asked::Alone { check: title(check), sql: sql.clone(), expects: Expects::NoRow }
        }
        Check::RowCount { .. } | Check::RowCountChange { .. } | Check::Schema => {
            Asked::Known(known(check, candidate, previous))
        }
    }
}

/// The outcome of a check that the manifests answer.
fn known(check: &Check, candidate: &Manifest, previous: Option<&Manifest>) -> CheckResult {
    let rows = candidate.row_count;
    match check {
        Check::RowCount { min, max } => {
            let fits = min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
            let bounds = match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (_, Some(max)) => format!("at most {max}"),
                (None, None) => "any number".to_owned(),
            };
            judged(check, fits, format!("expected {bounds} rows, got {rows}"))
        }
        Check::RowCountChange { max_decrease, max_increase } => {
            let Some(previous) = previous else {
                return judged(check, true, "there is no version to compare with".to_owned());
            };
            let was = previous.row_count;
            #[expect(clippy::cast_precision_loss, reason = "a share, to be compared with a share")]
            let change = if was == 0 {
                if rows == 0 { 0.0 } else { f64::INFINITY }
            } else {
                rows as f64 / was as f64 - 1.0
            };
            let fits = max_decrease.is_none_or(|most| -change <= most)
                && max_increase.is_none_or(|most| change <= most);
            judged(
                check,
                fits,
                format!("{was} rows before, {rows} now: a change of {:+.1} %", change * 100.0),
            )
        }
        Check::Schema => {
            let Some(previous) = previous else {
                return judged(check, true, "there is no version to compare with".to_owned());
            };
            let broken: Vec<_> = between(&previous.columns, &candidate.columns)
                .into_iter()
                .filter_map(|change| match change {
                    SchemaChange::ColumnAdded { .. } => None,
                    SchemaChange::ColumnRemoved { column, .. } => Some(format!("`{column}` is gone")),
                    SchemaChange::TypeChanged { column, old_type, new_type } => {
                        Some(format!("`{column}` was {old_type} and is {new_type}"))
                    }
                })
                .collect();
            let message = match broken.is_empty() {
                true => "all columns are there".to_owned(),
                false => broken.join(", "),
            };
            judged(check, broken.is_empty(), message)
        }
        _ => judged(check, true, String::new()),
    }
}

fn judged(check: &Check, passed: bool, message: String) -> CheckResult {
    CheckResult { check: title(check), passed, message }
}

fn failed(check: &Check, message: String) -> CheckResult {
    judged(check, false, message)
}

fn missing_column<'a>(check: &'a Check, candidate: &Manifest) -> Option<&'a str> {
    let named: Vec<&str> = match check {
        Check::NotNull { column }
        | Check::AcceptedValues { column, .. }
        | Check::Range { column, .. }
        | Check::Freshness { column, .. } => vec![column],
        Check::Unique { columns } => columns.iter().map(String::as_str).collect(),
        Check::RowCount { .. } | Check::RowCountChange { .. } | Check::Schema | Check::Sql { .. } => {
            Vec::new()
        }
    };
    named.into_iter().find(|named| !candidate.columns.iter().any(|column| column.name == *named))
}

/// As its author would call it.
pub(super) fn title(check: &Check) -> String {
    match check {
        Check::NotNull { column } => format!("not_null({column})"),
        Check::Unique { columns } => format!("unique({})", columns.join(", ")),
        Check::AcceptedValues { column, .. } => format!("accepted_values({column})"),
        Check::Range { column, .. } => format!("range({column})"),
        Check::RowCount { .. } => "row_count".to_owned(),
        Check::RowCountChange { .. } => "row_count_change".to_owned(),
        Check::Freshness { column, .. } => format!("freshness({column})"),
        Check::Schema => "schema".to_owned(),
        Check::Sql { name, .. } => format!("sql({name})"),
    }
}

/// Whether a value is what is expected, and what to say of it. `None` is NULL, or that there was no row.
pub(super) fn judge(check: String, expects: &Expects, value: Option<&str>) -> CheckResult {
    let (passed, message) = match expects {
        Expects::None(words) => match value {
            Some("0") | None => (true, "as expected".to_owned()),
            Some(count) => (false, format!("{count} {words}")),
        },
        Expects::NoRow => match value {
            None => (true, "no row, as expected".to_owned()),
            Some(row) => (false, format!("the statement found rows, the first of which is {row}")),
        },
        Expects::Fresh { column, hours } => match value {
            Some("true") => (true, "as expected".to_owned()),
            Some(_) => (false, format!("the latest `{column}` is more than {hours} hours old")),
            None => (false, format!("no row has a `{column}`")),
        },
    };
    CheckResult { check, passed, message }
}

/// The tables that checks read.
pub(super) fn tables(
    candidate: &Arc<Manifest>,
    previous: Option<&Arc<Manifest>>,
) -> [(String, Arc<Manifest>); 2] {
    let before = previous.unwrap_or(candidate);
    [(CANDIDATE.to_owned(), Arc::clone(candidate)), (PREVIOUS.to_owned(), Arc::clone(before))]
}
