//! `+`, `-`, `*` and negation of whole numbers, `||` on texts and `~` with its kin, as they should have been.
//!
//! Why: DataFusion's integer arithmetic goes round past its end: `9223372036854775807 + 1` is a large negative
//! number, and nobody is told. And `||` makes its result without asking how large it becomes. These operators exist
//! with a check; a statement only cannot ask for it, so the analyzer puts these in their place.
//!
//! A chain such as `a + b - c` is one function of three arguments: DataFusion works out the type of a function from
//! the types of its arguments, level by level, and for each level anew.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::{Interval, apply_operator};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    BinaryExpr as Binary, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};

use super::bounded::{Bounded, refused};
use super::growth::{Growth, pattern_states};
use crate::limits;

/// Operators one after the other, the first ones first: one argument more than operators.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operators: Vec<Operator>,
    name: String,
    signature: Signature,
}

impl Checked {
    fn new(operators: Vec<Operator>) -> Self {
        let mut names: Vec<_> = operators.iter().map(ToString::to_string).collect();
        names.dedup();
        // The analyzer has made the types of both sides fit already.
        Self { operators, name: names.join(" "), signature: Signature::variadic_any(Volatility::Immutable) }
    }

    /// Goes from left to right, with `step` for each operator.
    fn fold<T>(
        &self,
        values: impl IntoIterator<Item = T>,
        step: impl Fn(T, Operator, T) -> Result<T>,
    ) -> Result<T> {
        let mut values = values.into_iter();
        let missing = || DataFusionError::Internal(format!("`{}` without arguments", self.name));
        let first = values.next().ok_or_else(missing)?;
        values.zip(&self.operators).try_fold(first, |left, (right, operator)| step(left, *operator, right))
    }
}

/// `binary` with its check; as it was if it needs none. `type_of` an expression is asked for only when it matters.
pub(super) fn with_check(
    binary: Binary,
    type_of: impl Fn(&Expr) -> Result<Option<DataType>>,
) -> Result<Transformed<Expr>> {
    let op = binary.op;
    let is_integer = |expr: &Expr| type_of(expr).map(|known| known.is_some_and(|known| known.is_integer()));
    let applies = match op {
        Operator::Plus | Operator::Minus | Operator::Multiply => {
            arithmetic(&binary.left).is_some() || (is_integer(&binary.left)? && is_integer(&binary.right)?)
        }
        Operator::StringConcat => true,
        op if is_pattern(op) => match binary.right.as_ref() {
            Expr::Literal(pattern, _) => {
                check_pattern(pattern.try_as_str().flatten().unwrap_or_default())?;
                false
            }
            _ => true,
        },
        _ => false,
    };
    if !applies {
        return Ok(Transformed::no(Expr::BinaryExpr(binary)));
    }
    let before = match op {
        Operator::StringConcat => concatenation(&binary.left),
        op if is_pattern(op) => None,
        _ => arithmetic(&binary.left),
    };
    let mut operators = before.map_or_else(Vec::new, |before| before.operators.clone());
    operators.push(op);
    let mut args = match *binary.left {
        Expr::ScalarFunction(call) if operators.len() > 1 => call.args,
        left => vec![left],
    };
    args.push(*binary.right);
    let checked = ScalarUDF::new_from_impl(Checked::new(operators));
    let func = match op {
        Operator::StringConcat => ScalarUDF::new_from_impl(Bounded::new(checked, Growth::Joined)),
        op if is_pattern(op) => ScalarUDF::new_from_impl(Bounded::new(checked, Growth::Regexp)),
        _ => checked,
    };
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::new(func), args })))
}

/// `-expr` of a whole number, which for the smallest one is none: as a difference, so that the check is that of `-`.
pub(super) fn negated(expr: Expr, data_type: &DataType) -> Result<Expr> {
    let zero = Expr::Literal(ScalarValue::new_zero(data_type)?, None);
    let func = Arc::new(ScalarUDF::new_from_impl(Checked::new(vec![Operator::Minus])));
    Ok(Expr::ScalarFunction(ScalarFunction { func, args: vec![zero, expr] }))
}

