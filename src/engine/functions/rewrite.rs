//! Puts functions with bounds where the planner put those without: it makes some itself, for operators and literals.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawDictionaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable as _, Like, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use super::bounded::{Bounded, refused};
use super::checked;
use super::types::check_type;
use crate::engine::weighing;
use crate::limits;

/// The last rule of the analyzer, when all types are known.
#[derive(Debug, Default)]
pub(in crate::engine) struct Bounding;

impl AnalyzerRule for Bounding {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        weighing::check(&plan)?;
        Ok(plan.transform_up_with_subqueries(in_plan)?.data)
    }

    fn name(&self) -> &'static str {
        "bounding"
    }
}

fn in_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // A limit has to stay the number it is.
    if matches!(plan, LogicalPlan::Limit(_)) || !concerned(&plan)? {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let changed = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(in_expr(expr, Some(&schema))?.update_data(|expr| name.restore(expr)))
    })?;
    if changed.transformed { changed.map_data(LogicalPlan::recompute_schema) } else { Ok(changed) }
}

/// Most plans are not, and their names need not be looked after.
fn concerned(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = found || expr.exists(|expr| Ok(may_change(expr)))?;
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn may_change(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => is_without_bounds(call),
        Expr::BinaryExpr(BinaryExpr { op, .. }) => checked::may_need_check(*op),
        Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::Negative(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::Like(_) => true,
        _ => false,
    }
}

fn is_without_bounds(call: &ScalarFunction) -> bool {
    !call.func.inner().is::<Bounded>() && super::BOUNDED.contains_key(call.name())
}

/// `expr` with bounds, for what a function is simplified to.
pub(super) fn with_bounds(expr: Expr) -> Result<Expr> {
    Ok(in_expr(expr, None)?.data)
}

fn in_expr(expr: Expr, schema: Option<&DFSchema>) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| one(expr, schema))
}

fn one(expr: Expr, schema: Option<&DFSchema>) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::ScalarFunction(call) if is_without_bounds(&call) => match super::BOUNDED.get(call.name()) {
            Some(bounded) => Transformed::yes(Expr::ScalarFunction(ScalarFunction {
                func: Arc::clone(bounded),
                args: call.args,
            })),
            None => Transformed::no(Expr::ScalarFunction(call)),
        },
        // Without a schema it is one that a function was simplified to.
        Expr::BinaryExpr(binary) => {
            let type_of = |expr: &Expr| schema.map(|schema| expr.get_type(schema)).transpose();
            return checked::with_check(binary, type_of);
        }
        Expr::Negative(inner) => match schema.map(|schema| inner.get_type(schema)).transpose()? {
            Some(whole) if whole.is_signed_integer() => Transformed::yes(checked::negated(*inner, &whole)?),
            _ => Transformed::no(Expr::Negative(inner)),
        },
        Expr::Like(like) => {
            check_like(&like)?;
            Transformed::no(Expr::Like(like))
        }
        Expr::Cast(cast) => {
            check_type("CAST", cast.field.data_type())?;
            Transformed::no(Expr::Cast(cast))
        }
        Expr::TryCast(cast) => {
            check_type("TRY_CAST", cast.field.data_type())?;
            Transformed::no(Expr::TryCast(cast))
        }
        Expr::AggregateFunction(call) => {
            check_centroids(&call)?;
            Transformed::no(Expr::AggregateFunction(call))
        }
        Expr::WindowFunction(call) => {
            check_window(&call)?;
            Transformed::no(Expr::WindowFunction(call))
        }
        other => Transformed::no(other),
    })
}

/// Each `%` of a pattern is another place where a text may go on.
fn check_like(like: &Like) -> Result<()> {
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else { return Ok(()) };
    let bytes = pattern.try_as_str().flatten().map_or(0, str::len);
    if bytes <= limits::LIKE_BYTES_MAX {
        return Ok(());
    }
    Err(refused(format!(
        "a pattern of `LIKE` has {bytes} bytes; at most {} are accepted",
        limits::LIKE_BYTES_MAX
    )))
}

/// The sketch of `approx_percentile_cont` takes its memory at once, as much as its last argument says.
fn check_centroids(call: &AggregateFunction) -> Result<()> {
    let before = match call.func.name() {
        "approx_percentile_cont" => 2,
        "approx_percentile_cont_with_weight" => 3,
        _ => return Ok(()),
    };
    let Some(centroids) = call.params.args.get(before) else { return Ok(()) };
    let number = match centroids {
        Expr::Literal(value, _) => value.cast_to(&DataType::Int64).ok(),
        _ => None,
    };
    match number {
        Some(ScalarValue::Int64(Some(number))) if number <= limits::CENTROIDS_MAX => Ok(()),
        _ => Err(refused(format!(
            "`{}` takes a number of centroids that is written out and at most {}",
            call.func.name(),
            limits::CENTROIDS_MAX
        ))),
    }
}

fn check_window(call: &WindowFunction) -> Result<()> {
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else { return Ok(()) };
    checked::check_window(function.name(), is_small(&call.params.window_frame))
}

/// Whether a frame holds a number of rows that is written out and small.
fn is_small(frame: &WindowFrame) -> bool {
    let small = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => {
            matches!(rows, ScalarValue::UInt64(Some(rows)) if *rows <= limits::FRAME_ROWS_MAX)
        }
    };
    frame.units == WindowFrameUnits::Rows && small(&frame.start_bound) && small(&frame.end_bound)
}

/// Literals of structures, whose types are worked out before the analyzer sees them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Literals;

impl ExprPlanner for Literals {
    fn plan_dictionary_literal(
        &self,
        expr: RawDictionaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        let args = expr.keys.iter().zip(&expr.values).flat_map(|(key, value)| [key.clone(), value.clone()]);
        match call("named_struct", args.collect()) {
            Some(planned) => Ok(PlannerResult::Planned(planned)),
            None => Ok(PlannerResult::Original(expr)),
        }
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, named: bool) -> Result<PlannerResult<Vec<Expr>>> {
        let name = if named { "named_struct" } else { "struct" };
        Ok(call(name, args.clone()).map_or(PlannerResult::Original(args), PlannerResult::Planned))
    }

    fn plan_array_literal(&self, args: Vec<Expr>, _: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(call("make_array", args.clone()).map_or(PlannerResult::Original(args), PlannerResult::Planned))
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        if !args.len().is_multiple_of(2) {
            return Ok(PlannerResult::Original(args));
        }
        let side = |odd| args.iter().skip(odd).step_by(2).cloned().collect();
        let sides = [call("make_array", side(0)), call("make_array", side(1))];
        let [Some(keys), Some(values)] = sides else { return Ok(PlannerResult::Original(args)) };
        Ok(call("map", vec![keys, values]).map_or(PlannerResult::Original(args), PlannerResult::Planned))
    }
}

fn call(name: &str, args: Vec<Expr>) -> Option<Expr> {
    let func = Arc::clone(super::BOUNDED.get(name)?);
    Some(Expr::ScalarFunction(ScalarFunction { func, args }))
}
