//! Transforms as people keep them: make, see, list, change, remove; and what all parts of this folder share.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::define::TransformDraft;
use super::live::Live;
use super::schedule::{Leases, Timing};
use crate::audit_log::AuditLog;
use crate::auth::{Action, Object, Principal, Scope, authorize};
use crate::catalog::record::UserRecord;
use crate::catalog::store::{Owner, PageRequest, Stores, every};
use crate::catalog::transform::{ExecutionRecord, Language, Schedule, TransformRecord, TransformSettings};
use crate::clock::{Clock, SystemTimer, Timestamp};
use crate::dataset::{Datasets, Listed};
use crate::engine::{Engine, QuerySpec, Request};
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::ids::{DatasetId, TransformId, random_digits};
use crate::limits::PAGE_ITEMS_MAX;

/// What an operator sets.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The longest that an execution may take.
    pub timeout: Duration,
    /// Of one run of Python, beyond what libraries and inputs take.
    pub memory_bytes_max: u64,
    /// Executions of a transform that are remembered.
    pub executions_kept: u64,
    /// Between two looks at what is due.
    pub interval: Duration,
}

/// All transforms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transforms(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    stores: Stores,
    datasets: Datasets,
    engine: Engine,
    executor: Executor,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    settings: Settings,
    live: Live,
    leases: Leases,
}

impl Transforms {
    /// Puts the service together.
    #[must_use]
    pub fn new(
        stores: Stores,
        datasets: Datasets,
        engine: Engine,
        executor: Executor,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let timing = Timing::every(settings.interval);
        let timer = Arc::new(SystemTimer::start());
        // A name that no other process has, so that each lease has one holder.
        let process = random_digits();
        let leases = Leases::new(Arc::clone(&stores.executions), Arc::clone(&clock), timer, timing, &process);
        let live = Live::default();
        Self(Arc::new(Parts { stores, datasets, engine, executor, audit, clock, settings, live, leases }))
    }

    /// Makes a transform.
    ///
    /// # Errors
    /// `Invalid`, which names the field; what is wrong with a statement, with its place; `Duplicate` when the name of
    /// its dataset is taken.
    pub async fn create(&self, by: &Principal, draft: TransformDraft) -> Result<TransformRecord> {
        authorize(by, Action::CreateTransform, &Object::Service)?;
        if by.operator {
            let message = "a transform belongs to a user, by whose rights it runs: sign in as one";
            return Err(Error::Forbidden(message.to_owned()));
        }
        let now = self.now();
        let mut record = TransformRecord {
            id: TransformId::random(),
            name: String::new(),
            description: String::new(),
            owner_id: by.user_id.clone(),
            language: Language::default(),
            code: String::new(),
            inputs: Vec::new(),
            params: json!({}),
            schedule: Schedule::none(now),
            settings: TransformSettings::default(),
            output_dataset_id: DatasetId::random(),
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        draft.over(&mut record);
        let record = self.checked(by, record).await?;
        let revision = self.stores().transforms.put(record.clone()).await?;
        Ok(TransformRecord { revision, ..record })
    }

    /// The transform with this id.
    ///
    /// # Errors
    /// `NotFound` when it is not there or the caller may not see it: the two look the same.
    pub async fn get(&self, by: &Principal, id: &TransformId) -> Result<TransformRecord> {
        self.allowed(by, Action::ReadTransform, id).await
    }

    /// Transforms that the caller may see, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(
        &self,
        by: &Principal,
        mine: bool,
        limit: usize,
        offset: usize,
    ) -> Result<Listed<TransformRecord>> {
        let (store, owner) = (&self.stores().transforms, owner_seen(by, mine));
        let walk = |page| store.list(&owner, page);
        Ok(page_of(limit, offset, walk).await?)
    }

