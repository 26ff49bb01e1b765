//! What a plan did, read off the counters that its operators keep while they run.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;

use super::explain;
use super::hot::FILES_FROM_MEMORY;
use crate::catalog::record::QueryWork;

/// Sums the counters of `plan` and all below it.
pub(super) fn read(plan: &Arc<dyn ExecutionPlan>) -> QueryWork {
    let mut work = QueryWork::default();
    add(plan.as_ref(), &mut work);
    work
}

fn add(plan: &dyn ExecutionPlan, work: &mut QueryWork) {
    let is_scan = plan.children().is_empty();
    for metric in plan.metrics().iter().flat_map(|metrics| metrics.iter()) {
        count(metric.value(), is_scan, work);
    }
    work.files_read += files(plan);
    for child in plan.children() {
        add(child.as_ref(), work);
    }
}

fn count(value: &MetricValue, is_scan: bool, work: &mut QueryWork) {
    match value {
        MetricValue::ElapsedCompute(time) if !is_scan => work.compute_us += time.value() as u64 / 1000,
        MetricValue::SpillCount(count) => work.spill_files += count.value() as u64,
        MetricValue::SpilledBytes(bytes) => work.spilled_bytes += bytes.value() as u64,
        MetricValue::OutputRows(rows) if is_scan => work.scanned_rows += rows.value() as u64,
        MetricValue::Count { name, count } => match name.as_ref() {
            "bytes_scanned" => work.scanned_bytes += count.value() as u64,
            FILES_FROM_MEMORY => work.files_from_memory += count.value() as u64,
            "row_groups_pruned_dynamic_filter" => work.row_groups_pruned += count.value() as u64,
            _ => {}
        },
        // Wall time in which a scan was asked for rows: reading, waiting for the disk, decoding.
        MetricValue::Time { name, time } if name == "time_elapsed_processing" => {
            work.scan_us += time.value() as u64 / 1000;
        }
        MetricValue::PruningMetrics { name, pruning_metrics } if name.starts_with("row_groups_pruned_") => {
            work.row_groups_pruned += pruning_metrics.pruned() as u64;
            // Each row group that is left is counted by each kind of pruning; statistics come first and see all.
            if name == "row_groups_pruned_statistics" {
                work.row_groups_total += (pruning_metrics.pruned() + pruning_metrics.matched()) as u64;
            }
        }
        _ => {}
    }
}

/// How many files a scan reads. A large one is read in several parts.
fn files(plan: &dyn ExecutionPlan) -> u64 {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else { return 0 };
    let Some(config) = explain::files_of(scan) else { return 0 };
    let files = config.file_groups.iter().flat_map(|group| group.iter());
    files.map(|file| file.path()).collect::<HashSet<_>>().len() as u64
}
