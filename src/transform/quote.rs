//! Names and values as SQL takes them to the letter, for statements of our own.

use serde_json::Value;

/// A name.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, number or boolean; none for what is neither.
pub(super) fn literal(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_ends_a_name_or_a_text_early() {
        assert_eq!(name(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal(&json!("O'Hare'; --")).unwrap(), "'O''Hare''; --'");
        assert_eq!(literal(&json!(-1.5)).unwrap(), "-1.5");
        assert_eq!(literal(&json!(true)).unwrap(), "true");
        assert_eq!(literal(&json!([1])), None);
    }
}
