//! `hiragana_to_katakana(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays;
use crate::kana::katakana;

const NAME: &str = "hiragana_to_katakana";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "Turns hiragana into katakana and leaves all else, as `hira2kata` of the usual libraries does.",
    syntax_example = "hiragana_to_katakana(text)",
    sql_example = r#"```sql
> SELECT hiragana_to_katakana('ひらがなと漢字') AS text;
+----------------+
| text           |
+----------------+
| ヒラガナト漢字 |
+----------------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "katakana_to_hiragana")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HiraganaToKatakana {
    signature: Signature,
}

scalar_function!(HiraganaToKatakana, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    out.extend(text.chars().map(katakana));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hiragana_become_katakana() {
        check("ひらがな", "ヒラガナ");
        check("ぁゔゖゝゞ", "ァヴヶヽヾ");
        check("漢字とABC、ｶﾅ・カナー", "漢字トABC、ｶﾅ・カナー");
        check("", "");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = String::new();
            write(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
