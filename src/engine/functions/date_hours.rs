//! A date and an interval with hours make a timestamp.
//!
//! Why: DataFusion keeps the type of a date, and drops what does not fill a day: `date '2024-02-29' + interval
//! '1 hour'` stayed the date it was. The SQL standard has no such sum; PostgreSQL makes a timestamp of it, and so do we.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable as _, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

const DAY_NANOSECONDS: i64 = 86_400_000_000_000;

#[derive(Debug)]
pub(super) struct DateHours;

impl ExprPlanner for DateHours {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let sum = matches!(op, BinaryOperator::Plus | BinaryOperator::Minus);
        let (left, right) = match sum && (may_have_hours(&left, schema) || may_have_hours(&right, schema)) {
            true => (at_midnight(left, schema), at_midnight(right, schema)),
            false => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// Whether `expr` is an interval that is not known to be of whole days.
fn may_have_hours(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            interval.nanoseconds % DAY_NANOSECONDS != 0
        }
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => false,
        // A type that is not known yet is told as an error where it matters.
        other => matches!(other.get_type(schema), Ok(DataType::Interval(_))),
    }
}

/// A date as its first moment; anything else as it is.
fn at_midnight(expr: Expr, schema: &DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(DataType::Date32 | DataType::Date64) => {
            cast(expr, DataType::Timestamp(TimeUnit::Nanosecond, None))
        }
        _ => expr,
    }
}
