//! A look into a dataset without a statement: its first rows, the values of a column, all of it.

use std::sync::Arc;

use datafusion::prelude::ident;

use super::service::Datasets;
use crate::auth::{Action, Principal};
use crate::catalog::Manifest;
use crate::catalog::manifest::Column;
use crate::catalog::record::{CacheUse, DatasetRecord, QueryKind};
use crate::engine::{About, AsOf, QueryStream, version_read};
use crate::error::Error;
use crate::ids::{DatasetId, QueryId};

/// Values of a column that are listed at most; a filter with more is of no use.
pub const VALUES_MAX: u64 = 1000;

impl Datasets {
    /// The manifest of the current version, or of the one in force at another time.
    ///
    /// # Errors
    /// `NotFound` for a dataset the caller may not see, or a version that is not kept.
    pub async fn manifest(
        &self,
        principal: &Principal,
        id: &DatasetId,
        as_of: Option<AsOf>,
    ) -> Result<Arc<Manifest>, Error> {
        let record = self.allowed(principal, Action::ReadDataset, id).await?;
        self.manifest_as_of(&record, as_of).await
    }

    /// The same for whoever has just read the record, and with it the right to see the dataset.
    ///
    /// # Errors
    /// `NotFound` for a version that is not kept.
    pub async fn manifest_as_of(
        &self,
        record: &DatasetRecord,
        as_of: Option<AsOf>,
    ) -> Result<Arc<Manifest>, Error> {
        let engine = &self.parts.engine;
        let version = engine.version_as_of(self.parts.stores.datasets.as_ref(), record, as_of).await?;
        engine.manifest(&version).await
    }

    /// The first rows of a version; all of them when `limit` is `None`.
    ///
    /// # Errors
    /// `Unavailable`, `Damaged`, and what a query can run into.
    pub async fn rows(
        &self,
        principal: &Principal,
        manifest: Arc<Manifest>,
        limit: Option<u64>,
    ) -> Result<QueryStream, Error> {
        let kind = if limit.is_some() { QueryKind::Preview } else { QueryKind::Export };
        let about = self.about(principal, kind, &manifest, |table| match limit {
            Some(limit) => format!("SELECT * FROM {table} LIMIT {limit}"),
            None => format!("SELECT * FROM {table}"),
        });
        self.parts.engine.scan(manifest, None, limit, about).await
    }

    /// The different values of a column, without NULL, in their order; at most [`VALUES_MAX`].
    ///
    /// # Errors
    /// `NotFound` when there is no such column.
    pub async fn values(
        &self,
        principal: &Principal,
        manifest: Arc<Manifest>,
        column: &str,
    ) -> Result<QueryStream, Error> {
        let column = find_column(&manifest, column)?;
        let about = self.about(principal, QueryKind::Values, &manifest, |table| {
            format!("SELECT DISTINCT {} FROM {table}", quoted(&column.name))
        });
        let value = ident(&column.name);
        let frame = self.parts.engine.table(Arc::clone(&manifest))?;
        let frame = frame
            .filter(value.clone().is_not_null())
            .and_then(|rows| rows.select(vec![value.clone()]))
            .and_then(datafusion::prelude::DataFrame::distinct)
            .and_then(|rows| rows.sort(vec![value.sort(true, false)]))
            .map_err(Error::internal)?;
        self.parts.engine.stream(frame, Some(VALUES_MAX), about).await
    }

    /// What the list of queries tells of a look at a version. `statement` is given the dataset's id.
    pub(super) fn about(
        &self,
        principal: &Principal,
        kind: QueryKind,
        manifest: &Manifest,
        statement: impl FnOnce(&str) -> String,
    ) -> About {
        let table = manifest.dataset_id.as_str();
        About {
            query_id: QueryId::random(),
            user_id: principal.user_id.clone(),
            kind,
            statement: statement(table),
            tables: vec![version_read(table.to_owned(), manifest)],
            asked_at: self.parts.clock.now(),
            cache: CacheUse::Bypass,
        }
    }
}

/// A name as SQL takes it to the letter.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The column of this name, to the letter.
pub(super) fn find_column<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Column, Error> {
    let found = manifest.columns.iter().find(|column| column.name == name);
    found.ok_or_else(|| Error::not_found("column", name))
}
