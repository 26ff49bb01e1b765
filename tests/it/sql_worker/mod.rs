//! Statements in processes of their own: the same answers and errors as in this one, nothing in reach, and an end
//! that is nobody else's.
//!
//! A test has a service over a folder, and beside it a second engine on the same objects whose statements run in
//! workers of the program as people run it.

mod answers;
mod confinement;
mod ends;
mod service;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt as _;
use object_store::ObjectStore;
use shirabe::auth::Principal;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::engine::{Engine, EngineConfig, QuerySpec, QueryStream, Request, TableRows};
use shirabe::error::{Error, Result};
use shirabe::ids::QueryId;
use shirabe::sql_worker::{SqlWorkers, WorkerSettings};
use shirabe::storage::DurableLocal;

use crate::crash::server::until;
use crate::support::TestApp;

const MEMORY_BYTES: usize = 48 << 20;

/// A service, and workers beside it.
struct Ground {
    app: TestApp,
    workers: SqlWorkers,
    isolated: Engine,
    /// What a query of `here` may hold is what one in a worker may.
    here: Engine,
}

impl Ground {
    /// With `cities` and `numbers`, and one worker.
    async fn new() -> Self {
        Self::with(|_| (), |objects| objects).await
    }

    /// With settings changed by `set`, and objects that workers read instead.
    async fn with(
        set: impl FnOnce(&mut WorkerSettings),
        instead: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Self {
        let app = TestApp::new();
        let ana = app.ana().await;
        app.dataset(&ana, "cities", "id,city,people\n1,東京,14000000\n2,\"Nara, Japan\",\n3,=1+1,5\n").await;
        let numbers: String = (0..20_000).map(|n| format!("{n},{},text {}\n", n % 97, n % 1000)).collect();
        app.dataset(&ana, "numbers", &format!("n,r,t\n{numbers}")).await;

        let objects: Arc<dyn ObjectStore> =
            Arc::new(DurableLocal::open(&app.path().join("objects")).unwrap());
        let mut config = EngineConfig::new(app.path().join("spill"));
        config.target_partitions = 2;
        config.memory_bytes_max = MEMORY_BYTES;
        config.memory_per_query_bytes_max = MEMORY_BYTES;
        let history = SqliteStore::open(app.path().join("history.db")).unwrap().stores().history;
        let here = Engine::new(config.clone(), Arc::clone(&objects), Arc::clone(&history)).unwrap();
        let mut settings = WorkerSettings::shares_of(&config);
        settings.program = PathBuf::from(env!("CARGO_BIN_EXE_shirabe"));
        settings.workers = 1;
        settings.memory_bytes_max = MEMORY_BYTES;
        set(&mut settings);
        let workers = SqlWorkers::new(settings, instead(Arc::clone(&objects)));
        workers.warm().await.unwrap();
        config.isolation = Some(Arc::new(workers.clone()));
        let isolated = Engine::new(config, objects, history).unwrap();
        Self { app, workers, isolated, here }
    }

    async fn spec(&self, sql: &str) -> QuerySpec {
        let request = Request::new(QueryId::random(), sql);
        let (catalog, now) = (self.app.state.catalog.as_ref(), SystemClock.now());
        self.app
            .state
            .engine
            .resolve(catalog, self.app.state.macros.store(), &Principal::operator(), request, now)
            .await
            .unwrap()
    }

    /// The key of the first file of the spec's first table.
    fn first_file(spec: &QuerySpec) -> String {
        let TableRows::Version(manifest) = &spec.tables[0].rows else { panic!("it is a version") };
        manifest.files[0].key.clone()
    }

    /// What a worker answers.
    async fn ask(&self, sql: &str) -> Result<String> {
        text(self.isolated.run(self.spec(sql).await).await?).await
    }

    /// What it fails with.
    async fn fail(&self, sql: &str) -> Error {
        self.ask(sql).await.expect_err(sql)
    }

    /// Waits until no worker runs a query.
    async fn quiet(&self) {
        until(|| self.workers.report().busy == 0).await;
    }
}

/// All rows, as people see them.
async fn text(stream: QueryStream) -> Result<String> {
    let schema = Arc::clone(stream.schema());
    let progress = stream.progress();
    let mut batches: Vec<RecordBatch> = stream.try_collect().await?;
    batches.push(RecordBatch::new_empty(schema));
    let rows = pretty_format_batches(&batches).unwrap();
    Ok(format!("{rows}\n{} rows, truncated: {}", progress.rows(), progress.truncated()))
}

/// Whether a process runs no more; until somebody has waited for it, the system still lists it, and its first thread
/// may have ended before the others.
fn has_ended(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    stat.map_or(true, |stat| stat.contains(") Z ") && threads <= 1)
}
