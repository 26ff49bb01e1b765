//! `fiscal_year(date[, start_month])`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::fiscal;

const NAME: &str = "fiscal_year";

#[user_doc(
    doc_section(label = "Fiscal and era calendars"),
    description = "The fiscal year (年度) of a day, named by the calendar year in which it begins: with April, 2024 runs from April 2024 to \
March 2025. Where a year is named by its end, as in the United States, add 1.",
    syntax_example = "fiscal_year(date[, start_month])",
    sql_example = r#"```sql
> SELECT fiscal_year('2025-03-31') AS april, fiscal_year('2025-03-31', 1) AS january, fiscal_year('2025-03-31', 10) + 1 AS usa;
+-------+---------+------+
| april | january | usa  |
+-------+---------+------+
| 2024  | 2025    | 2025 |
+-------+---------+------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(
        name = "start_month",
        description = "The month with which the year begins, 1 to 12; 4 by default."
    ),
    related_udf(name = "fiscal_quarter"),
    related_udf(name = "fiscal_period")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FiscalYear {
    signature: Signature,
}

scalar_function!(FiscalYear, NAME, fiscal::signature(), DataType::Int32, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    fiscal::map(NAME, args, |fiscal| fiscal.year)
}
