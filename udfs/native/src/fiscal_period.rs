//! `fiscal_period(date[, start_month])`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::fiscal;

const NAME: &str = "fiscal_period";

#[user_doc(
    doc_section(label = "Fiscal and era calendars"),
    description = "The month of the fiscal year in which a day lies, 1 to 12: the posting period of ledgers such as SAP's.",
    syntax_example = "fiscal_period(date[, start_month])",
    sql_example = r#"```sql
> SELECT fiscal_period('2024-04-01') AS april, fiscal_period('2025-03-31') AS march, fiscal_period('2025-03-31', 1) AS calendar;
+-------+-------+----------+
| april | march | calendar |
+-------+-------+----------+
| 1     | 12    | 3        |
+-------+-------+----------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(
        name = "start_month",
        description = "The month with which the year begins, 1 to 12; 4 by default."
    ),
    related_udf(name = "fiscal_year"),
    related_udf(name = "fiscal_quarter")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FiscalPeriod {
    signature: Signature,
}

scalar_function!(FiscalPeriod, NAME, fiscal::signature(), DataType::Int32, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    fiscal::map(NAME, args, |fiscal| fiscal.period.cast_signed())
}
