//! `fiscal_quarter(date[, start_month])`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::fiscal;

const NAME: &str = "fiscal_quarter";

#[user_doc(
    doc_section(label = "Fiscal and era calendars"),
    description = "The quarter of the fiscal year in which a day lies, 1 to 4.",
    syntax_example = "fiscal_quarter(date[, start_month])",
    sql_example = r#"```sql
> SELECT fiscal_quarter('2024-04-01') AS april, fiscal_quarter('2025-03-31') AS march, fiscal_quarter('2025-03-31', 1) AS calendar;
+-------+-------+----------+
| april | march | calendar |
+-------+-------+----------+
| 1     | 4     | 1        |
+-------+-------+----------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(
        name = "start_month",
        description = "The month with which the year begins, 1 to 12; 4 by default."
    ),
    related_udf(name = "fiscal_year"),
    related_udf(name = "fiscal_period")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FiscalQuarter {
    signature: Signature,
}

scalar_function!(FiscalQuarter, NAME, fiscal::signature(), DataType::Int32, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    fiscal::map(NAME, args, |fiscal| fiscal.quarter().cast_signed())
}
