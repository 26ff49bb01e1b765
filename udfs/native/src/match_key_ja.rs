//! `match_key_ja(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays;
use crate::kana::hiragana;
use crate::normalize_ja::push_normalized;

const NAME: &str = "match_key_ja";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "A key by which two spellings of one name are equal: `normalize_ja`, then lower case, and katakana as hiragana. \
For joins and groups over names that people typed; show the original text. Like a collation that ignores width, kana and case, \
such as `Japanese_CI_AI` of SQL Server.",
    syntax_example = "match_key_ja(text)",
    sql_example = r#"```sql
> SELECT match_key_ja('ｼﾗﾍﾞ ＣＯ．') AS key, match_key_ja('しらべ co.') = match_key_ja('シラベ　Co.') AS same;
+------------+------+
| key        | same |
+------------+------+
| しらべ co. | true |
+------------+------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "normalize_ja")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct MatchKeyJa {
    signature: Signature,
}

scalar_function!(MatchKeyJa, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    let mut normal = String::with_capacity(text.len());
    push_normalized(text, &mut normal);
    out.extend(normal.chars().flat_map(char::to_lowercase).map(hiragana));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_have_one_key() {
        check(&["シラベ", "しらべ", "ｼﾗﾍﾞ", " シラベ　"], "しらべ");
        check(&["Ｓｈｉｒａｂｅ", "SHIRABE", "shirabe"], "shirabe");
        check(&["ストラッセ", "すとらっせ"], "すとらっせ");
        check(&["コーヒー", "こーひー"], "こーひー");
        check(&[""], "");

        #[track_caller]
        fn check(texts: &[&str], expected: &str) {
            for text in texts {
                let mut out = String::new();
                write(text, &mut out);
                assert_eq!(out, expected, "{text}");
            }
        }
    }
}
