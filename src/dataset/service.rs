//! The service: what can be asked of datasets, and what it is made of.

use std::sync::Arc;

use object_store::ObjectStore;
use serde_json::json;

use super::source::Sources;
use super::unnamed::InFlight;
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::name::{NameKey, check_name};
use crate::catalog::record::{AuditEvent, AuditRecord, DatasetRecord};
use crate::catalog::store::{Change, Commit, Owner, PageRequest, StoreError, Stores};
use crate::clock::{Clock, Timestamp};
use crate::dataset::decode::DecodeLimits;
use crate::engine::Engine;
use crate::error::Error;
use crate::ids::{DatasetId, LogId};
use crate::write_steps::write_step;

/// Numbers an operator sets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Chunks parsed and row groups encoded at the same time.
    pub threads: usize,
    /// Versions of a dataset that the collector keeps.
    pub versions_kept: usize,
    /// How long files stay after nothing names them any more.
    pub grace_seconds: i64,
    /// Whether others may keep objects in the same place: the collector then leaves alone what it does not know.
    pub objects_are_shared: bool,
    pub decode: DecodeLimits,
}

/// Who asks, and in which request: what an audit record tells of.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    pub request_id: Option<String>,
}

/// Datasets, their versions, and the way from a file to one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Datasets {
    pub(super) parts: Arc<Parts>,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) stores: Stores,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) sources: Sources,
    pub(super) in_flight: InFlight,
}

/// One page of a list that counts.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub total: u64,
}

/// What `PUT /api/datasets/{id}` may change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct DatasetPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    /// The layout of the next import; `Some(None)` ends the split.
    pub partition_column: Option<Option<String>>,
    /// The order of the next import.
    pub sort_column: Option<Option<String>>,
}

impl Datasets {
    /// Puts the service together.
    #[must_use]
    pub fn new(
        stores: Stores,
        objects: Arc<dyn ObjectStore>,
        engine: Engine,
        clock: Arc<dyn Clock>,
        settings: Settings,
        sources: Sources,
    ) -> Self {
        let in_flight = InFlight::default();
        Self { parts: Arc::new(Parts { stores, objects, engine, clock, settings, sources, in_flight }) }
    }

    /// What an operator set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The dataset with this id.
    ///
    /// # Errors
    /// `NotFound` when it is not there or the caller may not see it: the two look the same.
    pub async fn get(&self, principal: &Principal, id: &DatasetId) -> Result<DatasetRecord, Error> {
        self.allowed(principal, Action::ReadDataset, id).await
    }

