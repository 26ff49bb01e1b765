//! Names for answers, so that one who has an answer already need not be sent it again.
//!
//! Versions of datasets never change. So the statement, its parameters, the versions it reads and the form of the
//! answer name the answer, and whether it is still the same can be told without running anything.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::encode::Form;

/// The name of an answer. Weak, because the order of rows that nobody sorted may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Etag(String);

/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 16;

impl Etag {
    /// Of the rows that `fingerprint` stands for, in a form.
    pub(super) fn of(fingerprint: &blake3::Hash, form: &Form) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(fingerprint.as_bytes()).update(format!("{form:?}").as_bytes());
        let mut short = [0; HASH_BYTES];
        hasher.finalize_xof().fill(&mut short);
        Self(format!("W/\"{:032x}\"", u128::from_be_bytes(short)))
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// Whether the caller has it already.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let own = opaque(&self.0);
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Format;

    #[test]
    fn a_caller_may_know_several() {
        let tag = Etag::of(&blake3::hash(b"rows"), &Form::of(Format::Json));
        let own = tag.0.clone();
        check(&tag, &own, true);
        check(&tag, own.trim_start_matches("W/"), true);
        check(&tag, &format!("\"x\", {own}"), true);
        check(&tag, "*", true);
        check(&tag, "\"x\"", false);
        check(&tag, "", false);
        assert_ne!(tag, Etag::of(&blake3::hash(b"rows"), &Form::of(Format::Csv)));
        assert_ne!(tag, Etag::of(&blake3::hash(b"others"), &Form::of(Format::Json)));

        #[track_caller]
        fn check(tag: &Etag, sent: &str, expected: bool) {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(sent).unwrap())]);
            assert_eq!(tag.is_known(&headers), expected, "{sent}");
        }
    }
}
