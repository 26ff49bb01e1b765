//! What a transform is made of, checked before it is kept: whatever can be found wrong is found when it is written, not
//! when it runs at night.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schedule::Cron;
use super::{Transforms, gate, graph, incremental, params, python};
use crate::auth::Principal;
use crate::catalog::name::{NameKey, check_name};
use crate::catalog::record::DatasetRecord;
use crate::catalog::transform::{
    Check, FrameKind, Language, Missed, Retries, Schedule, TransformInput, TransformRecord,
    TransformSettings, WriteMode,
};
use crate::engine::TableRows;
use crate::error::{Error, Result};
use crate::ids::DatasetId;
use crate::limits;

/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 4_000;
const RETRIES_MAX: u32 = 10;
const BACKOFF_S_MAX: u64 = 3_600;

/// A transform as its author gives it; what is `None` stays, or is as it is by default.
#[derive(Debug, Clone, Default)]
pub struct TransformDraft {
    pub name: Option<String>,
    pub description: Option<String>,
    pub language: Option<Language>,
    pub code: Option<String>,
    pub inputs: Option<Vec<TransformInput>>,
    pub params: Option<Value>,
    pub params_schema: Option<Option<Value>>,
    pub schedule_cron: Option<Option<String>>,
    pub schedule_time_zone: Option<String>,
    pub schedule_enabled: Option<bool>,
    pub schedule_on_input_change: Option<bool>,
    pub schedule_missed: Option<Missed>,
    pub frames: Option<FrameKind>,
    pub output_name: Option<Option<String>>,
    pub partition_column: Option<Option<String>>,
    pub sort_column: Option<Option<String>>,
    pub write: Option<WriteMode>,
    pub checks: Option<Vec<Check>>,
    pub retries: Option<Retries>,
    pub timeout_s: Option<Option<u64>>,
    pub memory_mb: Option<Option<u64>>,
}

impl TransformDraft {
    /// Puts what is given over what a transform is.
    pub(super) fn over(self, record: &mut TransformRecord) {
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut record.name, self.name);
        put(&mut record.description, self.description);
        put(&mut record.language, self.language);
        put(&mut record.code, self.code);
        put(&mut record.inputs, self.inputs);
        put(&mut record.params, self.params);
        put(&mut record.schedule.cron, self.schedule_cron);
        put(&mut record.schedule.time_zone, self.schedule_time_zone);
        put(&mut record.schedule.enabled, self.schedule_enabled);
        put(&mut record.schedule.on_input_change, self.schedule_on_input_change);
        put(&mut record.schedule.missed, self.schedule_missed);
        let settings = &mut record.settings;
        put(&mut settings.params_schema, self.params_schema);
        put(&mut settings.frames, self.frames);
        put(&mut settings.output_name, self.output_name);
        put(&mut settings.partition_column, self.partition_column);
        put(&mut settings.sort_column, self.sort_column);
        put(&mut settings.write, self.write);
        put(&mut settings.checks, self.checks);
        put(&mut settings.retries, self.retries);
        put(&mut settings.timeout_s, self.timeout_s);
        put(&mut settings.memory_mb, self.memory_mb);
    }
}

impl Transforms {
    /// Whether a transform can be kept, and with which inputs. `by` reads the inputs as its owner would.
    ///
    /// # Errors
    /// `Invalid`, which names the field; what is wrong with a statement; `Duplicate` when the name of its dataset is
    /// taken.
    pub(super) async fn checked(
        &self,
        by: &Principal,
        mut record: TransformRecord,
    ) -> Result<TransformRecord> {
        record.name = check_name(&record.name)?;
        check_length("description", &record.description, DESCRIPTION_CHARS_MAX)?;
        check_code(&record.code)?;
        check_schedule(&record.schedule)?;
        params::check(&record.params, record.settings.params_schema.as_ref())?;
        self.check_settings(&record.settings)?;
        if let Some(name) = &record.settings.output_name {
            record.settings.output_name = Some(check_name(name)?);
        }
        match record.language {
            Language::Sql => self.check_sql(by, &mut record).await?,
            Language::Python => self.check_python(by, &mut record).await?,
        }
        // A statement names its own inputs.
        check_input_count(&record.inputs)?;
        graph::refuse_cycles(self.stores(), &record).await?;
        self.output_name_is_free(&record).await?;
        Ok(record)
    }

