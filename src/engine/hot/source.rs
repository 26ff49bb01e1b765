//! A scan of which some files are in memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, Statistics};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};

use super::column::HotColumn;
use super::rows::{Reading, Rows};

/// The name of the counter of files that were read from memory.
pub(in crate::engine) const FILES_FROM_MEMORY: &str = "files_from_memory";

/// The columns of a file that a scan reads.
#[derive(Debug, Clone)]
pub(super) struct HotFile(pub(super) Arc<[Arc<HotColumn>]>);

impl HotFile {
    pub(super) fn new(columns: Vec<Arc<HotColumn>>) -> Self {
        Self(columns.into())
    }
}

/// Answers like the scan behind it, and reads less.
#[derive(Debug, Clone)]
pub(in crate::engine) struct HotScan {
    cold: FileScanConfig,
    /// For each group of the scan, which of its files are in memory.
    files: Arc<[Vec<Option<HotFile>>]>,
    reading: Arc<Reading>,
}

impl HotScan {
    /// `cold`, which reads `columns` of its file's schema, with the files that are in memory.
    pub(super) fn new(
        cold: &FileScanConfig,
        columns: Vec<usize>,
        files: Vec<Vec<Option<HotFile>>>,
    ) -> Result<Self> {
        let schema = Arc::new(cold.file_schema().project(&columns)?);
        let here = |expr: Arc<dyn PhysicalExpr>| reassign_expr_columns(expr, &schema);
        let source = cold.file_source().downcast_ref::<ParquetSource>();
        let projection = match cold.file_source().projection() {
            Some(projection) => projection.clone().try_map_exprs(here)?,
            None => ProjectionExprs::from_indices(&[], &schema),
        };
        let reading = Reading {
            names: columns.iter().map(|column| cold.file_schema().field(*column).name().clone()).collect(),
            predicate: cold.file_source().filter().map(here).transpose()?,
            filters_rows: source.is_some_and(|source| source.table_parquet_options().global.pushdown_filters),
            projection,
            schema,
        };
        Ok(Self { cold: cold.clone(), files: files.into(), reading: Arc::new(reading) })
    }

    /// The scan as it would be with nothing in memory.
    pub(in crate::engine) fn cold(&self) -> &FileScanConfig {
        &self.cold
    }

    fn with_cold(&self, cold: FileScanConfig) -> Arc<dyn DataSource> {
        Arc::new(Self { cold, ..self.clone() })
    }

    /// The files of a partition in their order, those that follow each other and are not in memory as one scan.
    fn parts(&self, partition: usize) -> VecDeque<Part> {
        let mut parts = VecDeque::new();
        let Some(group) = self.cold.file_groups.get(partition) else { return parts };
        for (index, file) in group.iter().enumerate() {
            let here = self.files.get(partition).and_then(|files| files.get(index)?.clone());
            match (here, parts.back_mut()) {
                (Some(columns), _) => parts.push_back(Part::Hot(columns, Box::new(file.clone()))),
                (None, Some(Part::Cold(files))) => files.push(file.clone()),
                (None, _) => parts.push_back(Part::Cold(vec![file.clone()])),
            }
        }
        parts
    }

    /// A scan of nothing but `files`.
    fn scan_of(&self, files: Vec<PartitionedFile>) -> FileScanConfig {
        FileScanConfigBuilder::from(self.cold.clone()).with_file_groups(vec![FileGroup::new(files)]).build()
    }
}

enum Part {
    Hot(HotFile, Box<PartitionedFile>),
    Cold(Vec<PartitionedFile>),
}

impl DataSource for HotScan {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.cold.projected_schema()?;
        let metrics = self.metrics();
        let rows = Rows::new(Arc::clone(&self.reading), &metrics, partition)?;
        let from_memory = MetricBuilder::new(&metrics).counter(FILES_FROM_MEMORY, partition);
        let (scan, parts, limit) = (self.clone(), self.parts(partition), self.cold.limit);
        let files = futures::stream::iter(parts).map(move |part| match part {
            Part::Hot(columns, file) => {
                from_memory.add(1);
                rows.of(&columns, &file)
            }
            Part::Cold(files) => match scan.scan_of(files).open(0, Arc::clone(&context)) {
                Ok(batches) => batches,
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            },
        });
        let batches = limited(files.flatten(), limit);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.files.iter().flatten().filter(|file| file.is_some()).count();
        write!(f, "in_memory={here}, ")?;
        self.cold.fmt_as(kind, f)
    }

    fn output_partitioning(&self) -> Partitioning {
        self.cold.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.cold.eq_properties()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.cold.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        let cold = FileScanConfigBuilder::from(self.cold.clone()).with_limit(limit).build();
        Some(self.with_cold(cold))
    }

    fn fetch(&self) -> Option<usize> {
        self.cold.limit
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.cold.file_source().metrics().clone()
    }

    fn try_swapping_with_projection(&self, _: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.cold.apply_expressions(f)
    }
}

/// Ends `batches` after so many rows.
fn limited(
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    limit: Option<usize>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let Some(limit) = limit else { return batches.boxed() };
    let cut = batches.scan(limit, |left, batch| {
        let batch = match batch {
            _ if *left == 0 => return std::future::ready(None),
            Ok(batch) => Ok(batch.slice(0, batch.num_rows().min(*left))),
            failed => failed,
        };
        *left -= batch.as_ref().map_or(0, RecordBatch::num_rows);
        std::future::ready(Some(batch))
    });
    cut.boxed()
}
