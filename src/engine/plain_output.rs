//! Results have text and bytes of their own, not views.
//!
//! Why: a view array points into the buffers it was read into, and Arrow IPC writes those whole: 2,000 rows of a sorted
//! table were 530 MB instead of 0.1 MB. DataFusion can turn views into arrays with offsets of 64 bits at the output of
//! most plans (`expand_views_at_output`); this does it for all, and with offsets of 32 bits, which for short texts is a
//! fifth of the bytes on the wire. No batch comes near the 2 GiB that these can count: it would not fit into the
//! memory of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::coerce_plan_expr_for_schema;
use datafusion::optimizer::AnalyzerRule;

/// Casts views at the output of a plan.
#[derive(Debug, Default)]
pub(super) struct PlainOutput;

impl AnalyzerRule for PlainOutput {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        // What an explanation shows is text already, and its plan is no output.
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
            return Ok(plan);
        }
        let schema = plan.schema();
        let fields: Vec<_> = schema.iter().map(|(table, field)| (table.cloned(), plain(field))).collect();
        if fields.iter().zip(schema.fields()).all(|((_, plain), field)| Arc::ptr_eq(plain, field)) {
            return Ok(plan);
        }
        let plain = DFSchema::new_with_metadata(fields, schema.as_arrow().metadata().clone())?;
        coerce_plan_expr_for_schema(plan, &plain)
    }

    fn name(&self) -> &'static str {
        "plain_output"
    }
}

fn plain(field: &Arc<Field>) -> Arc<Field> {
    let plain = match field.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(plain))
}
