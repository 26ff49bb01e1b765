//! Optimised plans, kept while there is room. Planning takes a millisecond, which is most of the time of a
//! small query, and the same few statements come again and again.
//!
//! A plan holds the versions that it reads, so it cannot be stale: another version is another key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::key::{PlanKey, StatementKey};
use super::store::Fill;
use crate::engine::table::DatasetTable;
use crate::error::Result;

/// What a node or an expression of a plan takes, with its names and its schema, by a generous estimate.
const PART_BYTES: u64 = 512;

/// How large a typical plan is.
const TYPICAL_PLAN_BYTES: usize = 32 << 10;

/// An optimised plan that holds nothing that changes from run to run.
#[derive(Debug)]
pub(in crate::engine) struct Planned {
    pub(in crate::engine) plan: LogicalPlan,
    pub(in crate::engine) key: PlanKey,
    /// Whether any function is called for each row.
    pub(in crate::engine) calls_functions: bool,
    bytes: u64,
}

impl Planned {
    pub(in crate::engine) fn new(plan: LogicalPlan, key: PlanKey) -> PlanResult<Self> {
        let (mut parts, mut tables, mut calls_functions) = (0, 0, false);
        plan.apply_with_subqueries(|node| {
            parts += 1 + node.schema().fields().len() as u64;
            if let LogicalPlan::TableScan(scan) = node {
                let table = source_as_provider(&scan.source)?;
                tables += table.downcast_ref::<DatasetTable>().map_or(0, DatasetTable::byte_estimate);
            }
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    parts += 1;
                    calls_functions |= matches!(part, Expr::ScalarFunction(_));
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(Self { plan, key, calls_functions, bytes: parts * PART_BYTES + tables })
    }
}

/// What is known of a statement: None when what it does changes from run to run, so that no plan of it is kept.
pub(in crate::engine) type Known = Option<Arc<Planned>>;

/// Plans by statement.
#[derive(Debug)]
pub(in crate::engine) struct Plans {
    kept: Cache<StatementKey, Known, ByBytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<StatementKey, Known> for ByBytes {
    fn weight(&self, _: &StatementKey, known: &Known) -> u64 {
        known.as_ref().map_or(PART_BYTES, |planned| planned.bytes)
    }
}

impl Plans {
    /// Keeps plans of about `bytes_max` bytes.
    pub(in crate::engine) fn new(bytes_max: usize) -> Self {
        let kept = Cache::with_weighter(bytes_max / TYPICAL_PLAN_BYTES, bytes_max as u64, ByBytes);
        Self { kept, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What is known of `key`, or what `plan` finds out. Of several who ask for it, one plans and the others wait; when
    /// it fails, the next one tries.
    ///
    /// # Errors
    /// What `plan` failed with.
    pub(in crate::engine) async fn find(
        &self,
        key: &StatementKey,
        plan: impl Future<Output = Result<Known>>,
    ) -> Result<Known> {
        let mut hit = true;
        let planning = async {
            hit = false;
            plan.await
        };
        let known = self.kept.get_or_insert_async(key, planning).await;
        let count = if hit { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        known
    }

    pub(in crate::engine) fn fill(&self) -> Fill {
        Fill {
            entries: self.kept.len() as u64,
            bytes: self.kept.weight(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: Some(self.misses.load(Ordering::Relaxed)),
        }
    }
}
