//! API keys: `shk_<digits of the key's id>_<64 hexadecimal digits>`. The id finds the record; the
//! secret is 256 random bits, so its SHA-256 needs no salt and no slow hash.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::ids::{KeyId, hex, random_digits};

/// What every key starts with, so that scanners of leaked secrets can find it.
pub const PREFIX: &str = "shk_";

/// Digits of the secret part.
const SECRET_DIGITS: usize = 64;

/// The text of a new key, to be shown once, and what is stored of it.
#[derive(Debug)]
pub struct NewKey {
    pub id: KeyId,
    pub text: String,
    pub sha256: String,
}

/// Makes a key.
#[must_use]
pub fn generate() -> NewKey {
    let id = KeyId::random();
    let digits = id.as_str().trim_start_matches(KeyId::PREFIX);
    let text = format!("{PREFIX}{digits}_{}{}", random_digits(), random_digits());
    NewKey { sha256: sha256(&text), id, text }
}

/// The id in the text of a key; `None` when the text has not the form of one.
#[must_use]
pub fn id_of(text: &str) -> Option<KeyId> {
    let (digits, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let well_formed = secret.len() == SECRET_DIGITS
        && secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    well_formed.then(|| KeyId::parse(&format!("{}{digits}", KeyId::PREFIX)).ok())?
}

/// Whether `text` is the key whose SHA-256 was stored, in a time that does not tell how near it is.
#[must_use]
pub fn matches(text: &str, stored_sha256: &str) -> bool {
    sha256(text).as_bytes().ct_eq(stored_sha256.as_bytes()).into()
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_record_and_matches_it_alone() {
        let (key, other) = (generate(), generate());
        assert_eq!(id_of(&key.text), Some(key.id));
        assert!(matches(&key.text, &key.sha256));
        assert!(!matches(&other.text, &key.sha256));
        assert!(!matches(&key.text.to_uppercase(), &key.sha256));
        assert!(!matches("", &key.sha256));
        assert!(!key.sha256.contains(&key.text[key.text.len() - 16..]));
    }

    #[test]
    fn other_texts_are_no_keys() {
        let good = format!("shk_{}_{}", "0".repeat(32), "a".repeat(64));
        check(&good, true);
        check(&good.replace("shk_", "SHK_"), false);
        check(&good[..good.len() - 1], false);
        check(&format!("{good}a"), false);
        check(&format!("{good} "), false);
        check(&good.replace('a', "A"), false);
        check(&format!("shk_../../etc/x_{}", "a".repeat(64)), false);
        check(&format!("shk__{}", "a".repeat(64)), false);
        check("shk_", false);
        check("", false);

        #[track_caller]
        fn check(text: &str, good: bool) {
            assert_eq!(id_of(text).is_some(), good, "{text}");
        }
    }
}
