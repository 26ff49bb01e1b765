//! How the parts of the service are, asked at this moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt as _;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::catalog::store::{Owner, PageRequest, Stores};
use crate::dataset::Outcome;
use crate::dataset::jobs::Jobs;
use crate::engine::Engine;
use crate::executor::Executor;
use crate::server::http::{HealthProbe, HealthReport, PartHealth, SqlWorkersHealth};
use crate::sql_worker::SqlWorkers;
use crate::storage::keys;

/// A part that takes longer counts as failing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the metadata store and the object store.
#[derive(Debug)]
pub struct Probe {
    stores: Stores,
    objects: Arc<dyn ObjectStore>,
    /// Whose disk is asked for free space.
    folder: PathBuf,
    engine: Engine,
    imports: Arc<Jobs<Outcome>>,
    workers: Option<SqlWorkers>,
    executor: Executor,
    started: Instant,
}

impl Probe {
    /// A probe of a service that started at `started`.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is a part that is asked how it is")]
    pub fn new(
        stores: Stores,
        objects: Arc<dyn ObjectStore>,
        folder: PathBuf,
        engine: Engine,
        imports: Arc<Jobs<Outcome>>,
        workers: Option<SqlWorkers>,
        executor: Executor,
        started: Instant,
    ) -> Self {
        Self { stores, objects, folder, engine, imports, workers, executor, started }
    }

    async fn dataset_count(&self) -> Option<u64> {
        let count = self.stores.datasets.list(&Owner::Anyone, PageRequest::first(1));
        Some(tokio::time::timeout(PATIENCE, count).await.ok()?.ok()?.1)
    }

    async fn storage(&self) -> PartHealth {
        let root = Path::from(keys::ROOT);
        let mut objects = self.objects.list(Some(&root));
        // The first object, or that there is none: either way the store answered.
        match tokio::time::timeout(PATIENCE, objects.next()).await {
            Ok(Some(Ok(_)) | None) => PartHealth::Ok,
            Ok(Some(Err(_))) | Err(_) => PartHealth::Failing,
        }
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self) -> HealthReport {
        let (dataset_count, storage, python) =
            tokio::join!(self.dataset_count(), self.storage(), self.executor.health());
        let disk = rustix::fs::statvfs(&self.folder).ok();
        HealthReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            store: if dataset_count.is_some() { PartHealth::Ok } else { PartHealth::Failing },
            storage,
            free_disk_bytes: disk.map(|disk| disk.f_bavail * disk.f_frsize),
            dataset_count,
            running_query_count: Some(self.engine.running() as u64),
            running_import_count: Some(self.imports.running() as u64),
            caches: self.engine.caches(),
            sql_workers: self.workers.as_ref().map(|workers| {
                let report = workers.report();
                SqlWorkersHealth {
                    count: report.workers as u64,
                    busy_count: report.busy as u64,
                    lost_count: report.lost,
                }
            }),
            sandbox: python.into(),
        }
    }
}
