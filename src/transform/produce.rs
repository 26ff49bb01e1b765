//! From a transform to a version that is stored and has passed its checks.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::define::output_name;
use super::incremental::{self, HighWater};
use super::run::Run;
use super::{Transforms, params};
use crate::catalog::Manifest;
use crate::catalog::record::{DatasetRecord, MadeBy};
use crate::catalog::transform::{Language, ReadVersion, TransformRecord, WriteMode};
use crate::dataset::made::{Made, Staged, has_many_small_files};
use crate::dataset::write::{Batches, Layout};
use crate::engine::{QuerySpec, SpecTable, TableRows};
use crate::error::{Error, Result};
use crate::executor::Output;

/// Lines that may wait to be shown.
const LINES_WAITING: usize = 1024;

impl Transforms {
    /// Makes the rows, stores them, and has them pass the gate.
    pub(super) async fn produce(&self, run: &mut Run<'_>, mut made_by: MadeBy) -> Result<Staged> {
        let record = run.record;
        let so_far = self.datasets().made_so_far(&run.caller, &record.output_dataset_id).await?;
        let (dataset, in_force) = so_far.unzip();
        let base = in_force.filter(|_| record.settings.write != WriteMode::Rebuild && !run.full_rebuild);
        let high_water = match (incremental::high_water_column(&record.settings.write), &base) {
            (Some(column), Some(base)) => {
                let high = incremental::high_water(self.engine(), base, column, self.asking(run)).await?;
                run.say(&format!("goes on from {column} = {}", high.json));
                high
            }
            _ => HighWater::none(),
        };
        let (schema, rows) = match record.language {
            Language::Sql => self.rows_of_sql(run, &high_water).await?,
            Language::Python => self.rows_of_python(run, &high_water).await?,
        };
        made_by.inputs.clone_from(&run.told.inputs);
        let made = made(record, dataset.as_ref(), made_by);
        let staged = self.stage(run, &made, (schema, rows), base.as_ref()).await?;
        run.told.usage.output_bytes = staged.manifest().byte_count();
        self.note_query(run).await;
        match self.pass_gate(run, &staged).await {
            Ok(()) => Ok(staged),
            Err(error) => {
                self.datasets().discard(staged).await;
                Err(error)
            }
        }
    }

    /// What the engine has counted of a statement.
    async fn note_query(&self, run: &mut Run<'_>) {
        let Some(id) = &run.query else { return };
        // Its history is bounded; what is not there any more is not told.
        let Ok(query) = self.engine().query(&run.caller.principal, id).await else { return };
        run.told.usage.cpu_ms = (query.work.scan_us + query.work.compute_us) / 1000;
        run.told.usage.memory_peak_bytes = query.memory_peak_bytes;
    }

    /// Whose statements, how long, when: for statements of our own.
    pub(super) fn asking(&self, run: &Run<'_>) -> incremental::Asking {
        (run.caller.principal.user_id.clone(), run.time_left(), self.now())
    }

    async fn rows_of_sql(&self, run: &mut Run<'_>, high_water: &HighWater) -> Result<(SchemaRef, Batches)> {
        let params = self.params_of(run)?;
        let request = self.request_of(run.record, &params, Some(high_water), run.scheduled_at)?;
        let spec = self.unbounded(self.resolve(&run.caller.principal, request).await?, run.time_left());
        for SpecTable { name, rows } in &spec.tables {
            if let TableRows::Version(manifest) = rows {
                run.told.inputs.push(version_of(manifest));
                run.told.usage.input_bytes += manifest.byte_count();
                run.say(&format!("reads `{name}` version {}: {} rows", manifest.number, manifest.row_count));
            }
        }
        run.query = Some(spec.query_id.clone());
        let rows = self.engine().run(spec).await?;
        Ok((Arc::clone(rows.schema()), rows.boxed()))
    }

    async fn rows_of_python(
        &self,
        run: &mut Run<'_>,
        high_water: &HighWater,
    ) -> Result<(SchemaRef, Batches)> {
        let mut params = self.params_of(run)?;
        params::give_python(&mut params, run.record, &high_water.json, run.scheduled_at);
        let datasets = self.inputs_of(&run.caller.principal, &run.record.inputs).await?;
        let mut inputs = Vec::with_capacity(datasets.len());
        for dataset in datasets {
            let manifest = self.engine().manifest(&dataset.current).await?;
            run.told.inputs.push(version_of(&manifest));
            run.say(&format!(
                "reads `{}` version {}: {} rows",
                dataset.name, manifest.number, manifest.row_count
            ));
            inputs.push((dataset, manifest));
        }
        let (lines, mut printed) = mpsc::channel(LINES_WAITING);
        let by = &run.caller.principal;
        let mut python = self.python_run(by, run.record, &params, &inputs, (None, run.time_left()))?;
        python.lines = Some(lines);
        let running = run.running;
        let shown = async {
            while let Some(line) = printed.recv().await {
                running.print(&line);
            }
        };
        let (ran, ()) = tokio::join!(self.executor().run(python), shown);
        run.told.usage = ran.usage;
        run.told.violation = ran.violation;
        match ran.result? {
            Output::Rows { schema, rows, .. } => Ok((schema, rows)),
            Output::Card { .. } => Err(Error::internal("a transform ended as a card")),
        }
    }

