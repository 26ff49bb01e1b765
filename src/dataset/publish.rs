//! The commit of a version: manifest, then one conditional write that moves the pointer.
//!
//! A crash before that write leaves the old version in force and files that nothing names; a crash
//! after it leaves the new version, whole. There is no third state.

use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use serde_json::Value;

use super::service::{Caller, Datasets};
use super::unnamed::Unnamed;
use crate::catalog::manifest::{self, Column, DataFile, Manifest, QuarantineFile};
use crate::catalog::name::NameKey;
use crate::catalog::record::{
    AuditEvent, AuditRecord, DatasetRecord, ExpiredVersion, Source, VersionKind, VersionRecord,
};
use crate::catalog::store::{Change, Commit};
use crate::catalog::transform::ExecutionRecord;
use crate::error::Error;
use crate::ids::{CommitId, DatasetId, UserId};
use crate::storage::{self, keys};
use crate::write_steps::write_step;

/// A version whose files are stored and that nothing names yet.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) label: String,
    pub(super) kind: VersionKind,
    pub(super) restored_from: Option<u64>,
    pub(super) source: Source,
    pub(super) read_contract: Value,
    pub(super) columns: Vec<Column>,
    pub(super) partition_column: Option<String>,
    pub(super) sort_column: Option<String>,
    pub(super) files: Vec<DataFile>,
    pub(super) quarantine: Option<QuarantineFile>,
    /// Held until the version is named, or came to nothing. None for files that are named already.
    pub(super) unnamed: Option<Unnamed>,
}

/// The columns of new files, with their NULLs counted over all of them.
pub(super) fn columns(schema: &SchemaRef, files: &[DataFile]) -> Vec<Column> {
    let each = schema.fields().iter().enumerate().map(|(index, field)| Column {
        name: field.name().clone(),
        data_type: DataType::clone(field.data_type()),
        null_count: files.iter().filter_map(|file| file.stats.get(index)).map(|stats| stats.null_count).sum(),
    });
    each.collect()
}

/// A dataset that is to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) id: DatasetId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) owner_id: UserId,
}

/// Where a version goes.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The first of a new dataset.
    New(Draft),
    /// The next version of this one, which must still be as it was read.
    Next(Box<DatasetRecord>),
}

impl Place {
    fn id(&self) -> &DatasetId {
        match self {
            Self::New(draft) => &draft.id,
            Self::Next(record) => &record.id,
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        match self {
            Self::New(_) => 1,
            Self::Next(record) => record.current.number + 1,
        }
    }

    /// The record as it is after the commit.
    pub(super) fn record(&self, manifest: &Manifest, manifest_blake3: &str) -> DatasetRecord {
        let version = version_of(manifest, manifest_blake3.to_owned());
        let (created_at, draft, revision) = match self {
            Self::New(draft) => (version.created_at, draft.clone(), 0),
            Self::Next(record) => {
                let draft = Draft {
                    id: record.id.clone(),
                    name: record.name.clone(),
                    description: record.description.clone(),
                    owner_id: record.owner_id.clone(),
                };
                (record.created_at, draft, record.revision)
            }
        };
        DatasetRecord {
            id: draft.id,
            name_key: NameKey::of(&draft.name),
            name: draft.name,
            description: draft.description,
            owner_id: draft.owner_id,
            source: manifest.source.clone(),
            partition_column: manifest.partition_column.clone(),
            sort_column: manifest.sort_column.clone(),
            read_contract: manifest.read_contract.clone(),
            last_import_at: version.created_at,
            current: version,
            created_at,
            revision,
        }
    }
}

impl Datasets {
    /// Makes `candidate` the current version.
    ///
    /// # Errors
    /// `Conflict` when another version was published since `place` was read; `Duplicate` when the name
    /// was taken meanwhile; `StorageFull`, `Unavailable`. The version in force stays in force.
    pub(super) async fn publish(
        &self,
        caller: &Caller,
        place: Place,
        mut candidate: Candidate,
    ) -> Result<DatasetRecord, Error> {
        let mut unnamed = candidate.unnamed.take();
        if let Some(files) = &mut unnamed {
            files.keep();
        }
        let manifest = self.manifest_of(caller, &place, candidate, CommitId::random());
        let manifest_blake3 = self.store_manifest(&place, &manifest).await?;
        let record = place.record(&manifest, &manifest_blake3);
        let event = match place {
            Place::New(_) => AuditEvent::DatasetCreated,
            Place::Next(_) => AuditEvent::DatasetImported,
        };
        let audit = self.audit(caller, event, &record);
        self.put_in_force(&place, record, audit, None).await
    }

    /// Stores the manifest of a version to be, and returns its BLAKE3.
    pub(super) async fn store_manifest(&self, place: &Place, manifest: &Manifest) -> Result<String, Error> {
        // A bucket may hold datasets of other services, which the collector leaves alone. If this one never comes to
        // be, that is how it knows that it was ours.
        if matches!(place, Place::New(_)) && self.parts.settings.objects_are_shared {
            let (dataset_id, label) = (manifest.dataset_id.clone(), manifest.label.clone());
            let first = ExpiredVersion { dataset_id, label, expired_at: self.now() };
            self.parts.stores.expired.add(&first).await?;
        }
        let bytes = serde_json::to_vec_pretty(manifest).map_err(Error::internal)?;
        let key = keys::manifest(&manifest.dataset_id, &manifest.label);
        let written = storage::put_new(&self.parts.objects, &key, Bytes::from(bytes)).await?;
        write_step!("import.manifest_stored");
        Ok(written.blake3)
    }

    /// Moves the pointer to a version whose manifest is stored, and ends the execution that made it, if one did.
    pub(super) async fn put_in_force(
        &self,
        place: &Place,
        mut record: DatasetRecord,
        audit: AuditRecord,
        execution: Option<ExecutionRecord>,
    ) -> Result<DatasetRecord, Error> {
        let id = record.current.commit_id.clone();
        let change = match place {
            Place::New(_) => Change::Create(record.clone()),
            Place::Next(_) => Change::Publish(record.clone()),
        };
        self.commit(Commit { id, change, audit: Some(audit), execution }).await?;
        record.revision += 1;
        Ok(record)
    }

    pub(super) fn manifest_of(
        &self,
        caller: &Caller,
        place: &Place,
        from: Candidate,
        commit_id: CommitId,
    ) -> Manifest {
        let number = place.next_number();
        Manifest {
            format: manifest::FORMAT,
            dataset_id: place.id().clone(),
            number,
            label: from.label,
            parent: (number > 1).then(|| number - 1),
            kind: from.kind,
            restored_from: from.restored_from,
            created_at: self.now(),
            created_by: caller.principal.user_id.clone(),
            commit_id,
            source: from.source,
            read_contract: from.read_contract,
            columns: from.columns,
            partition_column: from.partition_column,
            sort_column: from.sort_column,
            row_count: from.files.iter().map(|file| file.row_count).sum(),
            files: from.files,
            quarantine: from.quarantine,
        }
    }
}

fn version_of(manifest: &Manifest, manifest_blake3: String) -> VersionRecord {
    VersionRecord {
        dataset_id: manifest.dataset_id.clone(),
        number: manifest.number,
        label: manifest.label.clone(),
        manifest_blake3,
        kind: manifest.kind,
        row_count: manifest.row_count,
        byte_count: manifest.byte_count(),
        column_count: manifest.columns.len() as u64,
        quarantined_count: manifest.quarantine.as_ref().map_or(0, |q| q.row_count),
        created_at: manifest.created_at,
        created_by: manifest.created_by.clone(),
        commit_id: manifest.commit_id.clone(),
    }
}
