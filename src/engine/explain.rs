//! What a statement would cost, before it reads a row: which files and row groups its filters leave, how many bytes
//! of them its columns have, and what its joins would hold in memory.
//!
//! Footers are read, since row groups are known from them alone; a query reads the same ones, and both find them in
//! the cache.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccessPlanFilter};
use datafusion::datasource::physical_plan::{
    FileScanConfig, ParquetFileMetrics, ParquetFileReaderFactory as _,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::statistics::StatisticsContext;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::Engine;
use super::classify::classify;
use super::deep::Deep;
use super::hot::HotScan;
use super::reader::{CheckedReaders, Written};
use super::spec::{QuerySpec, SpecTable, TableRows};
use super::stream::Deadline;
use crate::error::{Error, Result};
use crate::ids::DatasetId;

/// Footers that are read at the same time.
const FOOTERS_AT_A_TIME: usize = 8;
/// Footers that are read. Of more files, row groups count as the manifest says.
const FOOTERS_MAX: usize = 1000;

/// What a statement would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// As it is after optimisation, one operator a line.
    pub logical_plan: String,
    /// The operators that would run.
    pub physical_plan: String,
    pub scans: Vec<Scan>,
    /// A query that would read more bytes than this is refused. None: there is no such limit for this caller.
    pub scan_bytes_max: Option<u64>,
    pub joins: Vec<Join>,
    /// Rows of the result, where statistics tell.
    pub rows_estimate: Option<u64>,
}

/// How a version would be read. A table that is named twice is read twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Scan {
    /// As the statement names it.
    pub table: String,
    #[schema(value_type = String)]
    pub dataset_id: DatasetId,
    pub version: u64,
    /// Columns that are read, for the result or for filters.
    pub columns: Vec<String>,
    /// The column by whose days its files are split, if they are.
    pub split_by: Option<String>,
    pub files: Part,
    pub row_groups: Part,
    /// Of these columns in these row groups, as they are stored.
    pub bytes: Part,
}

/// Of how many, how many are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Part {
    pub total: u64,
    pub read: u64,
}

/// A join that holds one of its sides in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Join {
    /// The operator.
    pub kind: String,
    /// Rows and bytes of that side, where statistics tell.
    pub build_rows_estimate: Option<u64>,
    pub build_bytes_estimate: Option<u64>,
}

impl Engine {
    /// Plans `spec` and tells what it would cost. It waits for its turn like a query, and reads no row.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub async fn explain(&self, spec: QuerySpec) -> Result<Explanation> {
        let deadline = Deadline::after(Duration::from_millis(spec.limits.deadline_ms));
        let engine = self.clone();
        let work = async move {
            let slot = engine.0.admission.enter(&spec.user_id).await?;
            let planner = engine.clone();
            let planned = async move {
                let planned = planner.to_explain(&spec).await?;
                Ok((spec, slot, planned))
            };
            let (spec, slot, Planned { plan, readers, explained }) =
                engine.0.planners.run(planned.boxed()).await?;
            // Footers come from the store, and each is waited for; what is made of one is made at once.
            let task = engine.0.workers.spawn(async move {
                let _slot = slot;
                let scans = Deep::new(all_scans(&spec.tables, &plan, &readers)).await?;
                Ok(Explanation { scans, ..explained })
            });
            task.await.map_err(Error::internal)?
        };
        deadline.bound(work).await
    }

    async fn to_explain(&self, spec: &QuerySpec) -> Result<Planned> {
        let (state, plan) = self.plan(spec).await?;
        let logical = state.optimize(&plan).map_err(classify)?;
        let plan = state.create_physical_plan(&plan).await.map_err(classify)?;
        let explained = explain(spec, &logical, &plan)?;
        Ok(Planned { plan, readers: CheckedReaders::of(state.runtime_env())?, explained })
    }
}

/// A plan, and what is known of it before footers are read.
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    readers: CheckedReaders,
    explained: Explanation,
}

/// What `plan` tells by itself, without its scans.
fn explain(spec: &QuerySpec, logical: &LogicalPlan, plan: &Arc<dyn ExecutionPlan>) -> Result<Explanation> {
    let mut joins = Vec::new();
    joins_of(plan, &mut joins)?;
    let rows =
        StatisticsContext::new().compute(plan.as_ref(), &Default::default()).map_err(classify)?.num_rows;
    Ok(Explanation {
        logical_plan: logical.display_indent().to_string(),
        physical_plan: displayable(plan.as_ref()).indent(false).to_string(),
        scans: Vec::new(),
        scan_bytes_max: spec.limits.scan_bytes,
        joins,
        rows_estimate: rows.get_value().map(|rows| *rows as u64),
    })
}

