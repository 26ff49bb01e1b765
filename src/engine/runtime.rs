//! What all queries of the process share: the object store and the footer cache. Memory and spill space are shared
//! out by `resources.rs`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use url::Url;

use super::admission::AdmissionLimits;
use super::classify::classify;
use super::isolation::Isolation;
use super::one_file::OneFile;
use crate::error::Result;

/// The one place that plans may read from. The scheme is ours, so no statement can name another.
const OBJECTS_URL: &str = "shirabe://objects/";

/// What the engine may use. `config` fills it; [`EngineConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Memory that sorts, joins and aggregates of all queries share.
    pub memory_bytes_max: usize,
    /// Memory that those of one query have.
    pub memory_per_query_bytes_max: usize,
    /// Disk that all queries may spill to, together.
    pub spill_bytes_max: u64,
    /// Disk that one query may spill to.
    pub spill_per_query_bytes_max: u64,
    /// How many queries run and wait.
    pub admission: AdmissionLimits,
    /// A query whose result is larger, in memory, fails.
    pub result_bytes_max: Option<u64>,
    /// What the scans of a query may read, of callers without a limit of their own.
    pub scan_bytes_max: Option<u64>,
    /// Threads that queries run on.
    pub threads: usize,
    /// Ended queries that are remembered.
    pub history_max: u64,
    /// The folder they spill to; it must exist.
    pub spill_dir: PathBuf,
    /// The file they spill to instead, in a process that may open none.
    pub spill_file: Option<OneFile>,
    /// Who runs specs instead of this process.
    pub isolation: Option<Arc<dyn Isolation>>,
    /// Into how many parallel parts a plan is cut.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// The longest that any query may take, from planning to its last row.
    pub deadline: Duration,
    /// Parquet footers that are kept.
    pub footer_cache_bytes_max: usize,
    /// Encoded results that are kept; 0 keeps none.
    pub result_cache_bytes_max: usize,
    /// Columns that are kept decoded; 0 keeps none.
    pub hot_bytes_max: usize,
    /// Optimised plans that are kept.
    pub plan_cache_bytes_max: usize,
    /// Manifests that are kept.
    pub manifest_cache_bytes_max: usize,
    /// The zone of timestamps without one, such as `UTC` or `Asia/Tokyo`.
    pub time_zone: String,
}

impl EngineConfig {
    /// Defaults for a small machine, spilling to `spill_dir`.
    #[must_use]
    pub fn new(spill_dir: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory_bytes_max: 512 << 20,
            memory_per_query_bytes_max: 512 << 20,
            spill_bytes_max: 50 << 30,
            spill_per_query_bytes_max: 50 << 30,
            admission: AdmissionLimits {
                running_max: 8,
                running_per_user_max: 6,
                waiting_max: 512,
                waiting_per_user_max: 256,
            },
            result_bytes_max: None,
            scan_bytes_max: None,
            threads: cores,
            history_max: 100_000,
            spill_dir,
            spill_file: None,
            isolation: None,
            target_partitions: cores,
            batch_rows: 8192,
            deadline: Duration::from_secs(300),
            footer_cache_bytes_max: 256 << 20,
            result_cache_bytes_max: 256 << 20,
            hot_bytes_max: 0,
            plan_cache_bytes_max: 32 << 20,
            manifest_cache_bytes_max: 64 << 20,
            time_zone: "UTC".to_owned(),
        }
    }
}

/// The URL under which plans find the object store.
pub(super) fn objects_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(OBJECTS_URL).map_err(classify)
}

/// Builds the shared environment.
pub(super) fn build(config: &EngineConfig, objects: Arc<dyn ObjectStore>) -> Result<Arc<RuntimeEnv>> {
    // Nothing runs in this environment itself, so whatever forgot to take a share fails at once.
    let pool = GreedyMemoryPool::new(0);
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    // A size of zero turns a cache off. Files and their statistics come from manifests, so neither
    // listings nor file statistics are ever asked for; a listing that is kept could only be stale.
    let caches = CacheManagerConfig::default()
        .with_metadata_cache_limit(config.footer_cache_bytes_max)
        .with_list_files_cache_limit(0)
        .with_file_statistics_cache_limit(0);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_cache_manager(caches)
        .with_object_store_registry(Arc::new(OneStore(objects)))
        .build_arc()
        .map_err(classify)
}

/// A registry of exactly one store, which nothing can add to. DataFusion's default one also holds
/// `file://`, and with it every file that the process may read.
#[derive(Debug)]
struct OneStore(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        // The trait has no way to refuse: the newcomer is handed back, as if it had been replaced.
        Some(store)
    }

    fn get_store(&self, url: &Url) -> PlanResult<Arc<dyn ObjectStore>> {
        if url.as_str().starts_with(OBJECTS_URL) {
            return Ok(Arc::clone(&self.0));
        }
        Err(DataFusionError::Plan(format!("no objects can be read from `{}`", url.scheme())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[test]
    fn only_our_objects_are_in_reach() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = build(&EngineConfig::new(folder.path().to_owned()), Arc::new(InMemory::new())).unwrap();
        // Not even something that registers a store adds to it.
        runtime.register_object_store(&Url::parse("file:///").unwrap(), Arc::new(InMemory::new()));
        check(&runtime, "shirabe://objects/", true);
        check(&runtime, "file:///", false);
        check(&runtime, "s3://bucket/", false);
        check(&runtime, "shirabe://others/", false);

        #[track_caller]
        fn check(runtime: &RuntimeEnv, url: &str, found: bool) {
            let url = ObjectStoreUrl::parse(url).unwrap();
            assert_eq!(runtime.object_store(&url).is_ok(), found, "{url}");
        }
    }

    #[test]
    fn no_listing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = build(&EngineConfig::new(folder.path().to_owned()), Arc::new(InMemory::new())).unwrap();
        assert!(runtime.cache_manager.get_list_files_cache().is_none());
        assert!(runtime.cache_manager.get_file_statistic_cache().is_none());
    }
}
