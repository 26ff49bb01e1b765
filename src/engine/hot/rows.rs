//! Rows out of chunks: which chunks a filter leaves, and what a scan makes of their rows.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::cast::as_boolean_array;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{DynamicFilterTracker, DynamicFilterTracking};
use datafusion::physical_expr::projection::{ProjectionExprs, Projector};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, RecordOutput as _, Time,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::column::{CHUNK_ROWS, Known};
use super::source::HotFile;

/// Chunks after which a filter that changes while the query runs, such as the bound of a top-k, is looked at again.
const CHUNKS_PER_LOOK: usize = 8;

/// What is done with the chunks of a file.
#[derive(Debug)]
pub(super) struct Reading {
    /// The columns in memory, of the file's schema.
    pub(super) schema: SchemaRef,
    pub(super) names: Vec<String>,
    pub(super) projection: ProjectionExprs,
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// The scan is the one to leave out rows that do not pass.
    pub(super) filters_rows: bool,
}

/// Makes rows for one partition of a scan.
#[derive(Clone)]
pub(super) struct Rows {
    reading: Arc<Reading>,
    projector: Projector,
    baseline: BaselineMetrics,
    time: Time,
}

impl Rows {
    pub(super) fn new(
        reading: Arc<Reading>,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Result<Self> {
        Ok(Self {
            projector: reading.projection.make_projector(&reading.schema)?,
            reading,
            baseline: BaselineMetrics::new(metrics, partition),
            time: MetricBuilder::new(metrics).subset_time("time_elapsed_processing", partition),
        })
    }

    /// The rows of `columns` that are in the part of `file` that is asked for.
    pub(super) fn of(
        &self,
        columns: &HotFile,
        file: &PartitionedFile,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let cursor = Cursor::new(self.clone(), columns.clone(), file);
        let batches = futures::stream::unfold(cursor, |mut cursor| async move {
            let next = cursor.next();
            next.transpose().map(|batch| (batch, cursor))
        });
        batches.boxed()
    }
}

/// Where a scan of a file is.
struct Cursor {
    rows: Rows,
    file: HotFile,
    /// Chunks that are still to come, by their number in the file.
    chunks: VecDeque<usize>,
    /// What of the predicate may still change; None before it has chosen chunks for the first time.
    tracking: Option<DynamicFilterTracking>,
    chunks_until_look: usize,
    /// Puts few rows of many chunks together.
    coalescer: Option<BatchCoalescer>,
    ended: bool,
}

impl Cursor {
    fn new(rows: Rows, file: HotFile, part: &PartitionedFile) -> Self {
        let mut chunks = VecDeque::new();
        let mut first = 0;
        for (offset, count) in file.0.first().into_iter().flat_map(|column| column.groups()) {
            if part.range.as_ref().is_none_or(|range| (range.start..range.end).contains(&offset)) {
                chunks.extend(first..first + count);
            }
            first += count;
        }
        let schema = &rows.reading.schema;
        let coalescer =
            rows.reading.filters_rows.then(|| BatchCoalescer::new(Arc::clone(schema), CHUNK_ROWS));
        Self { rows, file, chunks, tracking: None, chunks_until_look: 0, coalescer, ended: false }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let time = self.rows.time.clone();
        let _timer = time.timer();
        loop {
            if let Some(batch) = self.coalescer.as_mut().and_then(BatchCoalescer::next_completed_batch) {
                return self.show(&batch).map(Some);
            }
            self.look();
            let Some(chunk) = self.chunks.pop_front() else {
                match &mut self.coalescer {
                    Some(coalescer) if !self.ended => {
                        self.ended = true;
                        coalescer.finish_buffered_batch()?;
                        continue;
                    }
                    _ => return Ok(None),
                }
            };
            let arrays = self.file.0.iter().filter_map(|column| column.chunk(chunk).cloned());
            let batch = RecordBatch::try_new(Arc::clone(&self.rows.reading.schema), arrays.collect())?;
            match (&mut self.coalescer, &self.rows.reading.predicate) {
                (Some(coalescer), Some(predicate)) => {
                    let passes = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
                    coalescer.push_batch_with_filter(batch, as_boolean_array(&passes)?)?;
                }
                (Some(coalescer), None) => coalescer.push_batch(batch)?,
                (None, _) => return self.show(&batch).map(Some),
            }
        }
    }

    fn show(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        Ok(self.rows.projector.project_batch(batch)?.record_output(&self.rows.baseline))
    }

    /// Leaves out chunks in which no row can pass, at first and whenever the predicate has changed.
    fn look(&mut self) {
        let Some(predicate) = &self.rows.reading.predicate else { return };
        if self.chunks_until_look > 0 {
            self.chunks_until_look -= 1;
            return;
        }
        self.chunks_until_look = CHUNKS_PER_LOOK;
        let changed = match &mut self.tracking {
            Some(tracking) => tracking.watcher().is_some_and(DynamicFilterTracker::changed),
            None => {
                self.tracking = Some(DynamicFilterTracking::classify(predicate));
                true
            }
        };
        if !changed {
            return;
        }
        let schema = Arc::clone(&self.rows.reading.schema);
        // A predicate that cannot be turned into a question about bounds leaves all chunks.
        let pruning = PruningPredicateBuilder::new().with_file_schema(schema).build(Arc::clone(predicate));
        let known = Known { names: &self.rows.reading.names, columns: &self.file.0 };
        if let Some(keep) = pruning.and_then(|pruning| pruning.prune(&known).ok()) {
            self.chunks.retain(|chunk| keep.get(*chunk).is_none_or(|keep| *keep));
        }
    }
}