    /// The parameters of the transform and those of this execution.
    fn params_of(&self, run: &Run<'_>) -> Result<Value> {
        params::of_execution(run.record, &run.params)
    }

    /// What a person waits for has bounds that the clock does not need.
    fn unbounded(&self, mut spec: QuerySpec, deadline: Duration) -> QuerySpec {
        spec.limits.rows = None;
        spec.limits.result_bytes = None;
        spec.limits.scan_bytes = None;
        spec.limits.deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        spec
    }

    /// Stores the rows as the version to be, together with those that are there where rows are added.
    async fn stage(
        &self,
        run: &Run<'_>,
        made: &Made,
        rows: (SchemaRef, Batches),
        base: Option<&Arc<Manifest>>,
    ) -> Result<Staged> {
        let datasets = self.datasets();
        let (staged, keys) = match (&run.record.settings.write, base) {
            (WriteMode::Append { .. }, Some(base)) if has_many_small_files(base) => {
                let old = self.engine().run(incremental::all(self.engine(), base, self.asking(run))).await?;
                let (schema, new) = rows;
                return datasets
                    .stage(&run.caller, made, (schema, old.boxed().chain(new).boxed()), false)
                    .await;
            }
            (WriteMode::Append { .. }, Some(_)) => {
                return datasets.stage(&run.caller, made, rows, true).await;
            }
            (WriteMode::Merge { keys, .. }, _) => {
                (datasets.stage(&run.caller, made, rows, false).await?, keys)
            }
            _ => return datasets.stage(&run.caller, made, rows, false).await,
        };
        let outcome = self.merge(run, made, &staged, keys, base).await;
        match outcome {
            Ok(None) => Ok(staged),
            Ok(Some(merged)) => {
                datasets.discard(staged).await;
                Ok(merged)
            }
            Err(error) => {
                datasets.discard(staged).await;
                Err(error)
            }
        }
    }

    /// The version in force with the new rows in the place of those with the same keys; none when all rows are new.
    async fn merge(
        &self,
        run: &Run<'_>,
        made: &Made,
        new: &Staged,
        keys: &[String],
        base: Option<&Arc<Manifest>>,
    ) -> Result<Option<Staged>> {
        let rows = new.manifest();
        let repeated = incremental::repeated_keys(self.engine(), rows, keys, self.asking(run)).await?;
        if repeated > 0 {
            let message = format!(
                "{repeated} keys ({}) are in more than one row of the result: which one counts?",
                keys.join(", ")
            );
            return Err(Error::BadData(message));
        }
        let Some(base) = base else { return Ok(None) };
        if base.schema().fields() != rows.schema().fields() {
            let message = "rows can be merged only when they have the columns of the version in force: run a full rebuild";
            return Err(Error::Conflict { message: message.to_owned(), details: json!({}) });
        }
        let spec = incremental::merged(self.engine(), base, rows, keys, self.asking(run));
        let merged = self.engine().run(spec).await?;
        let merged = (Arc::clone(merged.schema()), merged.boxed());
        self.datasets().stage(&run.caller, made, merged, false).await.map(Some)
    }
}

/// The dataset that a transform makes.
fn made(record: &TransformRecord, dataset: Option<&DatasetRecord>, made_by: MadeBy) -> Made {
    let settings = &record.settings;
    // What was changed at the dataset itself holds for the next version, as it does for imports.
    let layout = Layout {
        partition_column: settings.partition_column.clone().or_else(|| dataset?.partition_column.clone()),
        sort_column: settings.sort_column.clone().or_else(|| dataset?.sort_column.clone()),
    };
    Made {
        id: record.output_dataset_id.clone(),
        name: output_name(record).to_owned(),
        description: record.description.clone(),
        layout,
        made_by,
        title: record.name.clone(),
    }
}

fn version_of(manifest: &Manifest) -> ReadVersion {
    ReadVersion { dataset_id: manifest.dataset_id.clone(), version: manifest.number }
}
