//! Commits: a change, the execution that ends with it, its record in the audit log and its commit id, in one
//! transaction.

use super::condition::Condition;
use super::dataset_item::{dataset_key, read, write, write_version};
use super::datasets::name_key;
use super::expired::{self, version_key};
use super::item::{Fields, Item, number, text};
use super::schema::{AUDIT, COMMITS, DATASETS, EXPIRED, EXPIRES_AT, VERSIONS};
use super::transaction::{NotDone, Transaction, Unless};
use super::{DynamoStore, audit, executions};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{Change, Commit, Owner, StoreError};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::ids::{DatasetId, UserId};
use crate::limits;

/// Where the dataset itself stands among the writes: after the commit.
const DATASET: usize = 1;

/// The counter of somebody's datasets.
pub(super) fn counter(owner: &Owner) -> String {
    match owner {
        Owner::Anyone => "datasets".to_owned(),
        Owner::User(id) => format!("datasets#{id}"),
    }
}

/// What a change replaces, besides what it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Before {
    name_key: NameKey,
    owner_id: UserId,
}

impl Before {
    fn of(record: &DatasetRecord) -> Self {
        Self { name_key: record.name_key.clone(), owner_id: record.owner_id.clone() }
    }
}

impl DynamoStore {
    /// Makes the change, all of it or nothing.
    pub(super) async fn apply(&self, commit: Commit) -> Result<(), StoreError> {
        match &commit.change {
            Change::Create(record) => self.create(&commit, record).await,
            Change::Publish(record) => self.replace(&commit, record, true).await,
            Change::Update(record) => self.replace(&commit, record, false).await,
            Change::Delete { id, revision, at } => self.delete_dataset(&commit, id, *revision, *at).await,
            Change::Expire { id, number, at } => self.expire_version(&commit, id, *number, *at).await,
        }
    }

