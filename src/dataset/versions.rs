//! Versions: list them, compare two, put an old one back in force.

use serde::Serialize;

use super::publish::{Candidate, Place};
use super::schema_change::{SchemaChange, between};
use super::service::{Caller, Datasets};
use crate::auth::{Action, Principal};
use crate::catalog::record::{DatasetRecord, VersionKind, VersionRecord};
use crate::catalog::store::every;
use crate::catalog::{Manifest, manifest::QuarantineFile};
use crate::error::Error;
use crate::ids::DatasetId;
use crate::storage::{self, keys};
use std::sync::Arc;

/// How two versions differ.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Comparison {
    pub from: u64,
    pub to: u64,
    pub schema_changes: Vec<SchemaChange>,
    pub from_row_count: u64,
    pub to_row_count: u64,
    /// `to_row_count - from_row_count`.
    pub row_count_change: i64,
    pub from_byte_count: u64,
    pub to_byte_count: u64,
}

impl Datasets {
    /// Kept versions, newest first.
    ///
    /// # Errors
    /// `NotFound` for a dataset the caller may not see.
    pub async fn versions(&self, principal: &Principal, id: &DatasetId) -> Result<Vec<VersionRecord>, Error> {
        let record = self.allowed(principal, Action::ReadDataset, id).await?;
        self.all_versions(&record.id).await
    }

    /// One kept version with its manifest.
    ///
    /// # Errors
    /// `NotFound` when there is no such version, or it was collected.
    pub async fn version(
        &self,
        principal: &Principal,
        id: &DatasetId,
        number: u64,
    ) -> Result<(VersionRecord, Arc<Manifest>), Error> {
        let record = self.allowed(principal, Action::ReadDataset, id).await?;
        let version = self.find_version(&record, number).await?;
        let manifest = self.parts.engine.manifest(&version).await?;
        Ok((version, manifest))
    }

    /// How version `to` differs from version `from`.
    ///
    /// # Errors
    /// `NotFound` when either is not there.
    pub async fn compare(
        &self,
        principal: &Principal,
        id: &DatasetId,
        from: u64,
        to: u64,
    ) -> Result<Comparison, Error> {
        let record = self.allowed(principal, Action::ReadDataset, id).await?;
        let (from, to) = (self.find_version(&record, from).await?, self.find_version(&record, to).await?);
        let (old, new) = (self.parts.engine.manifest(&from).await?, self.parts.engine.manifest(&to).await?);
        Ok(Comparison {
            from: from.number,
            to: to.number,
            schema_changes: between(&old.columns, &new.columns),
            from_row_count: from.row_count,
            to_row_count: to.row_count,
            row_count_change: to.row_count.cast_signed() - from.row_count.cast_signed(),
            from_byte_count: from.byte_count,
            to_byte_count: to.byte_count,
        })
    }

    /// Makes the rows of version `number` current again, as a new version of the same files.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `Conflict` when it is current already or another writer was first.
    pub async fn restore(
        &self,
        caller: &Caller,
        id: &DatasetId,
        number: u64,
    ) -> Result<DatasetRecord, Error> {
        let record = self.allowed(&caller.principal, Action::WriteDataset, id).await?;
        if record.current.number == number {
            let message = format!("version {number} of `{}` is the current one already", record.name);
            return Err(Error::Conflict { message, details: serde_json::json!({ "current": number }) });
        }
        let version = self.find_version(&record, number).await?;
        let old = self.parts.engine.manifest(&version).await?;
        let candidate = Candidate {
            label: keys::new_label(record.current.number + 1),
            kind: VersionKind::Restore,
            restored_from: Some(number),
            source: old.source.clone(),
            read_contract: old.read_contract.clone(),
            columns: old.columns.clone(),
            partition_column: old.partition_column.clone(),
            sort_column: old.sort_column.clone(),
            files: old.files.clone(),
            quarantine: old.quarantine.clone(),
            unnamed: None,
        };
        self.publish(caller, Place::Next(Box::new(record)), candidate).await
    }

    /// The rows that were set aside while a version was imported, as the lines of its quarantine file.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Damaged` when the file is.
    pub async fn quarantine(
        &self,
        principal: &Principal,
        id: &DatasetId,
        number: u64,
    ) -> Result<Vec<super::quarantine::SetAside>, Error> {
        let (_, manifest) = self.version(principal, id, number).await?;
        let Some(QuarantineFile { key, blake3, .. }) = &manifest.quarantine else { return Ok(Vec::new()) };
        let key = keys::stored(key);
        let bytes = storage::get_checked(&self.parts.objects, &key, blake3).await?;
        super::quarantine::read(&bytes)
    }

    pub(super) async fn all_versions(&self, id: &DatasetId) -> Result<Vec<VersionRecord>, Error> {
        let store = &self.parts.stores.datasets;
        Ok(every(|page| store.versions(id, page)).await?)
    }

    async fn find_version(&self, record: &DatasetRecord, number: u64) -> Result<VersionRecord, Error> {
        if record.current.number == number {
            return Ok(record.current.clone());
        }
        let versions = self.all_versions(&record.id).await?;
        let found = versions.into_iter().find(|version| version.number == number);
        found.ok_or_else(|| Error::not_found("version", number))
    }
}
