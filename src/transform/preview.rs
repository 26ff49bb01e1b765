//! Trying a transform out: its code over samples of its inputs, with nothing published.

use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use serde_json::Value;

use super::define::TransformDraft;
use super::incremental::HighWater;
use super::{Transforms, params, python, sql};
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::transform::{Language, Schedule, TransformRecord, TransformSettings, Usage};
use crate::dataset::write::Batches;
use crate::error::{Error, Result};
use crate::executor::Output;
use crate::ids::{DatasetId, TransformId};

/// Rows of an input that a sample has at most.
const SAMPLE_ROWS_MAX: u64 = 1_000_000;

/// How long a person waits for a preview.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is taken of each input.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    First {
        rows: u64,
    },
    /// Each row with this chance, 0 to 1.
    Random {
        share: f64,
        rows: u64,
    },
    /// Rows that meet a condition of SQL.
    Where {
        condition: String,
        rows: u64,
    },
}

impl Sample {
    /// # Errors
    /// `Invalid` for a sample of nothing or of too much.
    fn check(&self) -> Result<()> {
        let (Self::First { rows } | Self::Random { rows, .. } | Self::Where { rows, .. }) = self;
        if !(1..=SAMPLE_ROWS_MAX).contains(rows) {
            let message = format!("`sample.rows` is {rows}: expected 1 to {SAMPLE_ROWS_MAX}");
            return Err(Error::invalid_field("sample", message));
        }
        match self {
            Self::Random { share, .. } if !(*share > 0.0 && *share <= 1.0) => Err(Error::invalid_field(
                "sample",
                format!("`sample.share` is {share}: expected more than 0, at most 1"),
            )),
            _ => Ok(()),
        }
    }
}

/// What is tried out.
#[derive(Debug)]
pub struct PreviewRequest {
    /// One that is kept; without it `draft` has all.
    pub transform: Option<TransformId>,
    /// Over what is kept.
    pub draft: TransformDraft,
    pub params: Value,
    pub sample: Sample,
    /// Rows of the result that are wanted.
    pub rows: u64,
}

/// The rows of a preview, and what came along.
pub struct Preview {
    pub schema: SchemaRef,
    /// No more than were wanted.
    pub rows: Batches,
    pub log: String,
    pub usage: Usage,
    pub elapsed: Duration,
}

impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preview").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Transforms {
    /// Runs code over samples, by the rights of `by`.
    ///
    /// # Errors
    /// What is wrong with the code, its parameters or the sample; as for an execution.
    pub async fn preview(&self, by: &Principal, request: PreviewRequest) -> Result<Preview> {
        let started = Instant::now();
        request.sample.check()?;
        let mut record = match &request.transform {
            Some(id) => self.allowed(by, Action::ReadTransform, id).await?,
            None => {
                authorize(by, Action::CreateTransform, &Object::Service)?;
                self.nothing_yet(by)
            }
        };
        request.draft.over(&mut record);
        let params = params::of_execution(&record, &request.params)?;
        let deadline = PATIENCE.min(self.settings().timeout);
        let (schema, rows, log, usage) = match record.language {
            Language::Sql => {
                let (schema, rows) =
                    self.preview_sql(by, &record, &params, &request.sample, deadline).await?;
                (schema, rows, String::new(), Usage::default())
            }
            Language::Python => self.preview_python(by, &record, params, &request.sample, deadline).await?,
        };
        let rows = first(rows, request.rows);
        Ok(Preview { schema, rows, log, usage, elapsed: started.elapsed() })
    }

    async fn preview_sql(
        &self,
        by: &Principal,
        record: &TransformRecord,
        params: &Value,
        sample: &Sample,
        deadline: Duration,
    ) -> Result<(SchemaRef, Batches)> {
        let mut request = self.request_of(record, params, Some(&HighWater::none()), self.now())?;
        // Resolved as it is first, so that what is wrong is told with its place.
        let spec = self.resolve(by, request.clone()).await?;
        let tables: Vec<_> = spec.tables.iter().map(|table| table.name.clone()).collect();
        request.statement = sql::sampled(&record.code, &tables, sample);
        request.timeout = Some(deadline);
        let spec = self.resolve(by, request).await?;
        let rows = self.engine().run(spec).await?;
        Ok((std::sync::Arc::clone(rows.schema()), rows.boxed()))
    }

    async fn preview_python(
        &self,
        by: &Principal,
        record: &TransformRecord,
        mut params: Value,
        sample: &Sample,
        deadline: Duration,
    ) -> Result<(SchemaRef, Batches, String, Usage)> {
        python::check(&record.code)?;
        if record.inputs.is_empty() {
            return Err(Error::invalid_field("input_dataset_ids", "`input_dataset_ids` is empty"));
        }
        params::give_python(&mut params, record, &Value::Null, self.now());
        let mut inputs = Vec::new();
        for dataset in self.inputs_of(by, &record.inputs).await? {
            let manifest = self.engine().manifest(&dataset.current).await?;
            inputs.push((dataset, manifest));
        }
        let run = self.python_run(by, record, &params, &inputs, (Some(sample), deadline))?;
        let ran = self.executor().run(run).await;
        match ran.result {
            Ok(Output::Rows { schema, rows, .. }) => Ok((schema, rows, ran.log, ran.usage)),
            Ok(Output::Card { .. }) => Err(Error::internal("a transform ended as a card")),
            // What it printed until then is often the reason.
            Err(Error::Execution { message, mut details }) => {
                if let Some(details) = details.as_object_mut() {
                    details.insert("log".to_owned(), Value::String(ran.log));
                }
                Err(Error::Execution { message, details })
            }
            Err(error) => Err(error),
        }
    }

    /// A transform of which nothing is known.
    fn nothing_yet(&self, by: &Principal) -> TransformRecord {
        let now = self.now();
        TransformRecord {
            id: TransformId::random(),
            name: "preview".to_owned(),
            description: String::new(),
            owner_id: by.user_id.clone(),
            language: Language::default(),
            code: String::new(),
            inputs: Vec::new(),
            params: super::no_params(),
            schedule: Schedule::none(now),
            settings: TransformSettings::default(),
            output_dataset_id: DatasetId::random(),
            created_at: now,
            updated_at: now,
            revision: 0,
        }
    }
}

/// The first `wanted` rows.
fn first(rows: Batches, wanted: u64) -> Batches {
    let mut left = usize::try_from(wanted).unwrap_or(usize::MAX);
    let cut = rows.scan((), move |(), batch| {
        let batch = match batch {
            _ if left == 0 => None,
            Ok(batch) => {
                let batch = batch.slice(0, batch.num_rows().min(left));
                left -= batch.num_rows();
                Some(Ok(batch))
            }
            error => Some(error),
        };
        std::future::ready(batch)
    });
    cut.boxed()
}
