//! The code of a transform as a run of Python.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use shirabe_wire::{Frames, InputName, Job, Limits};

use super::quote::name;
use super::{Sample, Transforms};
use crate::auth::Principal;
use crate::catalog::Manifest;
use crate::catalog::record::DatasetRecord;
use crate::catalog::transform::{FrameKind, TransformInput, TransformRecord};
use crate::engine::{Parameters, QuerySpec};
use crate::error::{Error, Result};
use crate::executor::{Class, InputRows, Output, PythonRun};

/// The table of an input, in the statement that reads it.
const INPUT: &str = "input";

/// How long the syntax of a transform may take to be read.
const SYNTAX_DEADLINE_MS: u64 = 10_000;

/// Whether there is a function to be called, as far as that can be told without Python.
///
/// # Errors
/// `Invalid` when there is none.
pub(super) fn check(code: &str) -> Result<()> {
    let defines = |line: &str| {
        let rest =
            line.strip_prefix("def ").map(str::trim_start).and_then(|rest| rest.strip_prefix("transform"));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
            || line.strip_prefix("transform").is_some_and(|rest| rest.trim_start().starts_with('='))
            || (line.contains("import") && line.trim_end().ends_with("transform"))
    };
    if code.lines().any(defines) {
        return Ok(());
    }
    let message = "the code has no function `transform`: begin with `def transform(inputs, params):`";
    Err(Error::invalid_field("code", message))
}

impl Transforms {
    /// Has Python read the code without running it. Where no Python runs, the first execution tells.
    pub(super) async fn check_syntax(&self, by: &Principal, code: &str) -> Result<()> {
        let mut job = Job::transform(include_str!("syntax.py"));
        job.params = json!({ "code": code });
        let run = PythonRun {
            job,
            inputs: Vec::new(),
            limits: Limits {
                deadline_ms: SYNTAX_DEADLINE_MS,
                memory_bytes_max: 256 << 20,
                ..Limits::transform()
            },
            class: Class::Card,
            lines: None,
            user_id: by.user_id.clone(),
        };
        let mut rows = match self.executor().run(run).await.result {
            Ok(Output::Rows { rows, .. }) => rows,
            Ok(Output::Card { .. }) => return Err(Error::internal("a transform ended as a card")),
            Err(error) => {
                tracing::debug!(%error, "the syntax of a transform was not checked");
                return Ok(());
            }
        };
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            let number = |at: usize| batch.column(at).as_primitive::<Int64Type>().value(0);
            let (line, column) = (number(0), number(1));
            let message = batch.column(2).as_string::<i32>().value(0);
            return Err(Error::Invalid {
                message: format!("line {line}, column {column} of `code`: {message}"),
                details: json!({ "field": "code", "line": line, "column": column }),
            });
        }
        Ok(())
    }

    /// Whether the columns and the filter of an input fit its dataset.
    pub(super) async fn check_input(
        &self,
        by: &Principal,
        input: &TransformInput,
        dataset: &DatasetRecord,
    ) -> Result<()> {
        if input.columns.is_none() && input.filter.is_none() {
            return Ok(());
        }
        let manifest = self.engine().manifest(&dataset.current).await?;
        selected(&manifest, input)?;
        self.plan_check(self.read(by, &manifest, input, None, Duration::from_secs(10)))
            .await
            .map_err(|error| Error::invalid_field("inputs", format!("the input `{}`: {error}", dataset.name)))
    }

    /// The statement that reads an input.
    fn read(
        &self,
        by: &Principal,
        manifest: &Arc<Manifest>,
        input: &TransformInput,
        sample: Option<&Sample>,
        deadline: Duration,
    ) -> QuerySpec {
        let columns = match &input.columns {
            Some(columns) => columns.iter().map(|column| name(column)).collect::<Vec<_>>().join(", "),
            None => "*".to_owned(),
        };
        // On lines of their own, so that a comment at the end of a condition ends there.
        let filter =
            input.filter.as_ref().map_or_else(String::new, |filter| format!(" WHERE (\n{filter}\n)"));
        let mut statement = format!("SELECT {columns} FROM {INPUT}{filter}");
        if let Some(sample) = sample {
            statement = format!("SELECT * FROM (\n{statement}\n) AS {INPUT}{}", sample.clauses());
        }
        let tables = [(INPUT.to_owned(), Arc::clone(manifest))];
        let user = by.user_id.clone();
        let spec = self.engine().over(user, statement, Parameters::new(), tables, (deadline, self.now()));
        // What code makes of its rows may depend on their order, and should be the same each time.
        QuerySpec { in_order: true, ..spec }
    }

    /// A run of the code over versions of its inputs, in their order.
    pub(super) fn python_run(
        &self,
        by: &Principal,
        record: &TransformRecord,
        params: &Value,
        inputs: &[(DatasetRecord, Arc<Manifest>)],
        (sample, deadline): (Option<&Sample>, Duration),
    ) -> Result<PythonRun> {
        let mut job = Job::transform(record.code.as_str());
        job.params = params.clone();
        job.frames = frames(record.settings.frames);
        let mut rows = Vec::with_capacity(inputs.len());
        for (input, (dataset, manifest)) in record.inputs.iter().zip(inputs) {
            let schema = selected(manifest, input)?;
            let alias = input.alias.clone().unwrap_or_else(|| dataset.name.clone());
            let spec = self.read(by, manifest, input, sample, deadline);
            let engine = self.engine().clone();
            // What is wrong with it is told when it is read.
            let same = (!engine.is_volatile(&spec).unwrap_or(true)).then(|| spec.fingerprint());
            // Nothing is asked of the engine before the run has its turn.
            let stream = stream::once(async move { engine.run(spec).await }).try_flatten();
            rows.push(InputRows {
                name: InputName { id: dataset.id.to_string(), alias: Some(alias) },
                schema,
                rows: stream.boxed(),
                same,
            });
        }
        let settings = self.settings();
        let memory = record.settings.memory_mb.map_or(settings.memory_bytes_max, |memory| memory << 20);
        let limits = Limits {
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            memory_bytes_max: memory,
            ..Limits::transform()
        };
        Ok(PythonRun {
            job,
            inputs: rows,
            limits,
            class: Class::Transform,
            lines: None,
            user_id: by.user_id.clone(),
        })
    }
}

