//! What a query is: a [`Request`] is what the caller asked, a [`QuerySpec`] is all that running it needs.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::catalog::manifest::Manifest;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::QueryId;

/// A statement as it came in through a door.
#[derive(Debug, Clone)]
pub struct Request {
    pub query_id: QueryId,
    /// SQL text.
    pub statement: String,
    /// Which versions to read; the current ones when none is given.
    pub as_of: Option<AsOf>,
    /// The stream ends, truncated, after this many rows.
    pub row_limit: Option<u64>,
    /// Cut down to the engine's own deadline.
    pub timeout: Option<Duration>,
}

impl Request {
    /// Current versions, all rows, the engine's deadline.
    #[must_use]
    pub fn new(query_id: QueryId, statement: impl Into<String>) -> Self {
        Self { query_id, statement: statement.into(), as_of: None, row_limit: None, timeout: None }
    }
}

/// A point in a dataset's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The version with this number. Numbers count for each dataset alone.
    Number(u64),
    /// The version that was current at this moment.
    Time(Timestamp),
}

impl FromStr for AsOf {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::Time(Timestamp::from_micros(time.timestamp_micros())))
            .map_err(|_| {
                Error::invalid_field(
                    "as_of",
                    format!(
                        "`as_of` is `{text}`: expected a version number, or a time such as 2026-01-31T09:00:00Z"
                    ),
                )
            })
    }
}

/// Everything that running a query needs. Self-contained: it can be kept, sent elsewhere and replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuerySpec {
    pub query_id: QueryId,
    /// SQL text: one read-only statement.
    pub statement: String,
    pub tables: Vec<SpecTable>,
    pub limits: Limits,
    /// The zone of timestamps without one.
    pub time_zone: String,
    /// What `now()` is.
    pub now: Timestamp,
}

/// A table of the statement, and the version it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecTable {
    /// As the statement names it, after SQL's rules for upper and lower case.
    pub name: String,
    #[serde(with = "shared")]
    pub manifest: Arc<Manifest>,
}

/// How far a query may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub rows: Option<u64>,
    /// From planning to the last row.
    pub deadline_ms: u64,
}

/// A manifest behind an `Arc`, which serde writes as the manifest itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::catalog::manifest::Manifest;

    pub(super) fn serialize<S: Serializer>(manifest: &Arc<Manifest>, to: S) -> Result<S::Ok, S::Error> {
        manifest.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Manifest>, D::Error> {
        Manifest::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_of_is_a_number_or_a_time() {
        check("7", Some(AsOf::Number(7)));
        check("1970-01-01T00:00:01Z", Some(AsOf::Time(Timestamp::from_seconds(1))));
        check("1970-01-01T09:00:01+09:00", Some(AsOf::Time(Timestamp::from_seconds(1))));
        check("1970-01-01", None);
        check("-1", None);
        check("", None);

        #[track_caller]
        fn check(text: &str, expected: Option<AsOf>) {
            assert_eq!(text.parse::<AsOf>().ok(), expected);
        }
    }
}