    fn check_settings(&self, settings: &TransformSettings) -> Result<()> {
        gate::check_all(&settings.checks)?;
        incremental::check(&settings.write)?;
        let Retries { max, backoff_s } = settings.retries;
        if max > RETRIES_MAX || backoff_s > BACKOFF_S_MAX {
            let message = format!(
                "`retries` can be at most {RETRIES_MAX} with at most {BACKOFF_S_MAX} s before the first"
            );
            return Err(Error::invalid_field("retries", message));
        }
        let timeout_max = self.settings().timeout.as_secs();
        if settings.timeout_s.is_some_and(|timeout| timeout == 0 || timeout > timeout_max) {
            let message = format!("`timeout_s` is 1 to {timeout_max}");
            return Err(Error::invalid_field("timeout_s", message));
        }
        let memory_max = self.settings().memory_bytes_max >> 20;
        if settings.memory_mb.is_some_and(|memory| memory < 64 || memory > memory_max) {
            let message = format!("`memory_mb` is 64 to {memory_max}");
            return Err(Error::invalid_field("memory_mb", message));
        }
        Ok(())
    }

    /// Finds the datasets that a statement reads. Each keeps the name it has in the statement, whatever it is called
    /// later.
    async fn check_sql(&self, by: &Principal, record: &mut TransformRecord) -> Result<()> {
        let request = self.request_of(record, &record.params, None, self.now())?;
        let spec = self.resolve(by, request).await?;
        let mut inputs: Vec<TransformInput> = Vec::new();
        let mut seen = BTreeMap::new();
        for table in &spec.tables {
            let TableRows::Version(manifest) = &table.rows else {
                let message =
                    format!("a transform reads datasets; `{}` is a table of the service's own", table.name);
                return Err(Error::NotSupported(message));
            };
            if seen.insert(table.name.clone(), manifest.dataset_id.clone()).is_none() {
                inputs.push(TransformInput {
                    dataset_id: manifest.dataset_id.clone(),
                    alias: Some(table.name.clone()),
                    columns: None,
                    filter: None,
                });
            }
        }
        // What was declared and is not read stays declared: its new versions may start an execution.
        let declared = std::mem::take(&mut record.inputs);
        self.inputs_of(by, &declared).await?;
        for input in declared {
            if let Some(field) = [("columns", input.columns.is_some()), ("filter", input.filter.is_some())]
                .into_iter()
                .find_map(|(field, given)| given.then_some(field))
            {
                let message = format!("`{field}` of an input is for Python: in SQL the statement says it");
                return Err(Error::invalid_field("inputs", message));
            }
            if !inputs.iter().any(|found| found.dataset_id == input.dataset_id) {
                inputs.push(TransformInput { alias: None, ..input });
            }
        }
        if inputs.is_empty() {
            let message = "the statement reads no dataset: a transform has at least one input".to_owned();
            return Err(Error::invalid_field("code", message));
        }
        record.inputs = inputs;
        // Planned as it will run: what it names is there, and its types fit.
        self.plan_check(spec).await
    }

    async fn check_python(&self, by: &Principal, record: &mut TransformRecord) -> Result<()> {
        if record.inputs.is_empty() {
            let message = "`input_dataset_ids` is empty: a transform has at least one input".to_owned();
            return Err(Error::invalid_field("input_dataset_ids", message));
        }
        let datasets = self.inputs_of(by, &record.inputs).await?;
        for (input, dataset) in record.inputs.iter_mut().zip(&datasets) {
            // The name that it has now: the code goes on to find it when the dataset is called something else.
            input.alias.get_or_insert_with(|| dataset.name.clone());
        }
        let mut keys = BTreeMap::new();
        for input in &record.inputs {
            if let Some(alias) = &input.alias
                && let Some(other) = keys.insert(alias.as_str(), &input.dataset_id)
            {
                let message =
                    format!("two inputs are called `{alias}`: `{other}` and `{}`", input.dataset_id);
                return Err(Error::invalid_field("inputs", message));
            }
        }
        for (input, dataset) in record.inputs.iter().zip(&datasets) {
            self.check_input(by, input, dataset).await?;
        }
        python::check(&record.code)?;
        self.check_syntax(by, &record.code).await
    }

