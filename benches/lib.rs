//! What the benchmarks share: the program's allocator, where files are kept between runs, and a service
//! without its doors.
//!
//! A package of its own, because what only tests need must not change how dependencies are built.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use shirabe::auth::Principal;
use shirabe::catalog::record::DatasetRecord;
use shirabe::catalog::store::Stores;
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::clock::SystemClock;
use shirabe::dataset::decode::DecodeLimits;
use shirabe::dataset::import::{ImportOptions, InputFile, NewDataset};
use shirabe::dataset::source::Sources;
use shirabe::dataset::{Caller, Datasets, Settings};
use shirabe::engine::{Engine, EngineConfig};
use shirabe::storage::{DurableLocal, ImportBuckets, S3, S3Settings};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The result of most functions here.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Threads that we and every peer may use.
pub const THREADS: usize = 2;

/// Where generated files stay from one run to the next, unless `--data` says otherwise.
#[must_use]
pub fn data_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-data")
}

/// TPC-H lineitem as CSV below `data`, made once by the generator among the `peers`.
///
/// # Errors
/// When it cannot be made.
#[expect(clippy::disallowed_methods, reason = "the generator of TPC-H is a program")]
pub fn lineitem_csv(data: &Path, peers: Option<&Path>, scale: u32) -> Outcome<PathBuf> {
    let folder = data.join(format!("sf{scale}"));
    let csv = folder.join("lineitem.csv");
    if csv.exists() {
        return Ok(csv);
    }
    let peers = peers.ok_or("`--peers FOLDER` is needed to make the data: tpchgen-cli is there")?;
    let mut command = Command::new(peers.join("tpchgen-cli"));
    command.args(["csv", "-s", &scale.to_string(), "--tables", "lineitem", "--output-dir"]).arg(&folder);
    match command.status()?.success() {
        true => Ok(csv),
        false => Err("tpchgen-cli failed".into()),
    }
}

/// The text behind `name` on the command line.
#[must_use]
pub fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

/// Threads for asynchronous work, as many as every peer has.
///
/// # Errors
/// When they cannot be started.
pub fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?)
}

/// The middle one, of at least one.
#[must_use]
pub fn median<T: Copy>(mut values: Vec<T>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_unstable_by(order);
    values[values.len() / 2]
}

/// The service on a folder, without its doors.
#[derive(Debug)]
pub struct Service {
    pub datasets: Datasets,
    pub engine: Engine,
    pub stores: Stores,
}

impl Service {
    /// Opens `folder`, which must exist. Objects are files below [`Service::objects`] of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(folder: &Path) -> Outcome<Self> {
        Self::with_objects(folder, Arc::new(DurableLocal::open(&Self::objects(folder))?))
    }

    /// Where the objects of [`Service::open`] lie.
    #[must_use]
    pub fn objects(folder: &Path) -> PathBuf {
        folder.join("objects")
    }

    /// The same with objects elsewhere.
    ///
    /// # Errors
    /// When `folder` cannot be written.
    pub fn with_objects(folder: &Path, objects: Arc<dyn object_store::ObjectStore>) -> Outcome<Self> {
        let spill = folder.join("spill");
        std::fs::create_dir_all(&spill)?;
        let mut config = EngineConfig::new(spill);
        config.target_partitions = THREADS;
        let stores = SqliteStore::open(folder.join("shirabe.db"))?.stores();
        let engine = Engine::new(config, Arc::clone(&objects), Arc::clone(&stores.history))?;
        let settings = Settings {
            threads: THREADS,
            versions_kept: 30,
            grace_seconds: 86_400,
            objects_are_shared: false,
            decode: DecodeLimits::default(),
        };
        let s3 = S3::new(S3Settings {
            endpoint: None,
            region: "none".to_owned(),
            keys: None,
            hedged_reads: false,
        });
        let sources = Sources {
            buckets: Arc::new(ImportBuckets::new(s3, None, Some(Vec::new()))),
            spool_folder: folder.to_owned(),
            spool_bytes_max: 0,
        };
        let clock = Arc::new(SystemClock);
        let datasets = Datasets::new(stores.clone(), objects, engine.clone(), clock, settings, sources);
        Ok(Self { datasets, engine, stores })
    }

    /// Imports the file at an absolute path as the dataset `name`.
    ///
    /// # Errors
    /// What the import fails with.
    pub async fn import(&self, file: &Path, name: &str, options: ImportOptions) -> Outcome<DatasetRecord> {
        let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = InputFile::on_disk(file.to_owned(), file_name, true);
        let new = NewDataset { name: name.to_owned(), description: String::new(), file, options };
        let caller = Caller { principal: Principal::operator(), request_id: None };
        Ok(Box::pin(self.datasets.create(&caller, new, Arc::default())).await?.record)
    }
}
