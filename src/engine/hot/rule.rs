//! Where a plan reads columns that are here, it reads them from memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode as _};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::HotColumns;
use super::column::is_kept;
use super::source::{HotFile, HotScan};

/// The last rule that looks at scans: filters, projections and parts are as they will be.
#[derive(Debug)]
pub(in crate::engine) struct FromMemory(pub(in crate::engine) Arc<HotColumns>);

impl PhysicalOptimizerRule for FromMemory {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let scan = node.downcast_ref::<DataSourceExec>();
            let scan = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
            match scan.map(|scan| self.hot(scan)).transpose()?.flatten() {
                Some(hot) => Ok(Transformed::yes(
                    Arc::new(DataSourceExec::new(Arc::new(hot))) as Arc<dyn ExecutionPlan>
                )),
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "from_memory"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl FromMemory {
    /// `scan` with what of it is in memory; None when nothing is.
    fn hot(&self, scan: &FileScanConfig) -> Result<Option<HotScan>> {
        let Some(columns) = columns(scan) else { return Ok(None) };
        let schema = scan.file_schema();
        // A file of which several parts are read is asked for once.
        let mut known = HashMap::new();
        let mut files = Vec::with_capacity(scan.file_groups.len());
        for group in &scan.file_groups {
            let of_group = group.iter().map(|file| {
                let found = known.entry(file.path().clone());
                found.or_insert_with(|| self.0.ask(file, schema, &columns).map(HotFile::new)).clone()
            });
            files.push(of_group.collect());
        }
        let any = known.values().any(Option::is_some);
        if any { HotScan::new(scan, columns, files).map(Some) } else { Ok(None) }
    }
}

/// Places in the file's schema of what a scan reads; None when it cannot be answered from memory.
fn columns(scan: &FileScanConfig) -> Option<Vec<usize>> {
    scan.file_source().downcast_ref::<ParquetSource>()?;
    let filter = scan.file_source().filter();
    let projection = scan.file_source().projection()?;
    let mut columns: BTreeSet<usize> = projection.column_indices().into_iter().collect();
    columns.extend(filter.iter().flat_map(collect_columns).map(|column| column.index()));
    let schema = scan.file_schema();
    let kept = |column: &usize| schema.fields().get(*column).is_some_and(|field| is_kept(field.data_type()));
    // A scan of no column only counts rows, which the manifest has done.
    (!columns.is_empty() && columns.iter().all(kept)).then(|| columns.into_iter().collect())
}