/// The columns that an input hands over.
fn selected(manifest: &Manifest, input: &TransformInput) -> Result<SchemaRef> {
    let schema = manifest.schema();
    let Some(columns) = &input.columns else { return Ok(schema) };
    if columns.is_empty() {
        let message = format!("`columns` of the input `{}` is empty: leave it out for all", input.dataset_id);
        return Err(Error::invalid_field("inputs", message));
    }
    let fields = columns.iter().map(|column| {
        schema.field_with_name(column).cloned().map_err(|_| {
            let message = format!("the input `{}` has no column `{column}`", input.dataset_id);
            Error::invalid_field("inputs", message)
        })
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn frames(kind: FrameKind) -> Frames {
    match kind {
        FrameKind::Pandas => Frames::Pandas,
        FrameKind::PandasArrow => Frames::PandasArrow,
        FrameKind::Polars => Frames::Polars,
        FrameKind::Pyarrow => Frames::Pyarrow,
    }
}

impl Sample {
    /// What follows the table in a statement.
    pub(super) fn clauses(&self) -> String {
        match self {
            Self::First { rows } => format!(" LIMIT {rows}"),
            // Of each thousand rows so many: the share is the caller's, the bound is that of all samples.
            Self::Random { share, rows } => format!(" WHERE random() < {share} LIMIT {rows}"),
            Self::Where { condition, rows } => format!(" WHERE (\n{condition}\n) LIMIT {rows}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_has_to_be_there() {
        for good in [
            "def transform(inputs, params):\n    return 1",
            "import x\n\ndef transform (inputs, params): ...",
            "transform = lambda inputs, params: None",
        ] {
            check(good).unwrap();
        }
        for bad in [
            "",
            "def render(x): pass",
            "  def transform(a, b): pass",
            "# def transform(",
            "def transformer(a, b): pass",
        ] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("no function `transform`"), "{bad}");
        }
    }
}
