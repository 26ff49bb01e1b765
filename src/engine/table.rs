//! A version of a dataset as a table of the planner: exactly the files of its manifest, with sizes and
//! statistics known beforehand. Planning lists no folder, asks for no size and infers no schema.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::transform_schema_to_view;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as PlanResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::reader::{CheckedReaders, Written};
use super::{runtime, stats};
use crate::catalog::manifest::Manifest;
use crate::error::Result;
use crate::storage::keys;

/// From this many columns beyond the filtered ones, decoding only the rows that pass the filter pays.
/// Below it, decoding all of them is faster: narrow aggregates lost 13 to 40 % with it, and reading
/// wide rows gained 2.7 to 4.4 times.
const WIDE_COLUMNS: usize = 6;

/// A version as a table.
#[derive(Debug)]
pub(super) struct DatasetTable {
    manifest: Arc<Manifest>,
    /// Text as views, which the scan fills without copying.
    schema: SchemaRef,
    /// One a file, in the manifest's order.
    stats: Vec<Arc<Statistics>>,
    objects: ObjectStoreUrl,
}

impl DatasetTable {
    /// The table of `manifest`.
    pub(super) fn new(manifest: Arc<Manifest>) -> Result<Self> {
        let schema = Arc::new(transform_schema_to_view(&manifest.schema()));
        let stats = manifest.files.iter().map(|file| Arc::new(stats::of_file(&schema, file))).collect();
        Ok(Self { manifest, schema, stats, objects: runtime::objects_url()? })
    }

    /// About how many bytes it holds beside its manifest.
    pub(super) fn byte_estimate(&self) -> u64 {
        const COLUMN_STATISTICS_BYTES: u64 = 384;
        (self.stats.len() * self.schema.fields().len()) as u64 * COLUMN_STATISTICS_BYTES
    }

    /// The version that it is.
    pub(super) fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The files that may hold rows that pass all `filters`, by their statistics.
    fn files(&self, session: &dyn Session, filters: &[Expr]) -> PlanResult<Vec<PartitionedFile>> {
        let keep = self.prune(session, filters);
        let ordering = self.ordering()?;
        let files = self.manifest.files.iter().zip(&self.stats).enumerate();
        let files = files.filter(|(index, _)| keep.as_ref().is_none_or(|keep| keep[*index]));
        Ok(files
            .map(|(index, (file, stats))| {
                let mut planned = PartitionedFile::new(String::new(), file.byte_count);
                planned.object_meta.location = keys::stored(&file.key);
                planned
                    .with_extension(Written::new(&self.manifest, index))
                    .with_statistics(Arc::clone(stats))
                    .with_ordering(ordering.clone())
            })
            .collect())
    }

    /// Which files may match, or None when the filters say nothing about files. A filter that cannot be
    /// turned into a question about bounds only means that all files are read.
    fn prune(&self, session: &dyn Session, filters: &[Expr]) -> Option<Vec<bool>> {
        let filter = conjunction(filters.iter().cloned())?;
        let schema = DFSchema::try_from(Arc::clone(&self.schema)).ok()?;
        let filter = session.create_physical_expr(filter, &schema).ok()?;
        let predicate =
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).build(filter)?;
        predicate.prune(&PrunableStatistics::new(self.stats.clone(), Arc::clone(&self.schema))).ok()
    }

    /// How rows follow each other inside each file.
    fn ordering(&self) -> PlanResult<Option<LexOrdering>> {
        let Some(name) = &self.manifest.sort_column else { return Ok(None) };
        let column = Column::new_with_schema(name, &self.schema)?;
        Ok(LexOrdering::new([PhysicalSortExpr::new(Arc::new(column), super::sort::ASCENDING)]))
    }

    /// Files in groups that are read in parallel, and the order of rows inside every group, if there is one.
    fn groups(
        &self,
        files: Vec<PartitionedFile>,
        partitions: usize,
    ) -> PlanResult<(Vec<FileGroup>, Vec<LexOrdering>)> {
        let group = FileGroup::new(files);
        if let Some(ordering) = self.ordering()? {
            if group.len() == 1 {
                return Ok((vec![group], vec![ordering]));
            }
            if self.files_can_follow_each_other() {
                let groups = FileScanConfig::split_groups_by_statistics_with_target_partitions(
                    &self.schema,
                    std::slice::from_ref(&group),
                    &ordering,
                    partitions,
                )?;
                // More groups than partitions means that files overlap; then the order is worth less
                // than reading evenly.
                if groups.len() <= partitions {
                    return Ok((groups, vec![ordering]));
                }
            }
        }
        Ok((group.split_files(partitions), Vec::new()))
    }

    /// Whether exact bounds of the sort column are known in all files and no NULL, which sorts last,
    /// could come before another file's values.
    fn files_can_follow_each_other(&self) -> bool {
        let Some(name) = &self.manifest.sort_column else { return false };
        let Ok(index) = self.schema.index_of(name) else { return false };
        self.stats.iter().all(|stats| {
            let column = &stats.column_statistics[index];
            column.null_count.get_value() == Some(&0)
                && column.min_value.is_exact() == Some(true)
                && column.max_value.is_exact() == Some(true)
        })
    }

    /// Whether filters are worth evaluating while decoding.
    fn is_wide(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> bool {
        let projected = projection.map_or(self.schema.fields().len(), Vec::len);
        let mut filtered: Vec<_> = filters.iter().flat_map(Expr::column_refs).map(|c| &c.name).collect();
        filtered.sort_unstable();
        filtered.dedup();
        projected.saturating_sub(filtered.len()) >= WIDE_COLUMNS
    }

    fn source(&self, session: &dyn Session, wide: bool) -> PlanResult<ParquetSource> {
        let runtime = session.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let objects = runtime.object_store(&self.objects)?;
        let options = session.config_options().execution.parquet.clone();
        let hint = options.metadata_size_hint;
        let options = datafusion::config::TableParquetOptions { global: options, ..Default::default() };
        let source = ParquetSource::new(TableSchema::from(Arc::clone(&self.schema)))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(CheckedReaders::new(objects, footers)))
            .with_pushdown_filters(wide);
        Ok(match hint {
            Some(hint) => source.with_metadata_size_hint(hint),
            None => source,
        })
    }
}

#[async_trait]
impl TableProvider for DatasetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let files = self.files(session, filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        let known = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(known, &self.schema)?;
        let (groups, ordering) = self.groups(files, session.config().target_partitions())?;
        let source = self.source(session, self.is_wide(projection, filters))?;
        let config = FileScanConfigBuilder::new(self.objects.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_output_ordering(ordering)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        // Bounds rule files and row groups out; rows are still tested above the scan.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
