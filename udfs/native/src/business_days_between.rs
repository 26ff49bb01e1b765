//! `business_days_between(from, to[, calendar])`

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, dates, over_arrays};
use crate::business::Calendars;

const NAME: &str = "business_days_between";

#[user_doc(
    doc_section(label = "Business days of Japan"),
    description = "How many business days lie after one day up to and with another, so that `add_business_days(from, n)` reaches a business \
day `to`; negative when `to` is earlier. `NETWORKDAYS` of Excel counts the first day too. NULL outside of 1948-07-20 to 2099; see \
`is_business_day`.",
    syntax_example = "business_days_between(from, to[, calendar])",
    sql_example = r#"```sql
> SELECT business_days_between('2024-05-02', '2024-05-07') AS later, business_days_between('2024-05-07', '2024-05-02') AS earlier;
+-------+---------+
| later | earlier |
+-------+---------+
| 1     | -1      |
+-------+---------+
```"#,
    argument(
        name = "from",
        description = "The day from which to count. A date; of a timestamp, the day in its time zone."
    ),
    argument(name = "to", description = "The day up to which to count."),
    argument(
        name = "calendar",
        description = "`national` (the default); `bank`, for which 31 December to 3 January are days of rest too; or `government`, for which 29 December to 3 January are."
    ),
    related_udf(name = "add_business_days"),
    related_udf(name = "is_business_day")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct BusinessDaysBetween {
    signature: Signature,
}

scalar_function!(
    BusinessDaysBetween,
    NAME,
    arrays::signature_with([arrays::date(), arrays::date()], arrays::text()),
    DataType::Int64,
    invoke
);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let (from, to) = (dates(&arrays[0])?, dates(&arrays[1])?);
        let calendars = Calendars::read(NAME, arrays, 2)?;
        let counts = from.iter().zip(&to).enumerate().map(|(row, (from, to))| {
            let Some((days, (from, to))) = calendars.at(row)?.zip(from.zip(to)) else { return Ok(None) };
            Ok(days.between(from, to))
        });
        Ok(Arc::new(counts.collect::<Result<Int64Array>>()?))
    })
}
