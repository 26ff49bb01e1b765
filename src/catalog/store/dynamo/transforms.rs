//! Transforms, in the table `transforms`. What each reads stands in `transform_inputs` too, by dataset.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::json;

use super::DynamoStore;
use super::condition::Condition;
use super::item::{Attributes, Fields, Item, age, key, number, text};
use super::page::{self, Query};
use super::schema::{
    AGE, DIRECTORY, TRANSFORM_INPUTS, TRANSFORMS, TRANSFORMS_BY_AGE, TRANSFORMS_BY_OWNER_AGE, TRANSFORMS_LIVE,
};
use super::transaction::{Transaction, Unless};
use crate::catalog::store::{Owner, Page, PageRequest, StoreError, TransformStore};
use crate::catalog::transform::{Language, Schedule, TransformRecord, TransformSettings};
use crate::ids::{DatasetId, TransformId, UserId};

const DIRECTORY_OF_ALL: &str = "TRANSFORMS";
const LIVE: &str = "LIVE";

#[async_trait]
impl TransformStore for DynamoStore {
    async fn lookup(&self, ids: &[TransformId]) -> Result<Vec<TransformRecord>, StoreError> {
        match ids {
            [] => Ok(Vec::new()),
            [id] => self.get(&TRANSFORMS, transform_key(id)).await?.iter().map(read).collect(),
            ids => {
                let keys = ids.iter().map(|id| (&TRANSFORMS, id.as_str().to_owned()));
                self.batch_get(keys).await?.iter().map(|(_, item)| read(item)).collect()
            }
        }
    }

    async fn list(
        &self,
        owner: &Owner,
        request: PageRequest,
    ) -> Result<(Page<TransformRecord>, u64), StoreError> {
        let query = match owner {
            Owner::Anyone => Query::of_index(&TRANSFORMS, &TRANSFORMS_BY_AGE, DIRECTORY_OF_ALL),
            Owner::User(id) => Query::of_index(&TRANSFORMS, &TRANSFORMS_BY_OWNER_AGE, id.as_str()),
        };
        let counter = counter(owner);
        let found = self.page(query.descending(), request);
        let (found, count) = futures::try_join!(found, self.counter(&counter))?;
        Ok((page::read(found, read)?, count))
    }

    async fn put(&self, record: TransformRecord) -> Result<u64, StoreError> {
        let next = record.revision + 1;
        // What it reads and whose it is are counted and listed elsewhere, so what it replaces has to be known.
        let before = match record.revision {
            0 => None,
            revision => Some(self.transform(&record.id, revision).await?),
        };
        let same = before.as_ref().map_or_else(
            || Condition::absent(&TRANSFORMS),
            |before| Condition::is("revision", number(before.revision)),
        );
        let item = write(&TransformRecord { revision: next, ..record.clone() })?;
        let mut writes = Transaction::new(self);
        writes.put_if(&TRANSFORMS, item, same, Unless::Conflict(noun(&record.id)))?;
        read_instead(&mut writes, before.as_ref(), Some(&record))?;
        let owner_before = before.as_ref().map(|before| &before.owner_id);
        count_instead(&mut writes, owner_before, Some(&record.owner_id));
        if !writes.fits() {
            return Err(StoreError::TooLarge(format!("{} with all its inputs", noun(&record.id))));
        }
        writes.run().await?;
        Ok(next)
    }

    async fn remove(&self, id: &TransformId, revision: u64) -> Result<(), StoreError> {
        let before = self.transform(id, revision).await?;
        let mut writes = Transaction::new(self);
        let same = Condition::is("revision", number(revision));
        writes.delete_if(&TRANSFORMS, transform_key(id), same, Unless::Conflict(noun(id)));
        read_instead(&mut writes, Some(&before), None)?;
        count_instead(&mut writes, Some(&before.owner_id), None);
        Ok(writes.run().await?)
    }

    async fn readers(&self, id: &DatasetId) -> Result<Vec<TransformRecord>, StoreError> {
        let inputs = self.first(&Query::of_table(&TRANSFORM_INPUTS, id.as_str()), usize::MAX).await?;
        let transforms = inputs
            .iter()
            .map(|input| Ok((&TRANSFORMS, Fields::of("transform input", input).text(TRANSFORMS.key.name)?)));
        let found = self.batch_get(transforms.collect::<Result<Vec<_>, StoreError>>()?).await?;
        let found = found.iter().map(|(_, item)| read(item)).collect::<Result<Vec<_>, _>>()?;
        // One may have begun to read something else between the two calls.
        Ok(found.into_iter().filter(|found| found.input_ids().any(|input| input == id)).collect())
    }

    async fn scheduled(&self, request: PageRequest) -> Result<Page<TransformRecord>, StoreError> {
        let query = Query::of_index(&TRANSFORMS, &TRANSFORMS_LIVE, LIVE);
        let mut found = page::read(self.page(query, request).await?, read)?;
        // Whoever turns a schedule off by hand means it.
        found.items.retain(|found| found.schedule.is_live());
        Ok(found)
    }
}