    /// The dataset of this name, if there is one that the caller may see.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn by_name(&self, principal: &Principal, name: &str) -> Result<Option<DatasetRecord>, Error> {
        let found = self.parts.stores.datasets.lookup(&[], &[NameKey::of(name)]).await?;
        let visible = |record: &DatasetRecord| may_read(principal, record);
        Ok(found.into_iter().find(visible))
    }

    /// Datasets that the caller may see, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(
        &self,
        principal: &Principal,
        mine: bool,
        limit: usize,
        offset: usize,
    ) -> Result<Listed<DatasetRecord>, Error> {
        let owner = match mine || !principal.sees_all() {
            true => Owner::User(principal.user_id.clone()),
            false => Owner::Anyone,
        };
        let mut page = PageRequest::first(limit);
        let mut skip = offset;
        // An index goes on from a cursor and knows no offset; the way to a far page is walked.
        while skip > 0 {
            let step = skip.min(1000);
            let (walked, total) = self
                .parts
                .stores
                .datasets
                .list(&owner, PageRequest { after: page.after, limit: step })
                .await?;
            skip -= step;
            match walked.next {
                Some(next) => page = PageRequest { after: Some(next), limit },
                None => return Ok(Listed { items: Vec::new(), total }),
            }
        }
        let (found, total) = self.parts.stores.datasets.list(&owner, page).await?;
        Ok(Listed { items: found.items, total })
    }

    /// Changes name, description or the layout of the next import.
    ///
    /// # Errors
    /// `Duplicate` for a name in use, `Invalid` for a bad one or a column that is not there.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &DatasetId,
        patch: DatasetPatch,
    ) -> Result<DatasetRecord, Error> {
        let mut record = self.allowed(&caller.principal, Action::WriteDataset, id).await?;
        if let Some(name) = patch.name {
            record.name = check_name(&name)?;
            record.name_key = NameKey::of(&record.name);
        }
        if let Some(description) = patch.description {
            record.description = check_description(description)?;
        }
        let manifest = self.parts.engine.manifest(&record.current).await?;
        let schema = manifest.schema();
        if let Some(column) = patch.partition_column {
            if let Some(name) = &column {
                super::write::day_column(&schema, name)?;
            }
            record.partition_column = column;
        }
        if let Some(column) = patch.sort_column {
            if let Some(name) = &column {
                super::write::sort_column(&schema, name)?;
            }
            record.sort_column = column;
        }
        self.commit(Commit::of(Change::Update(record.clone()))).await?;
        record.revision += 1;
        Ok(record)
    }

    /// Deletes a dataset; its files go when the collector comes by after the grace period.
    ///
    /// # Errors
    /// `Conflict` when something uses it, with a list of what does, or when it changed meanwhile.
    pub async fn delete(&self, caller: &Caller, id: &DatasetId) -> Result<(), Error> {
        let record = self.allowed(&caller.principal, Action::DeleteDataset, id).await?;
        self.refuse_used(&record).await?;
        let now = self.now();
        let audit = self.audit(caller, AuditEvent::DatasetDeleted, &record);
        let change = Change::Delete { id: record.id, revision: record.revision, at: now };
        self.commit(Commit { audit: Some(audit), ..Commit::of(change) }).await
    }

    /// Refuses to take away what a transform reads or makes.
    async fn refuse_used(&self, record: &DatasetRecord) -> Result<(), Error> {
        let store = &self.parts.stores.transforms;
        let readers = store.readers(&record.id).await?;
        let makers = match &record.source.made_by {
            Some(made_by) => store.lookup(std::slice::from_ref(&made_by.transform_id)).await?,
            None => Vec::new(),
        };
        let used =
            readers.iter().map(|reader| (reader, "reads")).chain(makers.iter().map(|maker| (maker, "makes")));
        let used: Vec<_> = used.collect();
        if used.is_empty() {
            return Ok(());
        }
        let told: Vec<_> =
            used.iter().map(|(user, how)| format!("the transform `{}` {how} it", user.name)).collect();
        let users: Vec<_> = used
            .iter()
            .map(|(user, how)| json!({ "type": "transform", "id": user.id, "name": user.name, "how": how }))
            .collect();
        Err(Error::Conflict {
            message: format!("`{}` cannot be deleted: {}", record.name, told.join(", ")),
            details: json!({ "used_by": users }),
        })
    }

    /// The record, if the caller may do `action` with it.
    pub(super) async fn allowed(
        &self,
        principal: &Principal,
        action: Action,
        id: &DatasetId,
    ) -> Result<DatasetRecord, Error> {
        let found = self.parts.stores.datasets.lookup(std::slice::from_ref(id), &[]).await?;
        let record = found.into_iter().next().ok_or_else(|| Error::not_found("dataset", id))?;
        authorize(principal, action, &object(&record))?;
        Ok(record)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Makes a change. When its outcome is unknown, the commit id tells: it is read back, and the change
    /// is never repeated blindly.
    pub(super) async fn commit(&self, commit: Commit) -> Result<(), Error> {
        write_step!("commit.before");
        let id = commit.id.clone();
        let outcome = self.parts.stores.datasets.commit(commit).await;
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ StoreError::Unavailable(_)) => {
                match self.parts.stores.datasets.committed(&id).await {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn audit(&self, caller: &Caller, event: AuditEvent, record: &DatasetRecord) -> AuditRecord {
        AuditRecord {
            id: LogId::random(),
            timestamp: self.now(),
            event,
            user_id: Some(caller.principal.user_id.clone()),
            target_type: "dataset".to_owned(),
            target_id: record.id.to_string(),
            details: json!({ "name": record.name, "version": record.current.number }),
            request_id: caller.request_id.clone(),
        }
    }
}

fn object(record: &DatasetRecord) -> Object<'_> {
    Object::Dataset { id: &record.id, owner: &record.owner_id }
}

/// Whether the caller may see this dataset.
pub(super) fn may_read(principal: &Principal, record: &DatasetRecord) -> bool {
    authorize(principal, Action::ReadDataset, &object(record)).is_ok()
}

/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 4000;

pub(super) fn check_description(text: String) -> Result<String, Error> {
    let length = text.chars().count();
    if length > DESCRIPTION_CHARS_MAX {
        let message =
            format!("`description` has {length} characters; at most {DESCRIPTION_CHARS_MAX} are accepted");
        return Err(Error::invalid_field("description", message));
    }
    Ok(text)
}
