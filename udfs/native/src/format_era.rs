//! `format_era(date[, style])`

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result, exec_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays::{self, dates, optional, over_arrays, texts};
use crate::era::{self, Style};

const NAME: &str = "format_era";

#[user_doc(
    doc_section(label = "Fiscal and era calendars"),
    description = "Writes a date by the era of the emperor: 令和6年1月5日, or R6.1.5 in the short style, as the format `ggge` of Excel. The \
first year of an era is 元年 in the long style. A day of two eras has the newer one. NULL before Meiji 6 (1873), when Japan had \
another calendar, and after 9999.",
    syntax_example = "format_era(date[, style])",
    sql_example = r#"```sql
> SELECT format_era('2024-01-05') AS long, format_era('2024-01-05', 'short') AS short, format_era('2019-05-01') AS first;
+---------------+--------+----------------+
| long          | short  | first          |
+---------------+--------+----------------+
| 令和6年1月5日 | R6.1.5 | 令和元年5月1日 |
+---------------+--------+----------------+
```"#,
    argument(name = "date", description = "A date; of a timestamp, the day in its time zone."),
    argument(name = "style", description = "`long` (the default) or `short`."),
    related_udf(name = "parse_era")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FormatEra {
    signature: Signature,
}

scalar_function!(
    FormatEra,
    NAME,
    arrays::signature_with([arrays::date()], arrays::text()),
    DataType::Utf8View,
    invoke
);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(args, |arrays| written(NAME, arrays))
}

fn written(name: &str, arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (dates, styles) = (dates(&arrays[0])?, optional(arrays, 1, texts)?);
    let mut written = StringViewBuilder::with_capacity(dates.len());
    let mut buffer = String::new();
    for (row, date) in dates.iter().enumerate() {
        let style = match &styles {
            None => Some(Style::Long),
            Some(styles) => styles.is_valid(row).then(|| style(name, styles.value(row))).transpose()?,
        };
        buffer.clear();
        let is_written = match date.zip(style) {
            Some((date, style)) => era::write(date, style, &mut buffer)
                .map_err(|error| DataFusionError::External(error.into()))?,
            None => false,
        };
        written.append_option(is_written.then_some(&buffer));
    }
    Ok(Arc::new(written.finish()))
}

fn style(name: &str, text: &str) -> Result<Style> {
    match text {
        "long" => Ok(Style::Long),
        "short" => Ok(Style::Short),
        _ => {
            let text: String = text.chars().take(40).collect();
            exec_err!("`{name}` expects the style `long` or `short`, got `{text}`")
        }
    }
}