    /// The first writes of every commit. The commit comes first: it settles an unknown outcome.
    fn begin(&self, commit: &Commit) -> Result<Transaction<'_>, StoreError> {
        let mut writes = Transaction::new(self);
        let forgotten = SystemClock.now().seconds() + limits::COMMITS_KEPT.as_secs().cast_signed();
        let item = Item::new().text(COMMITS.key.name, commit.id.as_str()).number(EXPIRES_AT, forgotten);
        let twice = Unless::Conflict(format!("commit `{}`", commit.id));
        writes.put_if(&COMMITS, item, Condition::absent(&COMMITS), twice)?;
        Ok(writes)
    }

    async fn create(&self, commit: &Commit, record: &DatasetRecord) -> Result<(), StoreError> {
        if record.revision != 0 {
            return Err(StoreError::Conflict(noun(&record.id)));
        }
        let mut writes = self.begin(commit)?;
        let item = write(&DatasetRecord { revision: 1, ..record.clone() })?;
        let known = Unless::Taken(format!("the dataset id `{}`", record.id));
        writes.put_if(&DATASETS, item, Condition::absent(&DATASETS), known)?;
        writes.take(&name_key(&record.name_key), record.id.as_str(), name_of(record))?;
        add_version(&mut writes, &record.current)?;
        writes.count(counter(&Owner::Anyone), 1);
        writes.count(counter(&Owner::User(record.owner_id.clone())), 1);
        end(&mut writes, commit)?;
        Ok(writes.run().await?)
    }

    /// Stores a record over the one it was read from; with `publish`, with a new version.
    async fn replace(
        &self,
        commit: &Commit,
        record: &DatasetRecord,
        publish: bool,
    ) -> Result<(), StoreError> {
        // Mostly the name and the owner stay. When they do not, the refusal tells what they were.
        let mut before = Before::of(record);
        loop {
            let outcome = self.replace_over(commit, record, publish, &before).await;
            let Err(NotDone::Refused(refused)) = outcome else { return Ok(outcome?) };
            let stored = refused.first().filter(|first| first.at == DATASET);
            let stored = stored.and_then(|first| first.stored.as_ref()).map(read).transpose()?;
            let stored = stored.filter(|stored| stored.revision == record.revision);
            match stored.map(|stored| Before::of(&stored)).filter(|stored| *stored != before) {
                Some(stored) => before = stored,
                None => return Err(NotDone::Refused(refused).into()),
            }
        }
    }

    async fn replace_over(
        &self,
        commit: &Commit,
        record: &DatasetRecord,
        publish: bool,
        before: &Before,
    ) -> Result<(), NotDone> {
        let id = record.id.as_str();
        let mut writes = self.begin(commit)?;
        let same = Condition::is("revision", number(record.revision))
            .and("currentNumber", if publish { "<" } else { "=" }, number(record.current.number))
            .and("nameKey", "=", text(before.name_key.as_str()))
            .and("ownerId", "=", text(before.owner_id.as_str()));
        let item = write(&DatasetRecord { revision: record.revision + 1, ..record.clone() })?;
        writes.put_if(&DATASETS, item, same, Unless::Conflict(noun(&record.id)))?;
        if before.name_key != record.name_key {
            writes.take(&name_key(&record.name_key), id, name_of(record))?;
            writes.release(&name_key(&before.name_key), id, noun(&record.id));
        }
        if before.owner_id != record.owner_id {
            writes.count(counter(&Owner::User(before.owner_id.clone())), -1);
            writes.count(counter(&Owner::User(record.owner_id.clone())), 1);
        }
        if publish {
            add_version(&mut writes, &record.current)?;
        }
        end(&mut writes, commit)?;
        writes.run().await
    }

    async fn delete_dataset(
        &self,
        commit: &Commit,
        id: &DatasetId,
        revision: u64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let conflict = || StoreError::Conflict(noun(id));
        // Its name and its owner are told by nothing else.
        let stored = self.get(&DATASETS, dataset_key(id)).await?.ok_or_else(conflict)?;
        let stored = read(&stored)?;
        if stored.revision != revision {
            return Err(conflict());
        }
        let mut writes = self.begin(commit)?;
        let same = Condition::is("revision", number(revision));
        writes.delete_if(&DATASETS, dataset_key(id), same, Unless::Conflict(noun(id)));
        writes.release(&name_key(&stored.name_key), id.as_str(), noun(id));
        writes.put(&EXPIRED, expired::tombstone(id, at), noun(id))?;
        writes.count(counter(&Owner::Anyone), -1);
        writes.count(counter(&Owner::User(stored.owner_id)), -1);
        end(&mut writes, commit)?;
        writes.run().await?;
        if let Err(error) = self.bury(id, at).await {
            tracing::warn!(dataset.id = %id, %error, "the versions of a deleted dataset follow later");
        }
        Ok(())
    }

    async fn expire_version(
        &self,
        commit: &Commit,
        id: &DatasetId,
        at: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let gone = || format!("version {at} of dataset `{id}`");
        let version = self.get(&VERSIONS, version_key(id, at)).await?;
        let version = version.ok_or_else(|| StoreError::Conflict(gone()))?;
        let label = Fields::of("version", &version).text("label")?;
        let mut writes = self.begin(commit)?;
        let current = Condition::present(&DATASETS).and("currentNumber", "<>", number(at));
        writes.check(&DATASETS, dataset_key(id), current, Unless::Conflict(gone()));
        let there = Condition::is("label", text(&label));
        writes.delete_if(&VERSIONS, version_key(id, at), there, Unless::Conflict(gone()));
        writes.put(&EXPIRED, expired::write(id, &label, now), gone())?;
        end(&mut writes, commit)?;
        Ok(writes.run().await?)
    }
}

fn add_version(writes: &mut Transaction<'_>, version: &VersionRecord) -> Result<(), StoreError> {
    let twice = Unless::Conflict(noun(&version.dataset_id));
    writes.put_if(&VERSIONS, write_version(version)?, Condition::absent(&VERSIONS), twice)?;
    Ok(())
}

fn end(writes: &mut Transaction<'_>, commit: &Commit) -> Result<(), StoreError> {
    if let Some(record) = &commit.execution {
        executions::replace(writes, record, true)?;
    }
    if let Some(record) = &commit.audit {
        writes.put(&AUDIT, audit::write(record)?, format!("audit record `{}`", record.id))?;
    }
    Ok(())
}

fn noun(id: &DatasetId) -> String {
    format!("dataset `{id}`")
}

fn name_of(record: &DatasetRecord) -> String {
    format!("the dataset name `{}`", record.name)
}
