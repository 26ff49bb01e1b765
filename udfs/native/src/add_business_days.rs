//! `add_business_days(date, n[, calendar])`

use std::sync::Arc;

use arrow::array::Date32Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, dates, integers, over_arrays};
use crate::business::Calendars;

const NAME: &str = "add_business_days";

#[user_doc(
    doc_section(label = "Business days of Japan"),
    description = "The n-th business day after a day, or before it when n is negative; the day itself when n is zero. As `WORKDAY` of Excel, \
with the national holidays of Japan known; see `is_business_day` for these. NULL where that leads out of 1948-07-20 to 2099.",
    syntax_example = "add_business_days(date, n[, calendar])",
    sql_example = r#"```sql
> SELECT add_business_days('2024-05-02', 1) AS next, add_business_days('2024-05-07', -1) AS previous, add_business_days('2024-12-30', 1, 'bank') AS bank;
+------------+------------+------------+
| next       | previous   | bank       |
+------------+------------+------------+
| 2024-05-07 | 2024-05-02 | 2025-01-06 |
+------------+------------+------------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(name = "n", description = "How many business days; may be negative."),
    argument(
        name = "calendar",
        description = "`national` (the default); `bank`, for which 31 December to 3 January are days of rest too; or `government`, for which 29 December to 3 January are."
    ),
    related_udf(name = "is_business_day"),
    related_udf(name = "business_days_between")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddBusinessDays {
    signature: Signature,
}

scalar_function!(
    AddBusinessDays,
    NAME,
    arrays::signature_with([arrays::date(), arrays::integer()], arrays::text()),
    DataType::Date32,
    invoke
);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let (dates, counts) = (dates(&arrays[0])?, integers(&arrays[1])?);
        let calendars = Calendars::read(NAME, arrays, 2)?;
        let reached = dates.iter().zip(&counts).enumerate().map(|(row, (date, n))| {
            let Some((days, (date, n))) = calendars.at(row)?.zip(date.zip(n)) else { return Ok(None) };
            Ok(days.add(date, n))
        });
        Ok(Arc::new(reached.collect::<Result<Date32Array>>()?))
    })
}