    /// The datasets behind inputs, in their order.
    ///
    /// # Errors
    /// `Invalid` for one that is not there or that `by` may not read.
    pub(super) async fn inputs_of(
        &self,
        by: &Principal,
        inputs: &[TransformInput],
    ) -> Result<Vec<DatasetRecord>> {
        check_input_count(inputs)?;
        let mut found = Vec::with_capacity(inputs.len());
        let mut seen = std::collections::HashSet::new();
        for input in inputs {
            if !seen.insert(&input.dataset_id) {
                let message = format!("`{}` is an input twice", input.dataset_id);
                return Err(Error::invalid_field("input_dataset_ids", message));
            }
            match self.datasets().get(by, &input.dataset_id).await {
                Ok(record) => found.push(record),
                Err(Error::NotFound { .. }) => {
                    let message = format!("no dataset `{}`, which is an input", input.dataset_id);
                    return Err(Error::invalid_field("input_dataset_ids", message));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn output_name_is_free(&self, record: &TransformRecord) -> Result<()> {
        let name = output_name(record);
        let found = self.stores().datasets.lookup(&[], &[NameKey::of(name)]).await?;
        match found.first().filter(|found| found.id != record.output_dataset_id) {
            None => Ok(()),
            Some(_) => Err(Error::Duplicate(format!(
                "the transform would make a dataset named `{name}`, which exists already: give `output_name` another name"
            ))),
        }
    }
}

/// What the dataset of a transform is called, when it is made.
pub(super) fn output_name(record: &TransformRecord) -> &str {
    record.settings.output_name.as_deref().unwrap_or(&record.name)
}

/// Where a statement's tables are, by the names it has for them.
pub(super) fn names_of(record: &TransformRecord) -> BTreeMap<String, DatasetId> {
    let named =
        record.inputs.iter().filter_map(|input| Some((input.alias.clone()?, input.dataset_id.clone())));
    named.collect()
}

fn check_length(field: &'static str, text: &str, chars_max: usize) -> Result<()> {
    let n_chars = text.chars().count();
    if n_chars <= chars_max {
        return Ok(());
    }
    Err(Error::invalid_field(
        field,
        format!("`{field}` has {n_chars} characters; at most {chars_max} are accepted"),
    ))
}

/// More are not accepted, because the store writes a row for each in the transaction that saves the transform.
fn check_input_count(inputs: &[TransformInput]) -> Result<()> {
    let most = limits::TRANSFORM_INPUTS_MAX;
    if inputs.len() > most {
        let message = format!("there are {} inputs; at most {most} are accepted", inputs.len());
        return Err(Error::invalid_field("input_dataset_ids", message));
    }
    Ok(())
}

fn check_code(code: &str) -> Result<()> {
    if code.trim().is_empty() {
        return Err(Error::invalid_field("code", "`code` is empty"));
    }
    if code.len() > limits::CODE_BYTES_MAX {
        let message =
            format!("`code` has {} bytes; at most {} are accepted", code.len(), limits::CODE_BYTES_MAX);
        return Err(Error::invalid_field("code", message));
    }
    Ok(())
}

fn check_schedule(schedule: &Schedule) -> Result<()> {
    if let Some(cron) = &schedule.cron {
        Cron::parse(cron, &schedule.time_zone)?;
    }
    if schedule.enabled && !schedule.is_live() {
        let message = "`schedule_enabled` needs `schedule_cron` or `schedule_on_input_change`";
        return Err(Error::invalid_field("schedule_enabled", message));
    }
    Ok(())
}
