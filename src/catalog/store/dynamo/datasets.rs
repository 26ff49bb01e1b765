//! Datasets and their versions, in the tables `datasets` and `dataset_versions`: reading them.
//! Changing them is in [`super::commit`].

use std::collections::HashSet;

use async_trait::async_trait;

use super::dataset_item::{DIRECTORY_OF_ALL, dataset_key, partition, read, read_version};
use super::item::{Fields, key};
use super::page::{self, Query};
use super::schema::{COMMITS, DATASETS, DATASETS_BY_AGE, DATASETS_BY_OWNER_AGE, UNIQUE_NAMES, VERSIONS};
use super::unique::{holder_of, unique};
use super::{DynamoStore, commit};
use crate::catalog::name::NameKey;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{Commit, DatasetStore, Owner, Page, PageRequest, StoreError};
use crate::ids::{CommitId, DatasetId};

#[async_trait]
impl DatasetStore for DynamoStore {
    async fn lookup(&self, ids: &[DatasetId], names: &[NameKey]) -> Result<Vec<DatasetRecord>, StoreError> {
        if let ([id], []) = (ids, names) {
            let found = self.get(&DATASETS, dataset_key(id)).await?;
            return found.iter().map(read).collect();
        }
        // Names lead to ids, and ids to datasets; those that are asked for by id come with the names.
        let by_id = ids.iter().map(|id| (&DATASETS, partition(id.as_str())));
        let by_name = names.iter().map(|name| (&UNIQUE_NAMES, name_key(name)));
        let (mut found, mut named) = (Vec::new(), Vec::new());
        for (table, item) in self.batch_get(by_id.chain(by_name)).await? {
            if *table == UNIQUE_NAMES {
                named.push((&DATASETS, partition(&holder_of(&item)?)));
            } else {
                found.push(read(&item)?);
            }
        }
        for (_, item) in self.batch_get(named).await? {
            let dataset = read(&item)?;
            // Its name may have gone to another between the two calls.
            if names.contains(&dataset.name_key) {
                found.push(dataset);
            }
        }
        let mut seen = HashSet::new();
        found.retain(|dataset| seen.insert(dataset.id.clone()));
        Ok(found)
    }

    async fn list(
        &self,
        owner: &Owner,
        request: PageRequest,
    ) -> Result<(Page<DatasetRecord>, u64), StoreError> {
        let query = match owner {
            Owner::Anyone => Query::of_index(&DATASETS, &DATASETS_BY_AGE, DIRECTORY_OF_ALL),
            Owner::User(id) => Query::of_index(&DATASETS, &DATASETS_BY_OWNER_AGE, id.as_str()),
        };
        let counter = commit::counter(owner);
        let found = self.page(query.descending(), request);
        let (found, count) = futures::try_join!(found, self.counter(&counter))?;
        Ok((page::read(found, read)?, count))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.apply(commit).await?;
        Ok(())
    }

    async fn committed(&self, id: &CommitId) -> Result<bool, StoreError> {
        Ok(self.get(&COMMITS, key(COMMITS.key.name, id.as_str())).await?.is_some())
    }

    async fn versions(
        &self,
        id: &DatasetId,
        request: PageRequest,
    ) -> Result<Page<VersionRecord>, StoreError> {
        let query = Query::of_table(&VERSIONS, id.as_str()).descending();
        page::read(self.page(query, request).await?, |item| read_version(Fields::of("version", item)))
    }
}

/// The unique name of a dataset.
pub(super) fn name_key(name: &NameKey) -> String {
    unique("DATASET", name.as_str())
}
