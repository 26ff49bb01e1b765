//! A function that refuses to run when its result would be too large, or its work without an end.

use std::hash::{Hash, Hasher};

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, StructFieldMapping,
};

use super::budget;
use super::growth::Growth;
use super::rewrite::with_bounds;
use super::sizes::Call;
use super::types::check_type;
use crate::error::Error;
use crate::limits;

/// A function as it was, but for the check before it runs.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: ScalarUDF,
    growth: Growth,
}

impl Bounded {
    pub(super) fn new(inner: ScalarUDF, growth: Growth) -> Self {
        Self { inner, growth }
    }

    /// The function without its bounds.
    pub(super) fn inner(&self) -> &ScalarUDF {
        &self.inner
    }

    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let call = Call::new(&args.args, args.number_rows);
        let predicted = self.growth.predict(&call)?;
        let name = self.inner.name();
        let bytes_max = match args.return_field.data_type() {
            // A constant list is read element by element each time that its name is asked for.
            DataType::List(_) | DataType::LargeList(_) if call.is_constant() => {
                limits::CONSTANT_LIST_BYTES_MAX
            }
            _ => limits::FUNCTION_RESULT_BYTES_MAX,
        };
        if predicted.bytes > bytes_max {
            return Err(refused(format!(
                "`{name}` would make {} of data at once; at most {} MiB are accepted",
                shown(predicted.bytes),
                bytes_max >> 20
            )));
        }
        if predicted.steps > limits::FUNCTION_STEPS_MAX {
            return Err(refused(format!(
                "`{name}` would work too long on texts or patterns of this size: shorten them first, as with `left`"
            )));
        }
        budget::count(args, call.is_constant(), predicted)
    }
}

pub(in crate::engine) fn refused(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(Error::OverLimit(message)))
}

fn shown(bytes: u64) -> String {
    if bytes >> 50 > 0 { "more than a PiB".to_owned() } else { format!("{} MiB", bytes >> 20) }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.inner().invoke_with_args(args)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        check_type(self.inner.name(), field.data_type())?;
        Ok(field)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => ExprSimplifyResult::Simplified(with_bounds(expr)?),
            original @ ExprSimplifyResult::Original(_) => original,
        })
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self::new(inner, self.growth)))
    }

    // From here on, all as it was.

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(inputs)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.inner.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn struct_field_mapping(
        &self,
        literals: &[Option<datafusion::common::ScalarValue>],
    ) -> Option<StructFieldMapping> {
        self.inner.inner().struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.inner().placement(args)
    }
}
