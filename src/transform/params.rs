//! The parameters of an execution: those of the transform, what the execution gives over them, and the schema that
//! both have to meet.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value, json};

use super::incremental::high_water_column;
use crate::catalog::transform::TransformRecord;
use crate::clock::Timestamp;
use crate::engine::{Parameters, WrittenParameters};
use crate::error::{Error, Result};

/// Longest parameters and longest schema, in bytes of JSON.
const BYTES_MAX: usize = 64 << 10;

/// Errors of a schema that are told at once.
const TOLD_MAX: usize = 5;

/// The parameter that an execution gets from what is there already.
pub(super) const HIGH_WATER: &str = "high_water";
/// The parameter that is the time an execution is due; of one by hand, when it began.
pub(super) const SCHEDULED_AT: &str = "scheduled_at";

/// Checks what a transform keeps.
///
/// # Errors
/// `Invalid` when the parameters are no object, are too long, or do not meet the schema, or that is none.
pub(super) fn check(params: &Value, schema: Option<&Value>) -> Result<()> {
    let object = params
        .as_object()
        .ok_or_else(|| Error::invalid_field("params", format!("`params` is {params}, expected an object")))?;
    if let Some(ours) = [HIGH_WATER, SCHEDULED_AT].into_iter().find(|name| object.contains_key(*name)) {
        let message = format!("`{ours}` is given by the service: call the parameter something else");
        return Err(Error::invalid_field("params", message));
    }
    short("params", params)?;
    let Some(schema) = schema else { return Ok(()) };
    short("params_schema", schema)?;
    // What the transform leaves open is given by each execution, so only what is there has to fit.
    let mut open = schema.clone();
    if let Some(open) = open.as_object_mut() {
        open.remove("required");
    }
    validator(schema)?;
    meets(&validator(&open)?, params)
}

/// The parameters of an execution.
///
/// # Errors
/// `Invalid` when they are no object, or do not meet the schema.
pub(super) fn of_execution(transform: &TransformRecord, given: &Value) -> Result<Value> {
    let mut merged = transform.params.as_object().cloned().unwrap_or_default();
    match given {
        Value::Null => {}
        Value::Object(given) => merged.extend(given.clone()),
        other => {
            return Err(Error::invalid_field("params", format!("`params` is {other}, expected an object")));
        }
    }
    let merged = Value::Object(merged);
    check(&merged, None)?;
    if let Some(schema) = &transform.settings.params_schema {
        meets(&validator(schema)?, &merged)?;
    }
    Ok(merged)
}

/// Adds what the service gives to what Python code finds in `params`.
pub(super) fn give_python(
    params: &mut Value,
    transform: &TransformRecord,
    high_water: &Value,
    scheduled_at: Timestamp,
) {
    let Some(object) = params.as_object_mut() else { return };
    object.insert(SCHEDULED_AT.to_owned(), Value::String(scheduled_at.rfc3339()));
    if high_water_column(&transform.settings.write).is_some() {
        object.insert(HIGH_WATER.to_owned(), high_water.clone());
    }
}

/// The values of a statement's `$name`s. What the statement does not ask for is left out: a parameter may be there for
/// people to read.
pub(super) fn of_statement(statement: &str, params: &Value) -> Result<Parameters> {
    let asked: Map<String, Value> = params
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| asks_for(statement, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let written = serde_json::to_string(&asked).map_err(Error::internal)?;
    let written: WrittenParameters = serde_json::from_str(&written).map_err(Error::internal)?;
    written.read()
}

/// Whether `$name` stands in a statement.
pub(super) fn asks_for(statement: &str, name: &str) -> bool {
    let sign = format!("${name}");
    statement.match_indices(&sign).any(|(at, _)| {
        let after = statement[at + sign.len()..].chars().next();
        !after.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

fn short(field: &'static str, value: &Value) -> Result<()> {
    let bytes = value.to_string().len();
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid_field(field, format!("`{field}` has {bytes} bytes; at most {BYTES_MAX} are accepted")))
}

fn validator(schema: &Value) -> Result<Validator> {
    // Patterns come from whoever writes the schema, and must not be able to take for ever.
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|cause| {
        let place = cause.instance_path().to_string();
        Error::invalid_field(
            "params_schema",
            format!("`params_schema` is no JSON schema: {cause} (at `{place}`)"),
        )
    })
}

fn meets(validator: &Validator, params: &Value) -> Result<()> {
    let wrong: Vec<_> = validator
        .iter_errors(params)
        .take(TOLD_MAX)
        .map(|error| (error.instance_path().to_string(), error.to_string()))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let told = wrong.iter().map(|(place, why)| match place.as_str() {
        "" => why.clone(),
        place => format!("{why} (at `{place}`)"),
    });
    let message = format!("`params` does not meet its schema: {}", told.collect::<Vec<_>>().join("; "));
    let places: Vec<_> = wrong.iter().map(|(place, why)| json!({ "path": place, "message": why })).collect();
    Err(Error::Invalid { message, details: json!({ "field": "params", "errors": places }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_gets_what_it_asks_for() {
        let params = json!({ "from": "2024-01-01", "top": 3, "note": "for people" });
        let found = of_statement("select * from t where d >= $from limit $top", &params).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["from", "top"]);
        assert!(!asks_for("select $from_day", "from"));
        assert!(asks_for("select $from_day + $from", "from"));
    }

    #[test]
    fn parameters_meet_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": { "top": { "type": "integer", "minimum": 1 }, "city": { "type": "string", "pattern": "^[a-z]+$" } },
            "required": ["city"],
            "additionalProperties": false,
        });
        check_ok(&json!({}), &schema);
        check_ok(&json!({ "top": 3 }), &schema);
        check_bad(&json!({ "top": 0 }), &schema, "0 is less than the minimum of 1 (at `/top`)");
        check_bad(&json!({ "topp": 1 }), &schema, "'topp' was unexpected");
        check_bad(&json!({ "city": "Oslo" }), &schema, "at `/city`");
        check_bad(&json!([]), &schema, "expected an object");
        check_bad(&json!({ "high_water": 1 }), &schema, "is given by the service");
        check_bad(&json!({}), &json!({ "type": "nothing" }), "`params_schema` is no JSON schema");

        #[track_caller]
        fn check_ok(params: &Value, schema: &Value) {
            super::check(params, Some(schema)).unwrap();
        }

        #[track_caller]
        fn check_bad(params: &Value, schema: &Value, expected: &str) {
            let error = super::check(params, Some(schema)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
