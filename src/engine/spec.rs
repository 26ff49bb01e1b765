//! What a query is: a [`Request`] is what the caller asked, a [`QuerySpec`] is all that running it needs.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::timezone::Tz;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catalog::manifest::Manifest;
use crate::catalog::record::{CacheUse, QueryKind, QueryRecord, QueryTable};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::{DatasetId, QueryId, UserId};

use super::parameter::Parameters;

/// A statement as it came in through a door.
#[derive(Debug, Clone)]
pub struct Request {
    pub query_id: QueryId,
    /// SQL text.
    pub statement: String,
    /// The values of its `$name`s.
    pub parameters: Parameters,
    /// Which versions to read; the current ones when none is given.
    pub as_of: Option<AsOf>,
    /// The stream ends, truncated, after this many rows.
    pub row_limit: Option<u64>,
    /// Cut down to the engine's own deadline.
    pub timeout: Option<Duration>,
    /// The zone of timestamps without one; the engine's own when none is given.
    pub time_zone: Option<TimeZone>,
    /// Whether an answer that was kept will do.
    pub use_cache: bool,
    /// What the list of queries says that it is.
    pub kind: QueryKind,
    /// Names for datasets in this statement alone, as the statement writes them. They go before datasets' own.
    pub names: BTreeMap<String, DatasetId>,
}

impl Request {
    /// Current versions, all rows, the engine's deadline.
    #[must_use]
    pub fn new(query_id: QueryId, statement: impl Into<String>) -> Self {
        Self {
            query_id,
            statement: statement.into(),
            parameters: Parameters::new(),
            as_of: None,
            row_limit: None,
            timeout: None,
            time_zone: None,
            use_cache: true,
            kind: QueryKind::Query,
            names: BTreeMap::new(),
        }
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

/// A time zone that is known: a name of the IANA database, such as `Asia/Tokyo`, or an offset, such as `+09:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(String);

impl TimeZone {
    /// As it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for TimeZone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        // What the functions of the engine will read it by.
        match name.parse::<Tz>() {
            Ok(_) => Ok(Self(name.to_owned())),
            Err(_) => Err(Error::invalid_field(
                "time_zone",
                format!(
                    "`time_zone` is `{name}`: expected a name such as `Asia/Tokyo`, or an offset such as `+09:00`"
                ),
            )),
        }
    }
}

/// Everything that running a query needs. Self-contained: it can be kept, sent elsewhere and replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuerySpec {
    pub query_id: QueryId,
    /// Who asks: for fair shares and the history. What they may read is decided by now.
    pub user_id: UserId,
    #[serde(default)]
    pub kind: QueryKind,
    /// SQL text: one read-only statement.
    pub statement: String,
    /// The values of its `$name`s.
    #[serde(default)]
    pub parameters: Parameters,
    pub tables: Vec<SpecTable>,
    pub limits: Limits,
    /// The zone of timestamps without one.
    pub time_zone: String,
    /// What `now()` is.
    pub now: Timestamp,
    /// Rows are wanted in the order in which they are stored, if the statement takes one after the other.
    #[serde(default)]
    pub in_order: bool,
}

impl QuerySpec {
    /// A name for all that the rows of a result depend on: two specs with the same one have the same answer, unless
    /// the statement asks for the time or for chance. Versions never change, so their ids stand for their rows.
    #[must_use]
    pub fn fingerprint(&self) -> blake3::Hash {
        // A new field has to choose here.
        let Self {
            query_id: _,
            user_id: _,
            kind: _,
            statement,
            parameters,
            tables,
            limits,
            time_zone,
            now: _,
            // The rows are the same.
            in_order: _,
        } = self;
        let tables = tables.iter().map(|table| match &table.rows {
            TableRows::Version(manifest) => {
                json!([table.name, manifest.dataset_id, manifest.number, manifest.label])
            }
            TableRows::Queries(queries) => json!([table.name, queries]),
        });
        let parts = json!({
            "engine": [env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION],
            "statement": statement,
            "parameters": parameters,
            "tables": tables.collect::<Vec<_>>(),
            "rows": limits.rows,
            "time_zone": time_zone,
        });
        blake3::hash(parts.to_string().as_bytes())
    }
}

/// A table of the statement, and what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecTable {
    /// As the statement names it, after SQL's rules for upper and lower case.
    pub name: String,
    pub rows: TableRows,
}

/// Where the rows of a table are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRows {
    /// In the files of a version.
    Version(#[serde(with = "shared")] Arc<Manifest>),
    /// `system.queries`: here, as they were when the statement came.
    Queries(Vec<Arc<QueryRecord>>),
}

/// How far a query may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The result ends there, truncated.
    pub rows: Option<u64>,
    /// The query fails when its result is larger, in memory.
    pub result_bytes: Option<u64>,
    /// The query is refused when the files that its filters leave have more bytes of its columns.
    pub scan_bytes: Option<u64>,
    /// From its arrival to the last row.
    pub deadline_ms: u64,
}

/// What the list of queries tells of one from its beginning on.
#[derive(Debug, Clone)]
pub struct About {
    pub query_id: QueryId,
    pub user_id: UserId,
    pub kind: QueryKind,
    /// SQL, or what it would be.
    pub statement: String,
    pub tables: Vec<QueryTable>,
    pub asked_at: Timestamp,
    pub cache: CacheUse,
}

impl QuerySpec {
    /// What the list of queries tells of it.
    #[must_use]
    pub fn about(&self) -> About {
        About {
            query_id: self.query_id.clone(),
            user_id: self.user_id.clone(),
            kind: self.kind,
            statement: self.statement.clone(),
            tables: self.tables.iter().map(SpecTable::about).collect(),
            asked_at: self.now,
            cache: CacheUse::Bypass,
        }
    }

    /// Whether all rows come from versions, which never change.
    #[must_use]
    pub fn reads_only_versions(&self) -> bool {
        self.tables.iter().all(|table| matches!(table.rows, TableRows::Version(_)))
    }
}

impl SpecTable {
    fn about(&self) -> QueryTable {
        match &self.rows {
            TableRows::Version(manifest) => version_read(self.name.clone(), manifest),
            TableRows::Queries(_) => {
                QueryTable { name: self.name.clone(), dataset_id: None, version: None, files: 0 }
            }
        }
    }
}

/// A version as the list of queries tells of it.
#[must_use]
pub fn version_read(name: String, manifest: &Manifest) -> QueryTable {
    QueryTable {
        name,
        dataset_id: Some(manifest.dataset_id.clone()),
        version: Some(manifest.number),
        files: manifest.files.len() as u64,
    }
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
    fn a_time_zone_is_a_name_or_an_offset() {
        for good in ["UTC", "Asia/Tokyo", "America/Argentina/Buenos_Aires", "+09:00", "-0330"] {
            assert_eq!(good.parse::<TimeZone>().unwrap().name(), good);
        }
        for bad in ["", "Tokyo", "Asia/Tokio", "asia/tokyo'", "+25:00", "UTC; drop"] {
            let error = bad.parse::<TimeZone>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`time_zone` is `{bad}`: expected")), "{error}");
        }
    }

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
