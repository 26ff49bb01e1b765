//! From a statement and a caller to a [`QuerySpec`]: the last step that asks the catalogue.

use std::collections::HashMap;
use std::time::Duration;

use super::classify::with_hint;
use super::spec::{AsOf, Limits, QuerySpec, Request, SpecTable};
use super::statement::{self, TableName};
use super::{Engine, near};
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{DatasetStore, Owner, PageRequest};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ids::DatasetId;

/// How many names are looked at for suggestions.
const CANDIDATES_MAX: usize = 200;

/// Near names to offer.
const SUGGESTIONS_MAX: usize = 3;

/// Versions read at a time while looking for an old one.
const VERSIONS_PAGE: usize = 100;

/// What resolving asks about a caller.
pub trait Reader: Send + Sync {
    /// Whether the caller may read the dataset. One they may not read is unknown to them.
    fn may_read(&self, dataset: &DatasetRecord) -> bool;

    /// Whose datasets the caller sees in a list; near names are offered from these.
    fn sees(&self) -> Owner;
}

impl Reader for Principal {
    fn may_read(&self, dataset: &DatasetRecord) -> bool {
        let object = Object::Dataset { id: &dataset.id, owner: &dataset.owner_id };
        authorize(self, Action::ReadDataset, &object).is_ok()
    }

    fn sees(&self) -> Owner {
        if self.sees_all() { Owner::Anyone } else { Owner::User(self.user_id.clone()) }
    }
}

impl Engine {
    /// Finds what `request` needs: parses it, looks all its tables up in one batch, and picks their
    /// versions.
    ///
    /// # Errors
    /// `InvalidSql` and `NotSupported` for a statement that is not one query; `UnknownName`, with place
    /// and near names, for a table that is not there or that `reader` may not read; `Invalid` for an
    /// `as_of` that does not fit; `NotFound` for a version that is not kept.
    pub async fn resolve(
        &self,
        datasets: &dyn DatasetStore,
        reader: &dyn Reader,
        request: Request,
        now: Timestamp,
    ) -> Result<QuerySpec> {
        let statement = statement::parse(&request.statement)?;
        let records = lookup(datasets, reader, &statement.tables).await?;
        if let (Some(AsOf::Number(number)), true) = (request.as_of, distinct(&records) != 1) {
            return Err(Error::invalid_field(
                "as_of",
                format!(
                    "`as_of` is version {number}, but the statement names {} datasets, whose versions count apart: give a time",
                    distinct(&records)
                ),
            ));
        }
        let mut tables = Vec::with_capacity(records.len());
        for (table, record) in statement.tables.into_iter().zip(records) {
            let version = self.version_as_of(datasets, &record, request.as_of).await?;
            tables.push(SpecTable { name: table.name, manifest: self.manifest(&version).await? });
        }
        Ok(QuerySpec {
            query_id: request.query_id,
            statement: request.statement,
            tables,
            limits: Limits { rows: request.row_limit, deadline_ms: self.deadline_ms(request.timeout) },
            time_zone: self.time_zone().to_owned(),
            now,
        })
    }

    /// The version of a dataset that `as_of` means; the current one when it is none.
    ///
    /// # Errors
    /// `NotFound` when no kept version has that number, or none is that old.
    pub async fn version_as_of(
        &self,
        datasets: &dyn DatasetStore,
        record: &DatasetRecord,
        as_of: Option<AsOf>,
    ) -> Result<VersionRecord> {
        let fits = |version: &VersionRecord| match as_of {
            None => true,
            Some(AsOf::Number(number)) => version.number == number,
            Some(AsOf::Time(time)) => version.created_at <= time,
        };
        if fits(&record.current) {
            return Ok(record.current.clone());
        }
        // Newest first: the first that fits is the one.
        let mut page = PageRequest::first(VERSIONS_PAGE);
        loop {
            let found = datasets.versions(&record.id, page).await?;
            if let Some(version) = found.items.into_iter().find(&fits) {
                return Ok(version);
            }
            match found.next {
                Some(after) => page = PageRequest { after: Some(after), limit: VERSIONS_PAGE },
                None => break,
            }
        }
        Err(match as_of {
            Some(AsOf::Time(time)) => Error::not_found("version as of", time.rfc3339()),
            Some(AsOf::Number(number)) => Error::not_found("version", number),
            None => Error::internal("the current version fits always"),
        })
    }

    /// The time a query gets: what was asked for, as far as the engine allows it.
    fn deadline_ms(&self, asked: Option<Duration>) -> u64 {
        let deadline = asked.map_or(self.deadline(), |asked| asked.min(self.deadline()));
        u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
    }
}

fn distinct(records: &[DatasetRecord]) -> usize {
    let mut ids: Vec<_> = records.iter().map(|record| &record.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// The datasets behind `tables`, in their order.
async fn lookup(
    datasets: &dyn DatasetStore,
    reader: &dyn Reader,
    tables: &[TableName],
) -> Result<Vec<DatasetRecord>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    // No name has the form of an id, so each table is one or the other.
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for table in tables {
        match DatasetId::parse(&table.name) {
            Ok(id) => ids.push(id),
            Err(_) => names.push(NameKey::of(&table.name)),
        }
    }
    let found = datasets.lookup(&ids, &names).await?;
    let found: Vec<_> = found.into_iter().filter(|record| reader.may_read(record)).collect();
    let by_id: HashMap<&str, &DatasetRecord> =
        found.iter().map(|record| (record.id.as_str(), record)).collect();
    let by_name: HashMap<&str, &DatasetRecord> =
        found.iter().map(|record| (record.name_key.as_str(), record)).collect();
    let mut records = Vec::with_capacity(tables.len());
    for table in tables {
        let record =
            by_id.get(table.name.as_str()).or_else(|| by_name.get(NameKey::of(&table.name).as_str()));
        match record {
            Some(record) => records.push((*record).clone()),
            None => return Err(unknown(datasets, reader, table).await),
        }
    }
    Ok(records)
}

/// The error for a table that is not there, with what the caller may have meant.
async fn unknown(datasets: &dyn DatasetStore, reader: &dyn Reader, table: &TableName) -> Error {
    let candidates = match datasets.list(&reader.sees(), PageRequest::first(CANDIDATES_MAX)).await {
        Ok((page, _)) => page.items,
        Err(error) => return error.into(),
    };
    let names = candidates.iter().filter(|record| reader.may_read(record)).map(|record| record.name.as_str());
    let suggestions = near::near(&table.name, names, SUGGESTIONS_MAX);
    Error::UnknownName {
        message: with_hint(format!("no dataset `{}`", table.name), &suggestions),
        place: table.place,
        suggestions,
    }
}
