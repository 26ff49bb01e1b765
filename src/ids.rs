//! Identifiers. Each kind has its own type, made of a prefix and random digits, and is checked
//! where text enters: a path, a key or a query is only ever built from one that passed.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an id of the form `{prefix}…`: expected the prefix and 12 or more lower-case letters or digits"
)]
pub struct BadId {
    prefix: &'static str,
    text: String,
}

/// Longest accepted identifier; ours are 32 digits after the prefix.
const LENGTH_MAX: usize = 80;

fn check(prefix: &'static str, text: &str) -> Result<(), BadId> {
    let well_formed = text.strip_prefix(prefix).is_some_and(|digits| {
        digits.len() >= 12
            && text.len() <= LENGTH_MAX
            && digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    });
    if well_formed {
        return Ok(());
    }
    let text = text.chars().take(LENGTH_MAX).collect();
    Err(BadId { prefix, text })
}

/// 128 random bits as 32 hexadecimal digits.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done without it.
#[must_use]
pub fn random_digits() -> String {
    let mut bytes = [0_u8; 16];
    #[expect(clippy::expect_used, reason = "without the system's randomness no id or token is safe")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    hex(&bytes)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new one, of 128 random bits.
            #[must_use]
            pub fn random() -> Self {
                Self(format!(concat!($prefix, "{}"), random_digits()))
            }

            /// Reads one.
            ///
            /// # Errors
            /// `BadId` when the text has another prefix, is short, or holds anything but lower-case letters and digits.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check($prefix, text)?;
                Ok(Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                // Parsing inside the visit lets the deserialiser add where the text stands, as for paths.
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an id that starts with `", $prefix, "`"))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

id!(/// A dataset.
    DatasetId, "ds_");
id!(/// A user.
    UserId, "user_");
id!(/// An API key.
    KeyId, "key_");
id!(/// A macro of SQL.
    MacroId, "macro_");
id!(/// A transform.
    TransformId, "tf_");
id!(/// One run of a transform.
    ExecutionId, "exec_");
id!(/// One import while it runs and shortly after.
    ImportId, "imp_");
id!(/// One run of a statement.
    QueryId, "q_");
id!(/// One HTTP request.
    RequestId, "req_");
id!(/// One audit record.
    LogId, "log_");
id!(/// One change of the metadata store; reading it back settles an unknown outcome.
    CommitId, "cmt_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_pass() {
        check("ds_0123456789ab", true);
        check("ds_0123456789abcdef0123456789abcdef", true);
        check("ds_abcdefghijklmnop", true);
        check("ds_0123456789a", false);
        check("ds_0123456789AB", false);
        check("user_0123456789ab", false);
        check("0123456789ab", false);
        check("ds_../../etc/passwd", false);
        check("ds_0123456789ab/..", false);
        check("ds_0123456789ab%2e", false);
        check("ds_0123456789ab\0", false);
        check("ds_0123456789ab#12", false);
        check("ds_012345６789ab", false);
        check(&format!("ds_{}", "a".repeat(100)), false);

        #[track_caller]
        fn check(text: &str, good: bool) {
            assert_eq!(DatasetId::parse(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn random_ids_parse_and_differ() {
        let (a, b) = (DatasetId::random(), DatasetId::random());
        assert_ne!(a, b);
        assert_eq!(DatasetId::parse(a.as_str()), Ok(a));
    }
}
