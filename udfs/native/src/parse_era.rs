//! `parse_era(text)`

use std::sync::Arc;

use arrow::array::Date32Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, over_arrays, texts};
use crate::era;

const NAME: &str = "parse_era";

#[user_doc(
    doc_section(label = "Fiscal and era calendars"),
    description = "Reads a Japanese date: `令和6年1月5日`, `R6.1.5`, `R06/01/05`, `2024年1月5日`, in full width or half. NULL for any other \
text, and for days that the era did not have, such as 平成32年1月1日. Years before Meiji 6 counted by another calendar and are NULL.",
    syntax_example = "parse_era(text)",
    sql_example = r#"```sql
> SELECT parse_era('令和元年5月1日') AS first, parse_era('S64.1.7') AS last, parse_era('平成32年1月1日') AS nothing;
+------------+------------+---------+
| first      | last       | nothing |
+------------+------------+---------+
| 2019-05-01 | 1989-01-07 |         |
+------------+------------+---------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "format_era")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParseEra {
    signature: Signature,
}

scalar_function!(ParseEra, NAME, arrays::signature([arrays::text()]), DataType::Date32, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| {
        let texts = texts(&arrays[0])?;
        Ok(Arc::new(texts.iter().map(|text| era::date(text?)).collect::<Date32Array>()))
    })
}
