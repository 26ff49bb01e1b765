//! Addresses in S3 as people write them.

use std::fmt;

use object_store::path::Path;

use crate::error::Error;

/// What an address begins with.
const SCHEME: &str = "s3://";
/// Longest key that S3 has.
const KEY_BYTES_MAX: usize = 1024;

/// An object, or all below a prefix, in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    bucket: String,
    key: Path,
    /// Its key ended in `/`: it stands for all objects below.
    is_prefix: bool,
}

impl S3Address {
    /// Of a bucket and a key; one that ends in `/` is a prefix.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn new(bucket: &str, key: &str) -> Result<Self, Error> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
        // It may become a part of a host's name, so nothing else passes.
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fits) {
            let message = format!(
                "`s3_bucket` is `{bucket}`: expected 3 to 63 lower-case letters, digits, `-` and `.`"
            );
            return Err(Error::invalid_field("s3_bucket", message));
        }
        let wrong = |expected: &str| {
            Err(Error::invalid_field("s3_key", format!("`s3_key` is `{key}`: expected {expected}")))
        };
        let is_prefix = key.ends_with('/');
        let inner = key.strip_suffix('/').unwrap_or(key);
        if inner.is_empty() {
            return wrong("the key of an object, or a prefix that ends in `/`");
        }
        if key.len() > KEY_BYTES_MAX {
            return wrong("at most 1,024 bytes");
        }
        match Path::parse(inner) {
            // What is parsed loses slashes at its start, and would be another key.
            Ok(path) if path.as_ref() == inner => {
                Ok(Self { bucket: bucket.to_owned(), key: path, is_prefix })
            }
            _ => wrong("no empty part, no `.` or `..` between slashes, and no control characters"),
        }
    }

    /// Reads `s3://bucket/key`; `None` for what does not begin so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Result<Self, Error>> {
        let rest = text.strip_prefix(SCHEME)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self::new(bucket, key))
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key as it was given.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", self.key, if self.is_prefix { "/" } else { "" })
    }

    pub(super) fn path(&self) -> &Path {
        &self.key
    }

    pub(super) fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// The last part of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.filename().unwrap_or(self.key.as_ref())
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        check("s3://sales/2024/jan.csv", "sales", "2024/jan.csv", "jan.csv");
        check("s3://sales/2024/", "sales", "2024/", "2024");
        check("s3://sales/売上 (1)%.csv", "sales", "売上 (1)%.csv", "売上 (1)%.csv");

        #[track_caller]
        fn check(text: &str, bucket: &str, key: &str, name: &str) {
            let address = S3Address::parse(text).unwrap().unwrap();
            assert_eq!((address.bucket(), address.key().as_str(), address.name()), (bucket, key, name));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert!(S3Address::parse("/data/jan.csv").is_none());
        check("s3://Sales/a.csv", "s3_bucket");
        check("s3://a/a.csv", "s3_bucket");
        check("s3://evil.example:80@x/a.csv", "s3_bucket");
        check("s3://sales", "s3_key");
        check("s3://sales/", "s3_key");
        check("s3://sales//a.csv", "s3_key");
        check("s3://sales/a//b.csv", "s3_key");
        check("s3://sales/../a.csv", "s3_key");
        check(&format!("s3://sales/{}", "a".repeat(1025)), "s3_key");

        #[track_caller]
        fn check(text: &str, field: &str) {
            let error = S3Address::parse(text).unwrap().unwrap_err();
            assert_eq!(error.details()["field"], field, "{error}");
        }
    }
}
