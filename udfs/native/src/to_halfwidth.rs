//! `to_halfwidth(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays;
use crate::kana::push_narrow;

const NAME: &str = "to_halfwidth";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "Turns full-width letters, digits, signs, blanks and katakana into their half-width forms and leaves all else, as \
`ASC` of Excel does. Voiced katakana become two characters.",
    syntax_example = "to_halfwidth(text)",
    sql_example = r#"```sql
> SELECT to_halfwidth('ＡＢＣ　１２３　ガギグ') AS text;
+----------------+
| text           |
+----------------+
| ABC 123 ｶﾞｷﾞｸﾞ |
+----------------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "to_fullwidth"),
    related_udf(name = "normalize_ja")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToHalfwidth {
    signature: Signature,
}

scalar_function!(ToHalfwidth, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    text.chars().for_each(|c| push_narrow(c, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_becomes_narrow() {
        check("ＡＢＣ　ｚ１２３！～", "ABC z123!~");
        check("カタカナ「ー・。、」", "ｶﾀｶﾅ｢ｰ･｡､｣");
        check("ガパヴ", "ｶﾞﾊﾟｳﾞ");
        check("ひらがな漢字abc", "ひらがな漢字abc");
        check("ヰヱヵ々", "ヰヱヵ々");
        check("", "");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = String::new();
            write(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
