//! `holiday_name_ja(date)`

use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, dates, over_arrays};
use crate::holidays::HOLIDAYS;

const NAME: &str = "holiday_name_ja";

#[user_doc(
    doc_section(label = "Business days of Japan"),
    description = "What a national holiday of Japan is called; 振替休日 for the substitute of one that fell on a Sunday, 国民の休日 for a day \
between two. NULL for every other day.",
    syntax_example = "holiday_name_ja(date)",
    sql_example = r#"```sql
> SELECT holiday_name_ja('2024-05-06') AS monday, holiday_name_ja('2019-10-22') AS once, holiday_name_ja('2024-05-07') AS nothing;
+----------+----------------+---------+
| monday   | once           | nothing |
+----------+----------------+---------+
| 振替休日 | 即位礼正殿の儀 |         |
+----------+----------------+---------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    related_udf(name = "is_business_day")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HolidayNameJa {
    signature: Signature,
}

scalar_function!(HolidayNameJa, NAME, arrays::signature([arrays::date()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let dates = dates(&arrays[0])?;
        let mut names = StringViewBuilder::with_capacity(dates.len());
        dates.iter().for_each(|date| names.append_option(date.and_then(|date| HOLIDAYS.name(date))));
        Ok(Arc::new(names.finish()))
    })
}
