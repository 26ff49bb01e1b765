//! E-mail addresses: the form in which two are the same, and what cannot be one.

use unicode_normalization::UnicodeNormalization as _;

use crate::error::Error;

/// Longest address, in bytes, that mail can be sent to.
const BYTES_MAX: usize = 254;

/// The address in the form that is stored and compared: full-width letters narrowed, lower-case.
///
/// # Errors
/// `Invalid` when it is no address.
pub(super) fn normalise(text: &str) -> Result<String, Error> {
    let wrong = |reason: &str| Err(Error::invalid_field("email", format!("the e-mail address {reason}")));
    // Before normalising, which can make text many times longer.
    if text.len() > 4 * BYTES_MAX {
        return wrong("is too long");
    }
    let address = text.trim().nfkc().collect::<String>().to_lowercase();
    if address.len() > BYTES_MAX {
        return wrong("is too long");
    }
    if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return wrong("holds a blank or a control character");
    }
    match address.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') => {
            Ok(address)
        }
        _ => wrong("must have the form `name@domain`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        check("ana@example.com", Some("ana@example.com"));
        check("  Ana@Example.COM ", Some("ana@example.com"));
        check("ａｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", Some("ana@example.com"));
        check("佐藤@例え.jp", Some("佐藤@例え.jp"));
        check("", None);
        check("ana", None);
        check("@example.com", None);
        check("ana@", None);
        check("ana@b@c", None);
        check("ana b@example.com", None);
        check("ana\0@example.com", None);
        check(&format!("{}@example.com", "a".repeat(250)), None);
        check(&"\u{fdfa}".repeat(100_000), None);

        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(normalise(text).ok().as_deref(), expected);
        }
    }
}
