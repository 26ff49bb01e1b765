//! `to_fullwidth(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;

use crate::arrays;
use crate::kana::wide;

const NAME: &str = "to_fullwidth";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "Turns ASCII letters, digits, signs, blanks and half-width katakana into their full-width forms and leaves all else, \
as `JIS` of Excel does. A half-width kana and its voicing mark become one character.",
    syntax_example = "to_fullwidth(text)",
    sql_example = r#"```sql
> SELECT to_fullwidth('ABC 123 ｶﾞｷﾞｸﾞ') AS text;
+------------------------+
| text                   |
+------------------------+
| ＡＢＣ　１２３　ガギグ |
+------------------------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "to_halfwidth"),
    related_udf(name = "normalize_ja")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToFullwidth {
    signature: Signature,
}

scalar_function!(ToFullwidth, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let (wide, took_mark) = wide(c, rest.peek().copied());
        out.push(wide);
        if took_mark {
            rest.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_becomes_wide() {
        check("ABC z123!~", "ＡＢＣ　ｚ１２３！～");
        check("ｶﾀｶﾅ｢ｰ･｡､｣", "カタカナ「ー・。、」");
        check("ｶﾞﾊﾟｳﾞ", "ガパヴ");
        check("ｱﾞﾞ", "ア゛゛");
        check("ﾞ", "゛");
        check("ひらがな漢字カナ", "ひらがな漢字カナ");
        check("a\tb", "ａ\tｂ");
        check("", "");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = String::new();
            write(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
