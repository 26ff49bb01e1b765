//! `normalize_ja(text)`

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, Signature};
use datafusion_macros::user_doc;
use unicode_normalization::UnicodeNormalization as _;

use crate::arrays;

const NAME: &str = "normalize_ja";

#[user_doc(
    doc_section(label = "Japanese text"),
    description = "Brings text to one form, so that what looks alike is equal: Unicode normalisation NFKC (full-width letters and \
digits become ASCII, half-width katakana become katakana, ㈱ becomes (株)), blanks around it removed and blanks, tabs and line \
ends inside it made one space, characters without width removed. Letters keep their case and kana their kind; `match_key_ja` \
folds these too.",
    syntax_example = "normalize_ja(text)",
    sql_example = r#"```sql
> SELECT normalize_ja('　ＡＢＣ　ｶﾌﾞｼｷ㈱  １２３ ') AS text;
+----------------------+
| text                 |
+----------------------+
| ABC カブシキ(株) 123 |
+----------------------+
```"#,
    argument(name = "text", description = "Any text."),
    related_udf(name = "match_key_ja"),
    related_udf(name = "to_halfwidth"),
    related_udf(name = "to_fullwidth")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct NormalizeJa {
    signature: Signature,
}

scalar_function!(NormalizeJa, NAME, arrays::signature([arrays::text()]), DataType::Utf8View, invoke);

fn invoke(args: ScalarFunctionArgs) -> Result<ColumnarValue> {
    arrays::map_texts(NAME, args, write)
}

fn write(text: &str, out: &mut String) {
    push_normalized(text, out);
}

/// Appends the normal form of `text`.
pub(crate) fn push_normalized(text: &str, out: &mut String) {
    if text.is_ascii() {
        return push_squeezed(text.chars(), out);
    }
    // The normal form of a sign that stands alone can begin with a blank, so blanks are looked for afterwards.
    push_squeezed(text.nfkc().filter(|c| !is_without_width(*c)), out);
}

/// Appends `chars` with one space for each run of blanks, and none at the ends.
fn push_squeezed(chars: impl Iterator<Item = char>, out: &mut String) {
    let (start, mut blank) = (out.len(), false);
    for c in chars {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) && out.len() > start {
            out.push(' ');
        }
        out.push(c);
    }
}

/// Zero-width space and joiners of no meaning in Japanese, word joiner, byte order mark, soft hyphen.
fn is_without_width(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{00AD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_equal() {
        check("", "");
        check("abc", "abc");
        check("　ＡＢＣ　１２３　", "ABC 123");
        check("a \t\r\n b", "a b");
        check("   ", "");
        check("ｶﾞｷﾞｸﾞﾊﾟﾋﾟ", "ガギグパピ");
        check("か\u{3099}", "が");
        check("㈱シラベ", "(株)シラベ");
        check("①Ⅳ㍻㌔", "1IV平成キロ");
        check("ｻﾞ･ﾀﾞ", "ザ・ダ");
        check("a\u{200B}b\u{FEFF}", "ab");
        check("ひらがなとカタカナ", "ひらがなとカタカナ");
        check("髙島屋と﨑", "髙島屋と﨑");
        check("\u{FDFA}", "صلى الله عليه وسلم");

        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut out = String::new();
            write(text, &mut out);
            assert_eq!(out, expected);
        }
    }
}
