//! A service over stores that fail on request, with a dataset of two versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use shirabe::auth::Principal;
use shirabe::catalog::store::Stores;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::clock::SystemClock;
use shirabe::dataset::decode::DecodeLimits;
use shirabe::dataset::import::ImportOptions;
use shirabe::dataset::source::Sources;
use shirabe::dataset::{Datasets, Settings};
use shirabe::engine::{Engine, EngineConfig};
use shirabe::error::Error;
use shirabe::storage::{Bucket, DurableLocal, ImportBuckets, S3, S3Settings};

use super::faulty::{FaultyDatasets, FaultyObjects, Plan};
use crate::crash::csv::{self, Rows};
use crate::crash::folder;

/// Rows of a file, besides one for each generation.
pub(super) const ROWS: i64 = 30;

/// What stands between the service and the store that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// Nothing: the store is a folder.
    Folder,
    /// What makes a bucket of it: uploads that start late, ranges that are joined.
    Bucket,
}

/// Everything a write needs, and the plan by which it fails.
pub(super) struct Ground {
    pub(super) datasets: Datasets,
    pub(super) plan: Plan,
    engine: Engine,
    stores: Stores,
    root: tempfile::TempDir,
    layer: Layer,
}

/// What can be seen of the dataset `t`: the number of its current version, the generation of its rows,
/// and how many versions are kept.
pub(super) type Seen = Option<(u64, Rows, usize)>;

impl Ground {
    /// With `versions` versions of the dataset `t`, of the generations 1, 2, …
    pub(super) async fn with_versions(versions: i64, layer: Layer) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["objects", "spill"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        let ground = Self::open(root, layer);
        for generation in 1..=versions {
            let file = ground.file(generation);
            folder::import(&ground.datasets, &file, "t", options()).await.unwrap();
        }
        ground
    }

    /// The same again, in a folder of its own: copied, which is quicker than imported.
    pub(super) fn again(&self) -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(self.root.path(), root.path());
        Self::open(root, self.layer)
    }

    fn open(root: tempfile::TempDir, layer: Layer) -> Self {
        let plan = Plan::default();
        let inner: Arc<dyn ObjectStore> = Arc::new(DurableLocal::open(&root.path().join("objects")).unwrap());
        let objects: Arc<dyn ObjectStore> = Arc::new(FaultyObjects { inner, plan: plan.clone() });
        let objects = match layer {
            Layer::Folder => objects,
            Layer::Bucket => Arc::new(Bucket::over(objects)),
        };
        let mut stores = SqliteStore::open(root.path().join("store.db")).unwrap().stores();
        stores.datasets = Arc::new(FaultyDatasets { inner: stores.datasets, plan: plan.clone() });
        let mut config = EngineConfig::new(root.path().join("spill"));
        config.target_partitions = 1;
        let engine = Engine::new(config, Arc::clone(&objects), Arc::clone(&stores.history)).unwrap();
        let settings = Settings {
            threads: 1,
            versions_kept: 2,
            grace_seconds: 0,
            objects_are_shared: false,
            decode: DecodeLimits::default(),
        };
        let clock = Arc::new(SystemClock);
        let s3 = S3::new(S3Settings {
            endpoint: None,
            region: "none".to_owned(),
            keys: None,
            hedged_reads: false,
        });
        let sources = Sources {
            buckets: Arc::new(ImportBuckets::new(s3, None, Some(Vec::new()))),
            spool_folder: root.path().to_owned(),
            spool_bytes_max: 0,
        };
        let datasets = Datasets::new(stores.clone(), objects, engine.clone(), clock, settings, sources);
        Self { datasets, plan, engine, stores, root, layer }
    }

    pub(super) fn file(&self, generation: i64) -> PathBuf {
        csv::write(self.root.path(), generation, ROWS, true)
    }

    pub(super) async fn seen(&self) -> Seen {
        let operator = Principal::operator();
        let record = self.datasets.by_name(&operator, "t").await.unwrap()?;
        let rows = self.query().await.unwrap();
        let versions = self.datasets.versions(&operator, &record.id).await.unwrap();
        Some((record.current.number, rows, versions.len()))
    }

    /// What a query finds in the dataset `t`.
    pub(super) async fn query(&self) -> Result<Rows, Error> {
        folder::rows(&self.engine, self.stores.datasets.as_ref(), self.stores.macros.as_ref(), "t").await
    }

    /// What `check` finds.
    pub(super) async fn findings(&self) -> Vec<String> {
        let checked = self.datasets.check(&Principal::operator()).await.unwrap();
        checked.findings.into_iter().map(|finding| finding.problem).collect()
    }
}

/// Copies what is in `from`. Nobody writes there meanwhile.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&source, &target);
        } else if source.extension() != Some("db-shm".as_ref()) {
            // Shared memory belongs to the processes that share it; the next one makes its own.
            std::fs::copy(&source, &target).unwrap();
        }
    }
}

/// A file for each day and a quarantine, so that an import makes many calls.
pub(super) fn options() -> ImportOptions {
    ImportOptions {
        partition_column: Some("day".to_owned()),
        bad_rows_max: Some(5),
        ..ImportOptions::default()
    }
}
