//! `katakana_to_hiragana(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays;
use crate::kana::hiragana;

const NAME: &str = "katakana_to_hiragana";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "Turns katakana into hiragana and leaves all else, half-width katakana too: call `to_fullwidth` or `normalize_ja` \
before it for these.",
    syntax_example = "katakana_to_hiragana(text)",
    sql_example = r#"```sql
> SELECT katakana_to_hiragana('カタカナと漢字') AS text;
+----------------+
| text           |
+----------------+
| かたかなと漢字 |
+----------------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "hiragana_to_katakana")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct KatakanaToHiragana {
    signature: Signature,
}

scalar_function!(KatakanaToHiragana, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    out.extend(text.chars().map(hiragana));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn katakana_become_hiragana() {
        check("カタカナ", "かたかな");
        check("ァヴヶヽヾ", "ぁゔゖゝゞ");
        check("コーヒー", "こーひー");
        check("ヷヺ漢字ｶﾅABC", "ヷヺ漢字ｶﾅABC");
        check("", "");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = String::new();
            write(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
