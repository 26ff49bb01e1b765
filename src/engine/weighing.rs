//! How large a condition becomes when the names in it are written out.
//!
//! Why: the optimizer moves a condition below the projections it looks at, and puts for each name what the
//! projection computes. Forty steps of `SELECT x + x AS x` are short; `WHERE x > 0` above them is a million million
//! terms. Neither can be seen in the text alone, because `*` carries names along.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection};

use super::functions::refused;
use crate::limits;

/// Refuses a plan with a condition that is too large when written out.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    columns(plan)?;
    Ok(())
}

/// What each column of `plan` amounts to when it is written out.
fn columns(plan: &LogicalPlan) -> Result<Vec<u64>> {
    let inputs = plan.inputs().into_iter().map(columns).collect::<Result<Vec<_>>>()?;
    within(plan)?;
    let fields = plan.schema().fields().len();
    let all = inputs.concat();
    Ok(match plan {
        LogicalPlan::Projection(Projection { expr, input, .. }) => {
            expr.iter().map(|expr| weight(expr, input.schema(), &all)).collect::<Result<Vec<_>>>()?
        }
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            allow(weight(predicate, input.schema(), &all)?)?;
            all
        }
        LogicalPlan::Join(Join { left, right, on, filter, .. }) => {
            let both = left.schema().join(right.schema());
            if let (Some(filter), Ok(both)) = (filter, &both) {
                allow(weight(filter, both, &all)?)?;
            }
            for (left_key, right_key) in on {
                allow(weight(left_key, left.schema(), &inputs[0])?)?;
                allow(weight(right_key, right.schema(), &inputs[1])?)?;
            }
            sized(all, fields)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let groups = aggregate.group_expr.iter().map(|expr| weight(expr, aggregate.input.schema(), &all));
            let mut groups = groups.collect::<Result<Vec<_>>>()?;
            // What is aggregated is not written out above it.
            groups.resize(fields, 1);
            groups
        }
        LogicalPlan::Window(_) => sized(all, fields),
        LogicalPlan::Union(_) => {
            let mut largest = vec![1; fields];
            for input in inputs {
                for (largest, weight) in largest.iter_mut().zip(input) {
                    *largest = weight.max(*largest);
                }
            }
            largest
        }
        _ if inputs.len() == 1 && all.len() == fields => all,
        _ => vec![1; fields],
    })
}

fn sized(mut weights: Vec<u64>, fields: usize) -> Vec<u64> {
    weights.resize(fields, 1);
    weights
}

/// Sub-queries in the expressions of `plan`.
fn within(plan: &LogicalPlan) -> Result<()> {
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            let subquery = match expr {
                Expr::Exists(exists) => &exists.subquery,
                Expr::InSubquery(within) => &within.subquery,
                Expr::SetComparison(compared) => &compared.subquery,
                Expr::ScalarSubquery(subquery) => subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            check(&subquery.subquery)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

fn weight(expr: &Expr, schema: &DFSchema, columns: &[u64]) -> Result<u64> {
    let mut weight = 0_u64;
    expr.apply(|expr| {
        let own = match expr {
            Expr::Column(column) => schema
                .maybe_index_of_column(column)
                .and_then(|index| columns.get(index).copied())
                .unwrap_or(1),
            _ => 1,
        };
        weight = weight.saturating_add(own);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(weight)
}

fn allow(weight: u64) -> Result<()> {
    if weight <= limits::STATEMENT_NODES_MAX {
        return Ok(());
    }
    Err(refused(format!(
        "a condition has more than {} parts once the columns it names are written out: compute such a column from \
         fewer others, or put the condition further inside",
        limits::STATEMENT_NODES_MAX
    )))
}
