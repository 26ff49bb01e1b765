//! `is_business_day(date[, calendar])`

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, dates, over_arrays};
use crate::business::Calendars;

const NAME: &str = "is_business_day";

#[user_doc(
    doc_section(label = "Business days of Japan"),
    description = "Whether a day is neither a Saturday nor a Sunday nor a national holiday of Japan (国民の祝日に関する法律, with substitute \
holidays and the moves of 2019 to 2021). NULL before 1948-07-20, when the Act came into force, and after 2099. The days of the \
equinoxes are announced a year ahead; later ones are computed.",
    syntax_example = "is_business_day(date[, calendar])",
    sql_example = r#"```sql
> SELECT is_business_day('2024-05-02') AS thursday, is_business_day('2024-05-06') AS substitute, is_business_day('2024-01-02', 'bank') AS bank;
+----------+------------+-------+
| thursday | substitute | bank  |
+----------+------------+-------+
| true     | false      | false |
+----------+------------+-------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(
        name = "calendar",
        description = "`national` (the default); `bank`, for which 31 December to 3 January are days of rest too; or `government`, for which 29 December to 3 January are."
    ),
    related_udf(name = "add_business_days"),
    related_udf(name = "business_days_between"),
    related_udf(name = "holiday_name_ja")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct IsBusinessDay {
    signature: Signature,
}

scalar_function!(
    IsBusinessDay,
    NAME,
    arrays::signature_with([arrays::date()], arrays::text()),
    DataType::Boolean,
    invoke
);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let (dates, calendars) = (dates(&arrays[0])?, Calendars::read(NAME, arrays, 1)?);
        let answers = dates.iter().enumerate().map(|(row, date)| {
            let days = calendars.at(row)?;
            Ok(days.zip(date).and_then(|(days, date)| days.is_one(date)))
        });
        Ok(Arc::new(answers.collect::<Result<BooleanArray>>()?))
    })
}
