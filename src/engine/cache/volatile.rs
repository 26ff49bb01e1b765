//! Whether a statement may answer differently each time it runs on the same versions.

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, WindowFunctionDefinition};

use crate::engine::table::DatasetTable;

/// Whether `plan` holds anything that the versions it reads do not decide. To be asked before the plan is
/// optimised, which turns `now()` into a literal.
pub(in crate::engine) fn is_volatile(plan: &LogicalPlan) -> PlanResult<bool> {
    let mut volatile = false;
    plan.apply_with_subqueries(|node| {
        volatile |= node_is_volatile(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                volatile |= expr_is_volatile(expr);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(volatile)
}

fn node_is_volatile(node: &LogicalPlan) -> PlanResult<bool> {
    Ok(match node {
        // Arguments of a table function are gone once it is a table, and may have held `now()`.
        LogicalPlan::TableScan(scan) => !source_as_provider(&scan.source)?.is::<DatasetTable>(),
        // What it says depends on how busy the service is, and it costs little.
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => true,
        // Nobody has said what another kind of node does.
        LogicalPlan::Extension(_) => true,
        _ => false,
    })
}

fn expr_is_volatile(expr: &Expr) -> bool {
    let volatility = match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.signature().volatility,
            WindowFunctionDefinition::WindowUDF(function) => function.signature().volatility,
        },
        Expr::ScalarVariable(..) => Volatility::Volatile,
        _ => Volatility::Immutable,
    };
    volatility != Volatility::Immutable
}