impl DynamoStore {
    /// The transform, if it is stored under this revision.
    async fn transform(&self, id: &TransformId, revision: u64) -> Result<TransformRecord, StoreError> {
        let stored = self.get(&TRANSFORMS, transform_key(id)).await?;
        let stored = stored.as_ref().map(read).transpose()?.filter(|stored| stored.revision == revision);
        stored.ok_or_else(|| StoreError::Conflict(noun(id)))
    }
}

/// Replaces what a transform is known to read.
fn read_instead(
    writes: &mut Transaction<'_>,
    before: Option<&TransformRecord>,
    after: Option<&TransformRecord>,
) -> Result<(), StoreError> {
    let Some(transform) = after.or(before) else { return Ok(()) };
    let inputs = |of: Option<&TransformRecord>| -> BTreeSet<DatasetId> {
        of.map(|of| of.input_ids().cloned().collect()).unwrap_or_default()
    };
    let (before, after) = (inputs(before), inputs(after));
    let id = transform.id.as_str();
    for gone in before.difference(&after) {
        let mut whole = key(TRANSFORM_INPUTS.key.name, gone.as_str());
        whole.insert(TRANSFORMS.key.name.to_owned(), text(id));
        writes.delete(&TRANSFORM_INPUTS, whole);
    }
    for new in after.difference(&before) {
        let input = Item::new().text(TRANSFORM_INPUTS.key.name, new.as_str()).text(TRANSFORMS.key.name, id);
        writes.put(&TRANSFORM_INPUTS, input, noun(&transform.id))?;
    }
    Ok(())
}

/// Counts a transform with its new owner instead of the old one.
fn count_instead(writes: &mut Transaction<'_>, before: Option<&UserId>, after: Option<&UserId>) {
    let all = i64::from(after.is_some()) - i64::from(before.is_some());
    writes.count(counter(&Owner::Anyone), all);
    if before != after {
        for (owner, by) in [(before, -1), (after, 1)] {
            if let Some(owner) = owner {
                writes.count(counter(&Owner::User(owner.clone())), by);
            }
        }
    }
}

fn counter(owner: &Owner) -> String {
    match owner {
        Owner::Anyone => "transforms".to_owned(),
        Owner::User(id) => format!("transforms#{id}"),
    }
}

fn noun(id: &TransformId) -> String {
    format!("transform `{id}`")
}

fn transform_key(id: &TransformId) -> Attributes {
    key(TRANSFORMS.key.name, id.as_str())
}

fn write(record: &TransformRecord) -> Result<Item, StoreError> {
    let id = record.id.as_str();
    let inputs: BTreeSet<&str> = record.input_ids().map(DatasetId::as_str).collect();
    let mut item = Item::new()
        .text(TRANSFORMS.key.name, id)
        .text("name", &record.name)
        .text("description", &record.description)
        .text("ownerId", record.owner_id.as_str())
        .word("language", record.language)?
        .text("code", &record.code)
        .texts("inputDatasetIds", inputs)
        .json("inputs", &record.inputs)?
        .json("params", &record.params)?
        .optional_text("scheduleCron", record.schedule.cron.as_deref())
        .flag("scheduleEnabled", record.schedule.enabled)
        .json("schedule", &record.schedule)?
        .json("settings", &record.settings)?
        .text("outputDatasetId", record.output_dataset_id.as_str())
        .time("createdAt", record.created_at)
        .time("updatedAt", record.updated_at)
        .number("revision", record.revision)
        .text(DIRECTORY.name, DIRECTORY_OF_ALL)
        .text(AGE.name, age(record.created_at, id));
    if record.schedule.is_live() {
        item = item.text(TRANSFORMS_LIVE.key.name, LIVE);
    }
    Ok(item)
}

fn read(item: &Attributes) -> Result<TransformRecord, StoreError> {
    let item = Fields::of("transform", item);
    let created_at = item.time("createdAt")?;
    let schedule = item.json_or("schedule", Schedule::none(created_at))?;
    Ok(TransformRecord {
        id: item.parsed(TRANSFORMS.key.name)?,
        name: item.text("name")?,
        description: item.text_or_empty("description"),
        owner_id: item.parsed("ownerId")?,
        language: item
            .optional_text("language")
            .map_or(Ok(Language::default()), |_| item.word("language"))?,
        code: item.text("code")?,
        inputs: item.json("inputs")?,
        params: item.json_or("params", json!({}))?,
        schedule: Schedule {
            cron: item.optional_text("scheduleCron"),
            enabled: item.flag("scheduleEnabled"),
            ..schedule
        },
        settings: item.json_or("settings", TransformSettings::default())?,
        output_dataset_id: item.parsed("outputDatasetId")?,
        created_at,
        updated_at: item.time_or("updatedAt", created_at)?,
        revision: item.number("revision")?,
    })
}
