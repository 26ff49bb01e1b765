//! Refuses plans that would write a long literal into each row of a batch.
//!
//! Why: a column of one text is that text times the rows of a batch. A statement may hold a text of 60 KB, and
//! `repeat` makes one of 60 MB: times 8,192 that is 480 GB, made at once and counted nowhere.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, InListExpr, LikeExpr, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};

use super::functions::{has_bounds, refused};
use crate::limits;

#[derive(Debug, Default)]
pub(super) struct LiteralSizes;

impl PhysicalOptimizerRule for LiteralSizes {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_rows = options.execution.batch_size.get() as u64;
        plan.apply(|node| {
            node.apply_expressions(&mut |expr| {
                let bytes = largest(expr);
                if bytes.saturating_mul(batch_rows) > limits::FUNCTION_RESULT_BYTES_MAX {
                    check(node.as_ref(), bytes, batch_rows)?;
                }
                // The sub-expressions are looked at in `largest`.
                Ok(TreeNodeRecursion::Jump)
            })?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "literal_sizes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn check(node: &dyn ExecutionPlan, bytes: u64, batch_rows: u64) -> Result<()> {
    let rows = node.children().first().map_or(Ok(1), |input| {
        let known = StatisticsContext::new().compute(input.as_ref(), &StatisticsArgs::new())?.num_rows;
        Ok::<_, datafusion::error::DataFusionError>(match known {
            Precision::Exact(rows) => (rows as u64).min(batch_rows),
            Precision::Inexact(_) | Precision::Absent => batch_rows,
        })
    })?;
    if bytes.saturating_mul(rows) <= limits::FUNCTION_RESULT_BYTES_MAX {
        return Ok(());
    }
    let partitions = node.output_partitioning().partition_count();
    Err(refused(format!(
        "a value of {bytes} bytes would be written into each row, {rows} at once in {partitions} parts: compare with \
         it, or select it in a statement of its own"
    )))
}

/// Bytes of the largest literal in `expr` that becomes a column.
fn largest(expr: &Arc<dyn PhysicalExpr>) -> u64 {
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return literal.value().size() as u64;
    }
    let compares = match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) => compares(*binary.op()),
        None => expr.is::<InListExpr>() || expr.is::<LikeExpr>() || is_bounded(expr),
    };
    let children = expr.children().into_iter();
    // A literal to compare with stays one value.
    children.filter(|child| !(compares && child.is::<Literal>())).map(largest).max().unwrap_or_default()
}

fn is_bounded(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| has_bounds(call.fun()))
}

fn compares(operator: Operator) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Eq
            | O::NotEq
            | O::Lt
            | O::LtEq
            | O::Gt
            | O::GtEq
            | O::IsDistinctFrom
            | O::IsNotDistinctFrom
            | O::RegexMatch
            | O::RegexIMatch
            | O::RegexNotMatch
            | O::RegexNotIMatch
            | O::LikeMatch
            | O::ILikeMatch
            | O::NotLikeMatch
            | O::NotILikeMatch
    )
}