/// What is read of each table, also of one of which nothing is.
async fn all_scans(
    tables: &[SpecTable],
    plan: &Arc<dyn ExecutionPlan>,
    readers: &CheckedReaders,
) -> Result<Vec<Scan>> {
    let mut scans = scans(tables, plan, readers).await?;
    let unread = tables.iter().filter(|table| !scans.iter().any(|scan| scan.table == table.name));
    scans.extend(unread.filter_map(not_read).collect::<Vec<_>>());
    Ok(scans)
}

/// What each scan of `plan` reads of `tables`.
pub(super) async fn scans(
    tables: &[SpecTable],
    plan: &Arc<dyn ExecutionPlan>,
    readers: &CheckedReaders,
) -> Result<Vec<Scan>> {
    let (mut found, mut scans) = (Vec::new(), Vec::new());
    scans_of(plan, &mut found);
    for scan in found {
        scans.extend(cost(tables, scan, readers).await?);
    }
    Ok(scans)
}

fn scans_of<'a>(plan: &'a Arc<dyn ExecutionPlan>, found: &mut Vec<&'a FileScanConfig>) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        found.extend(files_of(scan));
    }
    plan.children().into_iter().for_each(|child| scans_of(child, found));
}

/// The files of a scan, wherever they are read from.
pub(super) fn files_of(scan: &DataSourceExec) -> Option<&FileScanConfig> {
    let source = scan.data_source();
    source.downcast_ref::<HotScan>().map(HotScan::cold).or_else(|| source.downcast_ref())
}

fn joins_of(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<Join>) -> Result<()> {
    if let Some(build) = build_side(plan.as_ref()) {
        found.push(join(plan.name(), build).map_err(classify)?);
    }
    plan.children().into_iter().try_for_each(|child| joins_of(child, found))
}

/// The side of a join that is held in memory.
fn build_side(plan: &dyn ExecutionPlan) -> Option<&Arc<dyn ExecutionPlan>> {
    let hash = plan.downcast_ref::<HashJoinExec>().map(HashJoinExec::left);
    let nested = || plan.downcast_ref::<NestedLoopJoinExec>().map(NestedLoopJoinExec::left);
    let cross = || plan.downcast_ref::<CrossJoinExec>().map(CrossJoinExec::left);
    hash.or_else(nested).or_else(cross)
}

fn join(kind: &str, build: &Arc<dyn ExecutionPlan>) -> PlanResult<Join> {
    let statistics = StatisticsContext::new().compute(build.as_ref(), &Default::default())?;
    let value = |known: Option<&usize>| known.map(|value| *value as u64);
    Ok(Join {
        kind: kind.to_owned(),
        build_rows_estimate: value(statistics.num_rows.get_value()),
        build_bytes_estimate: value(statistics.total_byte_size.get_value()),
    })
}

/// A version that no file is read of.
fn not_read(table: &SpecTable) -> Option<Scan> {
    let TableRows::Version(manifest) = &table.rows else { return None };
    let total = |total| Part { total, read: 0 };
    Some(Scan {
        table: table.name.clone(),
        dataset_id: manifest.dataset_id.clone(),
        version: manifest.number,
        columns: Vec::new(),
        split_by: manifest.partition_column.clone(),
        files: total(manifest.files.len() as u64),
        row_groups: total(manifest.files.iter().map(|file| file.row_group_count).sum()),
        bytes: total(manifest.byte_count()),
    })
}