    /// Transforms of this name that the caller may see, newest first. Several may have one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn named(&self, by: &Principal, mine: bool, name: &str) -> Result<Vec<TransformRecord>> {
        let (store, owner) = (&self.stores().transforms, &owner_seen(by, mine));
        let mut found = every(|page| async move { Ok(store.list(owner, page).await?.0) }).await?;
        found.retain(|record| record.name == name);
        Ok(found)
    }

    /// Changes a transform. One that runs goes on as it was begun.
    ///
    /// # Errors
    /// As [`Transforms::create`]; `Conflict` when somebody else was faster, or what reads its dataset would break,
    /// unless `force` says that it may.
    pub async fn change(
        &self,
        by: &Principal,
        id: &TransformId,
        draft: TransformDraft,
        force: bool,
    ) -> Result<TransformRecord> {
        let stored = self.allowed(by, Action::WriteTransform, id).await?;
        let owner = self.owner_of(&stored).await?;
        let mut record = stored.clone();
        draft.over(&mut record);
        record.updated_at = self.now();
        if is_taken_up(&stored.schedule, &record.schedule) {
            record.schedule.since = record.updated_at;
        }
        let record = self.checked(&owner, record).await?;
        if !force {
            self.refuse_breaking(&owner, &stored, &record).await?;
        }
        let revision = self.stores().transforms.put(record.clone()).await?;
        Ok(TransformRecord { revision, ..record })
    }

    /// Removes a transform. The dataset that it made stays, as one that nothing makes any more; an execution that
    /// runs is cancelled.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Conflict` when somebody else was faster.
    pub async fn remove(&self, by: &Principal, id: &TransformId) -> Result<()> {
        let stored = self.allowed(by, Action::WriteTransform, id).await?;
        self.stores().transforms.remove(id, stored.revision).await?;
        let running = |execution: &ExecutionRecord| execution.is_running();
        let last = self.stores().executions.list(id, PageRequest::first(1)).await?.0.items;
        if let Some(execution) = last.into_iter().find(running) {
            self.end_as_cancelled(execution).await?;
        }
        Ok(())
    }

    pub(super) async fn allowed(
        &self,
        by: &Principal,
        action: Action,
        id: &TransformId,
    ) -> Result<TransformRecord> {
        let found = self.stores().transforms.lookup(std::slice::from_ref(id)).await?;
        let record = found.into_iter().next().ok_or_else(|| Error::not_found("transform", id))?;
        authorize(by, action, &Object::Transform { id: &record.id, owner: &record.owner_id })?;
        Ok(record)
    }

    /// By whose rights a transform runs.
    ///
    /// # Errors
    /// `Forbidden` when its owner is gone or may not sign in any more.
    pub(super) async fn owner_of(&self, record: &TransformRecord) -> Result<Principal> {
        match self.stores().users.get(&record.owner_id).await? {
            Some(user) if !user.disabled => Ok(principal_of(user)),
            _ => {
                let message =
                    format!("the owner of `{}` may not sign in any more, so it runs no more", record.name);
                Err(Error::Forbidden(message))
            }
        }
    }

    /// A statement's spec, by the rights of `by`.
    pub(super) async fn resolve(&self, by: &Principal, request: Request) -> Result<QuerySpec> {
        let Stores { datasets, macros, .. } = self.stores();
        self.engine().resolve(datasets.as_ref(), macros.as_ref(), by, request, self.now()).await
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(super) fn datasets(&self) -> &Datasets {
        &self.0.datasets
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    pub(super) fn audit(&self) -> &AuditLog {
        &self.0.audit
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn live(&self) -> &Live {
        &self.0.live
    }

    /// How this process holds what it runs.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        &self.0.leases
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// Whose transforms a caller is shown.
fn owner_seen(by: &Principal, mine: bool) -> Owner {
    if mine || !by.sees_all() { Owner::User(by.user_id.clone()) } else { Owner::Anyone }
}

fn principal_of(user: UserRecord) -> Principal {
    Principal {
        user_id: user.id,
        email: user.email,
        role: user.role,
        scope: Scope::Full,
        operator: false,
        scan_bytes_max: user.scan_bytes_max,
    }
}

/// Whether due times count anew: the schedule is another one, or goes on after a pause.
fn is_taken_up(old: &Schedule, new: &Schedule) -> bool {
    (new.enabled && !old.enabled) || new.cron != old.cron || new.time_zone != old.time_zone
}

/// One page of an index that goes on from a cursor and knows no offset: the way to a far page is walked.
pub(super) async fn page_of<T, F>(
    limit: usize,
    offset: usize,
    list: impl Fn(PageRequest) -> F,
) -> std::result::Result<Listed<T>, crate::catalog::store::StoreError>
where
    F: Future<
        Output = std::result::Result<
            (crate::catalog::store::Page<T>, u64),
            crate::catalog::store::StoreError,
        >,
    >,
{
    let mut page = PageRequest::first(limit);
    let mut skip = offset;
    while skip > 0 {
        let step = skip.min(PAGE_ITEMS_MAX);
        let (walked, total) = list(PageRequest { after: page.after, limit: step }).await?;
        skip -= step;
        match walked.next {
            Some(next) => page = PageRequest { after: Some(next), limit },
            None => return Ok(Listed { items: Vec::new(), total }),
        }
    }
    let (found, total) = list(page).await?;
    Ok(Listed { items: found.items, total })
}

/// An empty object, for parameters that nobody gave.
#[must_use]
pub fn no_params() -> Value {
    json!({})
}
