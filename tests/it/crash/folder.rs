//! A data folder, on which the program is started, and into which the tests look through the library.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt as _;
use shirabe::app::App;
use shirabe::auth::Principal;
use shirabe::catalog::record::DatasetRecord;
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::config::Config;
use shirabe::data_folder::{DataFolder, Opened};
use shirabe::dataset::check::Checked;
use shirabe::dataset::collect::Collected;
use shirabe::dataset::import::{ImportOptions, InputFile, NewDataset};
use shirabe::dataset::reimport::{Newer, Reimported};
use shirabe::dataset::{Caller, Datasets};
use shirabe::engine::{Engine, Request};
use shirabe::error::Error;
use shirabe::ids::QueryId;

use super::csv::Rows;

/// Settings of every process on the folder: what the collector may take, it takes at once.
const SETTINGS: &[(&str, &str)] = &[
    ("GC_GRACE_HOURS", "0"),
    ("VERSIONS_KEPT", "3"),
    ("RATE_LIMIT_ENABLED", "false"),
    ("LOG_FORMAT", "json"),
];

/// A data folder that nobody has open.
pub(crate) struct Folder {
    pub(super) root: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A file beside the data.
    #[cfg(feature = "failpoints")]
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.root.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The program, about to be started on this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.data());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs `import --replace` of `file` as the dataset `name` to its end.
    pub(super) fn import_command(&self, file: &Path, name: &str) -> Command {
        self.command(&["import", file.to_str().unwrap(), "--replace", "--name", name])
    }

    /// Opens it in this process, until what is returned is dropped.
    pub(super) fn open(&self) -> Service {
        let data = self.data();
        let text = data.to_str().unwrap();
        let config = Config::from_lookup(&|name| {
            let set = SETTINGS.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| *value).or((name == "DATA_DIR").then_some(text)).map(str::to_owned)
        });
        let Opened::Mine(folder) = DataFolder::open(&data).unwrap() else {
            panic!("the folder is still held by a process that has ended");
        };
        Service { app: App::open(&config.unwrap(), folder).unwrap() }
    }
}

/// The program on `data`, with the settings of these tests and none of this process.
#[expect(clippy::disallowed_methods, reason = "a crash needs a process of its own")]
pub(super) fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shirabe"));
    command.env_clear().envs(SETTINGS.iter().copied()).env("DATA_DIR", data);
    command
}

/// The service on a folder, in this process.
pub(super) struct Service {
    app: App,
}

impl Service {
    pub(super) fn datasets(&self) -> &Datasets {
        &self.app.state.datasets
    }

    /// Imports `file` as the dataset `name`: a new one, or its next version.
    pub(super) async fn import(
        &self,
        file: &Path,
        name: &str,
        options: ImportOptions,
    ) -> Result<DatasetRecord, Error> {
        import(self.datasets(), file, name, options).await
    }

    /// The dataset and its rows; none when there is no dataset of that name.
    pub(super) async fn find(&self, name: &str) -> Option<(DatasetRecord, Rows)> {
        let record = self.datasets().by_name(&Principal::operator(), name).await.unwrap()?;
        Some((record, self.query(name).await.unwrap()))
    }

    /// What a query finds in the dataset `name`.
    pub(super) async fn query(&self, name: &str) -> Result<Rows, Error> {
        let state = &self.app.state;
        rows(&state.engine, state.catalog.as_ref(), state.macros.store(), name).await
    }

    /// Fails when `check` finds anything.
    #[track_caller]
    pub(super) fn check(&self) -> impl Future<Output = Checked> {
        let datasets = self.datasets().clone();
        async move {
            let checked = datasets.check(&Principal::operator()).await.unwrap();
            assert!(checked.findings.is_empty(), "{:#?}", checked.findings);
            checked
        }
    }

    /// Collects, and makes sure that this leaves nothing unnamed and nothing amiss.
    pub(super) async fn collect(&self) -> Collected {
        let collected = self.datasets().collect(&Principal::operator(), false).await.unwrap();
        assert!(collected.skipped.is_empty(), "{collected:?}");
        assert_eq!(self.check().await.unnamed_objects, 0, "after {collected:?}");
        collected
    }
}

pub(crate) fn operator() -> Caller {
    Caller { principal: Principal::operator(), request_id: None }
}

/// Imports `file` as the dataset `name`: a new one, or its next version.
pub(crate) async fn import(
    datasets: &Datasets,
    file: &Path,
    name: &str,
    options: ImportOptions,
) -> Result<DatasetRecord, Error> {
    let caller = operator();
    let file_name = file.file_name().unwrap().to_string_lossy().into_owned();
    let file = InputFile::on_disk(file.to_owned(), file_name, true);
    match datasets.by_name(&caller.principal, name).await? {
        None => {
            let new = NewDataset { name: name.to_owned(), description: String::new(), file, options };
            Ok(datasets.create(&caller, new, Arc::default()).await?.record)
        }
        Some(there) => {
            let newer = Newer { file: Some(file), options, force: false };
            match datasets.reimport(&caller, &there.id, newer, Arc::default()).await? {
                Reimported::Completed(imported) => Ok(imported.record),
                Reimported::PendingConfirmation(_, changes) => {
                    panic!("the columns are the same: {changes:?}")
                }
            }
        }
    }
}

/// What a query finds in the dataset `name`.
pub(crate) async fn rows(
    engine: &Engine,
    catalog: &dyn shirabe::catalog::store::DatasetStore,
    macros: &dyn shirabe::catalog::store::MacroStore,
    name: &str,
) -> Result<Rows, Error> {
    let sql = format!(
        "select count(*), sum(amount), min(generation), max(generation) from \"{name}\" where amount >= 0"
    );
    let request = Request::new(QueryId::random(), sql);
    let spec = engine.resolve(catalog, macros, &Principal::operator(), request, SystemClock.now()).await?;
    let (_, batches, _) = engine.run(spec).await?.into_parts();
    let batches: Vec<_> = batches.try_collect().await?;
    let [batch] = batches.as_slice() else { panic!("expected one batch, got {batches:?}") };
    let value = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
    Ok(Rows { count: value(0), sum: value(1), generations: (value(2), value(3)) })
}
