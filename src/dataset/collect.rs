//! The collector: expires old versions, and removes files that nothing names any more.
//!
//! What may go is decided by reference, not by folder: a restored version shares the files of the one it
//! restored. A file goes only when no kept manifest of its dataset names it and it has been of no use
//! for the grace period, so that neither a running import nor a reader of yesterday's version loses it.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::Serialize;

use super::service::Datasets;
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::record::{DatasetRecord, ExpiredVersion, VersionRecord};
use crate::catalog::store::{Change, Commit, Owner, every};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::DatasetId;
use crate::storage::{classify, keys};

/// What a run of the collector did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Collected {
    pub dry_run: bool,
    pub versions_expired: u64,
    pub objects_deleted: u64,
    pub bytes_deleted: u64,
    /// Datasets that were left alone because a manifest cannot be read, of which `shirabe check` tells more, or because
    /// they are in a bucket and the metadata store does not know them.
    pub skipped: Vec<String>,
}

impl Datasets {
    /// Runs once over all datasets.
    ///
    /// # Errors
    /// `Forbidden` for all but administrators; `Unavailable`: what was removed until then was rightly
    /// removed.
    pub async fn collect(&self, principal: &Principal, dry_run: bool) -> Result<Collected, Error> {
        authorize(principal, Action::Maintain, &Object::Service)?;
        let mut report = Collected { dry_run, ..Collected::default() };
        let now = self.now();
        let expired = self.all_expired(now.plus_seconds(1)).await?;
        let deleted: HashSet<&str> = expired.iter().map(|version| version.dataset_id.as_str()).collect();
        let mut waiting = self.recently_expired(&expired, now);
        waiting.extend(self.parts.in_flight.labels());
        let mut unnamed = self.datasets_in_storage().await?;
        for record in self.all_records().await? {
            unnamed.remove(record.id.as_str());
            let kept = self.expire_old(&record, now, &mut report).await?;
            match self.named_by(&kept).await {
                Ok(named) => self.sweep(record.id.as_str(), &named, &waiting, now, &mut report).await?,
                Err(error) => {
                    tracing::warn!(dataset.id = %record.id, %error, "left alone: a manifest cannot be read");
                    report.skipped.push(record.id.to_string());
                }
            }
        }
        for id in unnamed {
            // Of a dataset that was published, deleted datasets tell. One that is unknown is somebody else's, or of
            // a database that was lost, and a bucket does not say whose it is.
            if self.parts.settings.objects_are_shared
                && !deleted.contains(id.as_str())
                && self.was_published(&id).await?
            {
                tracing::warn!(dataset.id = %id, "left alone: the metadata store does not know it");
                report.skipped.push(id);
                continue;
            }
            self.sweep(&id, &HashSet::new(), &waiting, now, &mut report).await?;
        }
        if !dry_run {
            self.forget_expired(now).await?;
        }
        Ok(report)
    }

    /// Every dataset there is.
    pub(super) async fn all_records(&self) -> Result<Vec<DatasetRecord>, Error> {
        let store = &self.parts.stores.datasets;
        Ok(every(|page| async { Ok(store.list(&Owner::Anyone, page).await?.0) }).await?)
    }

    /// Expires what is over the number of kept versions, and returns the versions that stay.
    async fn expire_old(
        &self,
        record: &DatasetRecord,
        now: Timestamp,
        report: &mut Collected,
    ) -> Result<Vec<VersionRecord>, Error> {
        let mut versions = self.all_versions(&record.id).await?;
        let kept = self.parts.settings.versions_kept.max(1);
        let old = versions.split_off(kept.min(versions.len()));
        for version in &old {
            report.versions_expired += 1;
            if !report.dry_run {
                let change = Change::Expire { id: record.id.clone(), number: version.number, at: now };
                self.commit(Commit::of(change)).await?;
            }
        }
        // In a dry run the old ones are still there, so their files are still named.
        if report.dry_run {
            versions.extend(old);
        }
        Ok(versions)
    }

    /// The keys that these versions need, manifests included.
    pub(super) async fn named_by(&self, versions: &[VersionRecord]) -> Result<HashSet<String>, Error> {
        let mut named = HashSet::new();
        for version in versions {
            let manifest = self.parts.engine.manifest(version).await?;
            named.insert(keys::manifest(&version.dataset_id, &version.label).to_string());
            named.extend(manifest.object_keys().map(str::to_owned));
        }
        Ok(named)
    }

    /// Removes what lies below one dataset, is not named, and is old enough.
    async fn sweep(
        &self,
        dataset: &str,
        named: &HashSet<String>,
        waiting: &HashSet<String>,
        now: Timestamp,
        report: &mut Collected,
    ) -> Result<(), Error> {
        let prefix = Path::from_iter([keys::ROOT, dataset]);
        let objects = self.parts.objects.list(Some(&prefix));
        let objects: Vec<ObjectMeta> =
            objects.try_collect().await.map_err(|cause| classify(cause, prefix.as_ref()))?;
        let old = now.plus_seconds(-self.parts.settings.grace_seconds);
        let mut leftover = Vec::new();
        for object in objects {
            let key = object.location.as_ref();
            let young = object.last_modified.timestamp_micros() > old.micros();
            let in_use = waiting.iter().any(|label| key.contains(label.as_str()));
            if named.contains(key) || young || in_use {
                continue;
            }
            report.objects_deleted += 1;
            report.bytes_deleted += object.size;
            leftover.push(Ok(object.location));
        }
        if !report.dry_run {
            // Together: a bucket takes a thousand keys in one request.
            let deleted = self.parts.objects.delete_stream(stream::iter(leftover).boxed());
            let each = deleted.try_for_each(|_| std::future::ready(Ok(())));
            each.await.map_err(|cause| classify(cause, prefix.as_ref()))?;
        }
        Ok(())
    }

    /// Whether a manifest of the dataset was ever stored.
    async fn was_published(&self, dataset: &str) -> Result<bool, Error> {
        let prefix = keys::manifests(dataset);
        let first = self.parts.objects.list(Some(&prefix)).next().await;
        Ok(first.transpose().map_err(|cause| classify(cause, prefix.as_ref()))?.is_some())
    }

    /// Labels of versions that expired less than the grace period ago: somebody may still read them.
    fn recently_expired(&self, expired: &[ExpiredVersion], now: Timestamp) -> HashSet<String> {
        let old = now.plus_seconds(-self.parts.settings.grace_seconds);
        let recent = expired.iter().filter(|version| version.expired_at > old);
        recent.map(|version| version.label.clone()).collect()
    }

    /// Forgets versions whose grace period is over; their files were swept in this run.
    async fn forget_expired(&self, now: Timestamp) -> Result<(), Error> {
        let old = now.plus_seconds(-self.parts.settings.grace_seconds);
        for expired in self.all_expired(old).await? {
            self.parts.stores.expired.forget(&expired).await?;
        }
        Ok(())
    }

    async fn all_expired(&self, before: Timestamp) -> Result<Vec<ExpiredVersion>, Error> {
        let store = &self.parts.stores.expired;
        Ok(every(|page| store.expired(before, page)).await?)
    }

    /// Ids that have anything in storage.
    pub(super) async fn datasets_in_storage(&self) -> Result<HashSet<String>, Error> {
        let root = Path::from(keys::ROOT);
        let found = self.parts.objects.list_with_delimiter(Some(&root)).await;
        let found = found.map_err(|cause| classify(cause, keys::ROOT))?;
        let ids = found.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(ids.filter(|id| DatasetId::parse(id).is_ok()).map(str::to_owned).collect())
    }
}