/// The arithmetic that `expr` is already; it is of whole numbers.
fn arithmetic(expr: &Expr) -> Option<&Checked> {
    let Expr::ScalarFunction(call) = expr else { return None };
    call.func.inner().downcast_ref::<Checked>()
}

fn concatenation(expr: &Expr) -> Option<&Checked> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let bounded = call.func.inner().downcast_ref::<Bounded>()?.inner();
    let checked = bounded.inner().downcast_ref::<Checked>()?;
    (checked.operators.first() == Some(&Operator::StringConcat)).then_some(checked)
}

/// Whether `operator` may need a check.
pub(super) fn may_need_check(operator: Operator) -> bool {
    use Operator as O;
    is_pattern(operator) || matches!(operator, O::Plus | O::Minus | O::Multiply | O::StringConcat)
}

/// Whether the right side of `operator` is a regular expression.
fn is_pattern(operator: Operator) -> bool {
    use Operator as O;
    matches!(operator, O::RegexMatch | O::RegexIMatch | O::RegexNotMatch | O::RegexNotIMatch)
}

/// Refuses a pattern that takes long to build; one that is written out is built once and then runs as it is.
fn check_pattern(pattern: &str) -> Result<()> {
    let states = pattern_states(pattern);
    if states <= limits::PATTERN_STATES_MAX {
        return Ok(());
    }
    Err(refused(format!(
        "a pattern has {states} states, counting what it repeats; at most {} are accepted",
        limits::PATTERN_STATES_MAX
    )))
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.fold(arg_types.iter().cloned(), |left, operator, right| {
            let (left, right) = (Field::new("left", left, true), Field::new("right", right, true));
            let sides = [Arc::new(Column::new("left", 0)) as _, Arc::new(Column::new("right", 1)) as _];
            let [first, second]: [Arc<dyn PhysicalExpr>; 2] = sides;
            BinaryExpr::new(first, operator, second).data_type(&Schema::new(vec![left, right]))
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(&self.name, self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        self.fold(args.args, |left, operator, right| apply(left, operator, right, rows))
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        if !self.operators.iter().all(Operator::is_numerical_operators) {
            return Interval::make_unbounded(&DataType::Null);
        }
        self.fold(inputs.iter().copied().cloned(), |left, operator, right| {
            apply_operator(&operator, &left, &right)
        })
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        // What does not go round keeps its order.
        self.fold(inputs.iter().map(|input| input.sort_properties), |left, operator, right| {
            Ok(match operator {
                Operator::Plus => left.add(&right),
                Operator::Minus => left.sub(&right),
                _ => SortProperties::Unordered,
            })
        })
    }
}

/// One operator on two values, by DataFusion's own expression.
fn apply(
    left: ColumnarValue,
    operator: Operator,
    right: ColumnarValue,
    rows: usize,
) -> Result<ColumnarValue> {
    let constant = matches!((&left, &right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let mut side = |value, name: &str| match value {
        ColumnarValue::Scalar(value) => Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>,
        ColumnarValue::Array(array) => {
            fields.push(Field::new(name, array.data_type().clone(), true));
            columns.push(array);
            Arc::new(Column::new(name, columns.len() - 1))
        }
    };
    let (left, right) = (side(left, "left"), side(right, "right"));
    let options = RecordBatchOptions::new().with_row_count(Some(if constant { 1 } else { rows }));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    let result = BinaryExpr::new(left, operator, right).with_fail_on_overflow(true).evaluate(&batch)?;
    match result {
        ColumnarValue::Array(array) if constant => {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
        }
        other => Ok(other),
    }
}

/// `array_agg` over a frame that may hold the whole table gives each row a copy of it.
pub(super) fn check_window(name: &str, bounded: bool) -> Result<()> {
    if bounded || !matches!(name, "array_agg" | "string_agg") {
        return Ok(());
    }
    Err(refused(format!(
        "`{name}` over a window gives each row a copy of its frame: use a frame such as `ROWS BETWEEN 10 PRECEDING AND \
         CURRENT ROW`, or `GROUP BY`"
    )))
}
