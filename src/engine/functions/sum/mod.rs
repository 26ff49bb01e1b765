//! `sum` of whole numbers and of the widest decimals: exact, or an error.
//!
//! Why: DataFusion's goes round past the end of its type, so that the sum of two large numbers is a negative one, and
//! nobody is told. Here a total is a value of its type together with how often it went past the end. What is added
//! comes in any order and in parts, so only the whole can tell: a total that leaves the type and comes back is exact.
//!
//! ```text
//! total.rs: a value, and how often it went past the end
//!   ├─▶ groups.rs: one for each group            GROUP BY
//!   └─▶ single.rs: one, or one that slides        without groups, OVER, DISTINCT
//! ```
//!
//! The result keeps its type. A wider one, as PostgreSQL's numeric or DuckDB's 128 bits, would make every sum of
//! integers a decimal to all who read results, for the sake of totals that hardly anybody has.

mod groups;
mod single;
#[cfg(test)]
mod tests;
mod total;

use std::sync::Arc;

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

use groups::Groups;
use single::{Distinct, Plain, Sliding, SlidingDistinct};

/// DataFusion's function, with other accumulators for the types that can go past their end.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ExactSum(Sum);

/// `$make::<T>::new(type)` for the type of the total, and `$other` for one that is left to DataFusion.
macro_rules! exact {
    ($data_type:expr, $make:ident, $other:expr) => {
        match $data_type {
            DataType::Int64 => Ok(Box::new($make::<Int64Type>::new(DataType::Int64))),
            DataType::UInt64 => Ok(Box::new($make::<UInt64Type>::new(DataType::UInt64))),
            wide @ DataType::Decimal128(DECIMAL128_MAX_PRECISION, _) => {
                Ok(Box::new($make::<Decimal128Type>::new(wide.clone())))
            }
            _ => $other,
        }
    };
}

/// Whether totals of this type are ours. Narrower decimals have ten digits to spare, which is rows enough.
fn is_exact(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int64 | DataType::UInt64 | DataType::Decimal128(DECIMAL128_MAX_PRECISION, _)
    )
}

impl AggregateUDFImpl for ExactSum {
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            exact!(args.return_field.data_type(), Distinct, self.0.accumulator(args))
        } else {
            exact!(args.return_field.data_type(), Plain, self.0.accumulator(args))
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            exact!(args.return_field.data_type(), SlidingDistinct, self.0.create_sliding_accumulator(args))
        } else {
            exact!(args.return_field.data_type(), Sliding, self.0.create_sliding_accumulator(args))
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        exact!(args.return_field.data_type(), Groups, self.0.create_groups_accumulator(args))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let past = format_state_name(args.name, "past");
        let exact = !args.is_distinct && is_exact(args.return_type());
        let mut fields = self.0.state_fields(args)?;
        if exact {
            fields.push(Arc::new(Field::new(past, DataType::Int64, false)));
        }
        Ok(fields)
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        // `sum(x) + 1 * count(x)` is made of operators that go round.
        let goes_round = |value: &ScalarValue| !value.data_type().is_floating();
        match literal {
            Expr::Literal(value, _) if goes_round(value) => Ok(None),
            _ => self.0.simplify_expr_op_literal(call, arg, op, literal, arg_is_left),
        }
    }

    // From here on, all as it was.

    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.0.return_type(arg_types)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.0.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.0.order_sensitivity()
    }

    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.0.value_from_stats(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.0.set_monotonicity(data_type)
    }
}
