//! The check: whether everything that is said to be there is there, and is what was written.

use futures::TryStreamExt as _;
use object_store::path::Path;
use serde::Serialize;
use std::collections::HashSet;

use super::service::Datasets;
use crate::auth::{Action, Object, Principal, authorize};
use crate::catalog::Manifest;
use crate::catalog::record::{DatasetRecord, VersionRecord};
use crate::error::Error;
use crate::storage::{Reading, classify, keys};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Finding {
    pub dataset_id: String,
    pub dataset_name: String,
    /// The version, when one is to blame.
    pub version: Option<u64>,
    /// The object, when one is to blame.
    pub object: Option<String>,
    pub problem: String,
}

/// What a check looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Checked {
    pub datasets: u64,
    pub versions: u64,
    pub objects: u64,
    pub bytes: u64,
    /// Objects that no kept version names: left by imports that did not finish, or waiting for the
    /// collector. No fault.
    pub unnamed_objects: u64,
    pub findings: Vec<Finding>,
}

impl Datasets {
    /// Reads every manifest and every file of every kept version, and compares sizes, checksums and
    /// references.
    ///
    /// # Errors
    /// `Forbidden` for all but administrators; `Unavailable` when the metadata store does not answer.
    /// What is wrong with an object is a finding.
    pub async fn check(&self, principal: &Principal) -> Result<Checked, Error> {
        authorize(principal, Action::Maintain, &Object::Service)?;
        let mut report = Checked::default();
        let mut unnamed = self.datasets_in_storage().await?;
        for record in self.all_records().await? {
            unnamed.remove(record.id.as_str());
            self.check_dataset(&record, &mut report).await?;
        }
        for id in unnamed {
            report.unnamed_objects += self.unnamed(&id, &HashSet::new()).await?;
        }
        Ok(report)
    }

    async fn check_dataset(&self, record: &DatasetRecord, report: &mut Checked) -> Result<(), Error> {
        report.datasets += 1;
        let versions = self.all_versions(&record.id).await?;
        if versions.first() != Some(&record.current) {
            let problem = format!("the current version {} is not the newest kept one", record.current.number);
            report.findings.push(finding(record, Some(record.current.number), None, problem));
        }
        if self.parts.stores.users.get(&record.owner_id).await?.is_none()
            && record.owner_id != crate::auth::operator_id()
        {
            let problem = format!("its owner `{}` is not there", record.owner_id);
            report.findings.push(finding(record, None, None, problem));
        }
        // Restored versions share files: each is read once.
        let mut named = HashSet::new();
        for version in &versions {
            report.versions += 1;
            let key = keys::manifest(&version.dataset_id, &version.label).to_string();
            named.insert(key.clone());
            match self.parts.engine.manifest(version).await {
                Ok(manifest) => self.check_version(record, version, &manifest, &mut named, report).await,
                Err(error) => {
                    report.findings.push(finding(record, Some(version.number), Some(key), error.to_string()));
                }
            }
        }
        report.unnamed_objects += self.unnamed(record.id.as_str(), &named).await?;
        Ok(())
    }

    async fn check_version(
        &self,
        record: &DatasetRecord,
        version: &VersionRecord,
        manifest: &Manifest,
        named: &mut HashSet<String>,
        report: &mut Checked,
    ) {
        for problem in contradictions(version, manifest) {
            report.findings.push(finding(record, Some(version.number), None, problem));
        }
        let files = manifest.files.iter().map(|file| (&file.key, file.byte_count, &file.blake3));
        let quarantine = manifest.quarantine.iter().map(|file| (&file.key, file.byte_count, &file.blake3));
        for (key, byte_count, blake3) in files.chain(quarantine) {
            if !named.insert(key.clone()) {
                continue;
            }
            report.objects += 1;
            report.bytes += byte_count;
            let reading = Reading::new(&self.parts.objects, key, byte_count, blake3);
            if let Err(error) = reading.check().await {
                report.findings.push(finding(
                    record,
                    Some(version.number),
                    Some(key.clone()),
                    error.to_string(),
                ));
            }
        }
    }

    async fn unnamed(&self, dataset: &str, named: &HashSet<String>) -> Result<u64, Error> {
        let prefix = Path::from_iter([keys::ROOT, dataset]);
        let mut count = 0;
        let mut objects = self.parts.objects.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(|cause| classify(cause, prefix.as_ref()))? {
            count += u64::from(!named.contains(object.location.as_ref()));
        }
        Ok(count)
    }
}

/// Where a version's record and its manifest disagree.
fn contradictions(version: &VersionRecord, manifest: &Manifest) -> Vec<String> {
    let rows_in_files: u64 = manifest.files.iter().map(|file| file.row_count).sum();
    let pairs = [
        ("dataset", version.dataset_id.to_string(), manifest.dataset_id.to_string()),
        ("number", version.number.to_string(), manifest.number.to_string()),
        ("commit", version.commit_id.to_string(), manifest.commit_id.to_string()),
        ("row count", version.row_count.to_string(), manifest.row_count.to_string()),
        ("row count of the files", manifest.row_count.to_string(), rows_in_files.to_string()),
        ("byte count", version.byte_count.to_string(), manifest.byte_count().to_string()),
    ];
    let differing = pairs.into_iter().filter(|(_, record, manifest)| record != manifest);
    differing
        .map(|(what, record, manifest)| format!("its {what} is {record}, but {manifest} in the manifest"))
        .collect()
}

fn finding(record: &DatasetRecord, version: Option<u64>, object: Option<String>, problem: String) -> Finding {
    Finding { dataset_id: record.id.to_string(), dataset_name: record.name.clone(), version, object, problem }
}
