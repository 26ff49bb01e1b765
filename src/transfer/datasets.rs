//! Datasets, version by version, as they came to be.

use super::accounts::other;
use super::{Copied, Options, Side, objects};
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::catalog::store::{Change, Commit, Owner, PageRequest, every};
use crate::error::Result;
use crate::ids::CommitId;
use crate::limits::PAGE_ITEMS_MAX;

pub(super) async fn datasets(from: &Side, to: &Side, options: &Options, copied: &mut Copied) -> Result<()> {
    let mut records = Vec::new();
    let mut request = PageRequest::first(PAGE_ITEMS_MAX);
    loop {
        let (page, _) = from.stores.datasets.list(&Owner::Anyone, request).await?;
        records.extend(page.items);
        let Some(next) = page.next else { break };
        request = PageRequest { after: Some(next), limit: PAGE_ITEMS_MAX };
    }
    // Oldest first, so that they are listed at the target as at the source.
    for record in records.into_iter().rev() {
        (options.tell)(&record.name);
        dataset(from, to, &record, options, copied).await?;
    }
    Ok(())
}

async fn dataset(
    from: &Side,
    to: &Side,
    record: &DatasetRecord,
    options: &Options,
    copied: &mut Copied,
) -> Result<()> {
    let mut versions = every(|page| from.stores.datasets.versions(&record.id, page)).await?;
    versions.reverse();
    let mut there = find(to, record).await?;
    for version in versions {
        objects::of_version(from, to, &version, options, copied).await?;
        let change = match &there {
            None => Change::Create(DatasetRecord { current: version, revision: 0, ..record.clone() }),
            Some(there) if version.number > there.current.number => Change::Publish(DatasetRecord {
                current: version,
                revision: there.revision,
                ..record.clone()
            }),
            Some(_) => continue,
        };
        copied.datasets += u64::from(matches!(change, Change::Create(_)));
        copied.versions += 1;
        commit(to, record, change).await?;
        there = find(to, record).await?;
    }
    match there {
        Some(there) if !same(&there, record) => {
            let current: VersionRecord = there.current.clone();
            let update = DatasetRecord { current, revision: there.revision, ..record.clone() };
            commit(to, record, Change::Update(update)).await
        }
        _ => Ok(()),
    }
}

async fn find(to: &Side, record: &DatasetRecord) -> Result<Option<DatasetRecord>> {
    Ok(to.stores.datasets.lookup(std::slice::from_ref(&record.id), &[]).await?.pop())
}

/// Whether nothing but the version and the count of changes differs.
fn same(there: &DatasetRecord, record: &DatasetRecord) -> bool {
    let as_there =
        DatasetRecord { current: there.current.clone(), revision: there.revision, ..record.clone() };
    *there == as_there
}

/// The log is copied as it is, so a change that comes from a copy tells nothing of itself.
async fn commit(to: &Side, record: &DatasetRecord, change: Change) -> Result<()> {
    let commit = Commit { id: CommitId::random(), change, audit: None, execution: None };
    let committed = to.stores.datasets.commit(commit).await;
    committed.map_err(|error| other(error.into(), &format!("dataset `{}`", record.name)))
}
