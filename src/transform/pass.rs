//! Whether a staged version passes its checks: they are asked, and what they found is told.

use std::sync::Arc;

use serde_json::json;

use super::Transforms;
use super::gate::{self, Asked, Expects, Gate};
use super::run::Run;
use crate::catalog::transform::CheckResult;
use crate::clock::Timestamp;
use crate::dataset::made::Staged;
use crate::engine::{Parameters, shown};
use crate::error::{Code, Error, Result};

impl Transforms {
    /// Asks all checks. The first that fails does not hide the others.
    pub(super) async fn pass_gate(&self, run: &mut Run<'_>, staged: &Staged) -> Result<()> {
        let checks = &run.record.settings.checks;
        if checks.is_empty() {
            return Ok(());
        }
        let (candidate, before) = (staged.manifest(), staged.before());
        let gate = Gate::of(checks, candidate, before.map(Arc::as_ref), &sql_time(self.now()));
        let ask = async |statement: String| {
            let (user, deadline, now) = self.asking(run);
            let tables = gate::tables(candidate, before);
            let over = self.engine().over(user, statement, Parameters::new(), tables, (deadline, now));
            self.engine().first_row(over).await
        };
        let shared = match &gate.shared {
            Some(statement) => Some(ask(statement.clone()).await),
            None => None,
        };
        let mut results = Vec::with_capacity(checks.len());
        for asked in &gate.asked {
            results.push(match asked {
                Asked::Known(result) => result.clone(),
                Asked::Shared { check, at, expects } => match &shared {
                    Some(Ok(row)) => {
                        let value =
                            row.as_ref().and_then(|row| row.get(*at)).and_then(|(_, value)| value.as_deref());
                        gate::judge(check.clone(), expects, value)
                    }
                    Some(Err(error)) => unanswered(check, error)?,
                    None => return Err(Error::internal("a check without its statement")),
                },
                Asked::Alone { check, sql, expects } => match ask(sql.clone()).await {
                    Ok(row) if *expects == Expects::NoRow => {
                        gate::judge(check.clone(), expects, row.as_ref().map(shown).as_deref())
                    }
                    Ok(row) => {
                        let value = row.and_then(|mut row| row.pop()).and_then(|(_, value)| value);
                        gate::judge(check.clone(), expects, value.as_deref())
                    }
                    Err(error) => unanswered(check, &error)?,
                },
            });
        }
        for result in &results {
            let word = if result.passed { "passed" } else { "FAILED" };
            run.say(&format!("check {} {word}: {}", result.check, result.message));
        }
        run.told.checks.clone_from(&results);
        let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let told: Vec<_> =
            failed.iter().map(|result| format!("{}: {}", result.check, result.message)).collect();
        let stays = match before {
            Some(before) => format!("version {} stays in force", before.number),
            None => "nothing was published".to_owned(),
        };
        Err(Error::ChecksFailed {
            message: format!(
                "{} of {} checks failed, {stays}: {}",
                failed.len(),
                results.len(),
                told.join("; ")
            ),
            details: json!({ "checks": results }),
        })
    }
}

/// A check that cannot be asked has not passed; what keeps all checks from being asked is no answer to one.
fn unanswered(check: &str, error: &Error) -> Result<CheckResult> {
    match error.code() {
        Code::InvalidSql
        | Code::UnknownName
        | Code::NotSupported
        | Code::BadData
        | Code::ValidationError
        | Code::OverLimit => Ok(CheckResult {
            check: check.to_owned(),
            passed: false,
            message: format!("it cannot be asked: {error}"),
        }),
        _ => Err(error.again()),
    }
}

/// A time as SQL reads it.
fn sql_time(time: Timestamp) -> String {
    time.rfc3339().trim_end_matches('Z').replace('T', " ")
}