/// What one scan reads; None when its files are of no table of the statement, which no plan of ours has.
async fn cost(tables: &[SpecTable], scan: &FileScanConfig, readers: &CheckedReaders) -> Result<Option<Scan>> {
    let mut files: Vec<_> = scan.file_groups.iter().flat_map(|group| group.iter()).collect();
    // A large file is read in several parts.
    files.sort_unstable_by(|a, b| a.path().cmp(b.path()));
    files.dedup_by(|a, b| a.path() == b.path());
    let first = files.first().and_then(|file| file.extension::<Written>());
    let of_first = |table: &&SpecTable| match &table.rows {
        TableRows::Version(manifest) => first.is_some_and(|written| written.is_of(manifest)),
        TableRows::Queries(_) => false,
    };
    let Some(mut cost) = tables.iter().find(of_first).and_then(not_read) else { return Ok(None) };
    cost.files.read = files.len() as u64;
    let reading = Reading::of(scan);
    cost.columns = reading.columns.iter().cloned().collect();
    let footers: Vec<BoxFuture<'_, Result<(u64, u64)>>> =
        files.iter().take(FOOTERS_MAX).map(|file| reading.of_file(file, readers).boxed()).collect();
    let each: Vec<(u64, u64)> =
        futures::stream::iter(footers).buffer_unordered(FOOTERS_AT_A_TIME).try_collect().await?;
    cost.row_groups.read = each.iter().map(|(groups, _)| groups).sum();
    cost.bytes.read = each.iter().map(|(_, bytes)| bytes).sum();
    for written in files.iter().skip(FOOTERS_MAX).filter_map(|file| file.extension::<Written>()) {
        cost.row_groups.read += written.file().row_group_count;
        cost.bytes.read += written.file().byte_count;
    }
    Ok(Some(cost))
}

/// What a scan wants of each file.
struct Reading<'a> {
    columns: BTreeSet<String>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    scan: &'a FileScanConfig,
}

impl<'a> Reading<'a> {
    fn of(scan: &'a FileScanConfig) -> Self {
        let filter = scan.file_source.filter();
        let mut columns = BTreeSet::new();
        let projected =
            scan.file_source.projection().map(|projection| projection.iter()).into_iter().flatten();
        for expr in projected.map(|projected| &projected.expr).chain(&filter) {
            columns.extend(collect_columns(expr).into_iter().map(|column| column.name().to_owned()));
        }
        Self { columns, filter, scan }
    }

    /// Row groups that are left of a file, and the bytes of the wanted columns in them.
    async fn of_file(&self, file: &PartitionedFile, readers: &CheckedReaders) -> Result<(u64, u64)> {
        let metrics = ExecutionPlanMetricsSet::new();
        let mut reader = readers.create_reader(0, file.clone(), None, &metrics).map_err(classify)?;
        let metadata = reader.get_metadata(None).await.map_err(|error| classify(error.into()))?;
        let (mut groups, mut bytes) = (0, 0);
        for index in self.left(&metadata, file, &metrics).map_err(classify)? {
            groups += 1;
            let columns = metadata.row_group(index).columns().iter();
            let wanted = columns.filter(|column| {
                column.column_path().parts().first().is_some_and(|name| self.columns.contains(name))
            });
            bytes += wanted.map(|column| column.compressed_size().cast_unsigned()).sum::<u64>();
        }
        Ok((groups, bytes))
    }

    /// Row groups that statistics do not rule out.
    fn left(
        &self,
        metadata: &ParquetMetaData,
        file: &PartitionedFile,
        metrics: &ExecutionPlanMetricsSet,
    ) -> PlanResult<Vec<usize>> {
        let all = metadata.num_row_groups();
        let Some(filter) = &self.filter else { return Ok((0..all).collect()) };
        let schema = Arc::clone(self.scan.file_schema());
        let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&schema));
        // A filter that says nothing about bounds leaves all.
        let Some(predicate) = pruning.build(Arc::clone(filter)) else { return Ok((0..all).collect()) };
        let mut left = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(all));
        left.prune_by_statistics(
            &schema,
            metadata.file_metadata().schema_descr(),
            metadata.row_groups(),
            &predicate,
            &ParquetFileMetrics::new(0, file.path().as_ref(), metrics),
        );
        Ok(left.row_group_indexes().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::planners::Busy;
    use super::super::testing::{Fixture, spec};

    /// Planning does not give way: on the threads of queries it would hold them up.
    #[tokio::test]
    async fn a_statement_is_explained_by_planners() {
        let fixture = Fixture::new().await;
        let busy = Busy::all(&fixture.engine.0.planners).await;
        let mut explaining = Box::pin(fixture.engine.explain(spec(&fixture, "select id from trips")));
        tokio::select! {
            biased;
            _ = &mut explaining => panic!("it was planned by somebody else"),
            () = busy.one_waits() => {}
        }
        drop(busy);
        assert_eq!(explaining.await.unwrap().scans.len(), 1);
    }
}
