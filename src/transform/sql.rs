//! The statement of a transform as a query.

use serde_json::Value;

use super::define::names_of;
use super::incremental::{HighWater, high_water_column};
use super::params::{self, HIGH_WATER, SCHEDULED_AT};
use super::{Sample, Transforms, quote};
use crate::catalog::record::QueryKind;
use crate::catalog::transform::TransformRecord;
use crate::clock::Timestamp;
use crate::engine::{Parameter, ParameterType, QuerySpec, Request};
use crate::error::Result;
use crate::ids::QueryId;

impl Transforms {
    /// What is asked of the engine for a transform with these parameters.
    ///
    /// # Errors
    /// `Invalid` for a parameter that has no value that SQL knows.
    pub(super) fn request_of(
        &self,
        record: &TransformRecord,
        params: &Value,
        high_water: Option<&HighWater>,
        scheduled_at: Timestamp,
    ) -> Result<Request> {
        let statement = &record.code;
        let mut parameters = params::of_statement(statement, params)?;
        if high_water_column(&record.settings.write).is_some() && params::asks_for(statement, HIGH_WATER) {
            let parameter =
                high_water.map_or_else(|| HighWater::none().parameter, |high| high.parameter.clone());
            parameters.insert(HIGH_WATER.to_owned(), parameter);
        }
        if params::asks_for(statement, SCHEDULED_AT) {
            let text = scheduled_at.rfc3339();
            let parameter = Parameter::one(SCHEDULED_AT, ParameterType::DatetimeUtc, Some(&text))?;
            parameters.insert(SCHEDULED_AT.to_owned(), parameter);
        }
        Ok(Request {
            parameters,
            use_cache: false,
            kind: QueryKind::Transform,
            names: names_of(record),
            ..Request::new(QueryId::random(), statement.clone())
        })
    }

    /// Plans a statement as it will run, and runs nothing.
    pub(super) async fn plan_check(&self, spec: QuerySpec) -> Result<()> {
        self.engine().lineage(spec).await.map(drop)
    }
}

/// The statement with a sample in the place of each of its tables.
pub(super) fn sampled(statement: &str, tables: &[String], sample: &Sample) -> String {
    let tables = tables.iter().map(|table| {
        let table = quote::name(table);
        format!("{table} AS (SELECT * FROM {table}{})", sample.clauses())
    });
    let samples = tables.collect::<Vec<_>>().join(", ");
    let text = statement.trim().trim_end_matches(';');
    match rest_of_with(text) {
        Some(rest) => format!("WITH {samples}, {rest}"),
        None => format!("WITH {samples} {text}"),
    }
}

/// What follows the word `WITH` at the beginning of a statement.
fn rest_of_with(text: &str) -> Option<&str> {
    let word = text.get(..4)?;
    let rest = &text[4..];
    (word.eq_ignore_ascii_case("with") && rest.starts_with(char::is_whitespace)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_before_what_the_statement_names_itself() {
        check(
            "select * from trips;",
            r#"WITH "trips" AS (SELECT * FROM "trips" LIMIT 10) select * from trips"#,
        );
        check(
            "WITH x AS (SELECT 1) SELECT * FROM x, trips",
            r#"WITH "trips" AS (SELECT * FROM "trips" LIMIT 10),  x AS (SELECT 1) SELECT * FROM x, trips"#,
        );
        check("withdrawals", r#"WITH "trips" AS (SELECT * FROM "trips" LIMIT 10) withdrawals"#);

        #[track_caller]
        fn check(statement: &str, expected: &str) {
            assert_eq!(sampled(statement, &["trips".to_owned()], &Sample::First { rows: 10 }), expected);
        }
    }
}
