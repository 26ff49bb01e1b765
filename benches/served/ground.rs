//! What every part stands on: TPC-H as Parquet, imported into a data folder that lives as long as the run.
#![expect(clippy::disallowed_methods, reason = "the generator of TPC-H is a program")]

use std::path::{Path, PathBuf};
use std::process::Command;

use shirabe::dataset::import::ImportOptions;
use shirabe_benches::{Outcome, Service, argument, data_folder};
use tempfile::TempDir;

use super::report;
use super::server::Server;

pub(super) const TABLES: [&str; 8] =
    ["nation", "region", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Memory for queries, ours and bare, in MiB: enough that TPC-H of scale 1 does not spill.
pub(super) const MEMORY_MB: usize = 2048;

#[derive(Debug)]
pub(super) struct Ground {
    folder: TempDir,
    /// Where generated files stay from one run to the next.
    pub(super) data: PathBuf,
    /// The files that the import wrote, by table.
    pub(super) files: Vec<(&'static str, Vec<PathBuf>)>,
    /// The files that it read.
    pub(super) source: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: u64,
    /// Where the Python of the peers is; `None` leaves them out.
    pub(super) peers: Option<PathBuf>,
}

impl Ground {
    pub(super) async fn make() -> Outcome<Self> {
        let data = argument("--data").map_or_else(data_folder, PathBuf::from);
        let scale = argument("--scale").unwrap_or_else(|| "1".to_owned());
        let peers = argument("--peers").map(PathBuf::from);
        std::fs::create_dir_all(&data)?;
        let data = data.canonicalize()?;
        let source = generated(&data, &scale, peers.as_deref())?;
        let folder = tempfile::tempdir_in(&data)?;
        report::title(&format!("importing TPC-H of scale {scale}"));
        let mut files = Vec::new();
        // Closed again before a server opens the folder.
        let service = Service::open(folder.path())?;
        for table in TABLES {
            let file = source.join(format!("{table}.parquet"));
            let record = service.import(&file, table, ImportOptions::default()).await?;
            let manifest = service.engine.manifest(&record.current).await?;
            let objects = Service::objects(folder.path());
            files.push((table, manifest.files.iter().map(|file| objects.join(&file.key)).collect()));
        }
        drop(service);
        let rounds = argument("--rounds").map_or(Ok(3), |text| text.parse())?;
        let seconds = argument("--seconds").map_or(Ok(5), |text| text.parse())?;
        Ok(Self { folder, data, files, source, rounds, seconds, peers })
    }

    /// Our server on this data; one at a time. It reads files each time, as what it is compared with does.
    pub(super) async fn serve(&self) -> Outcome<Server> {
        self.serve_with(&[]).await
    }

    /// The same with more settings.
    pub(super) async fn serve_with(&self, more: &[(&str, &str)]) -> Outcome<Server> {
        let memory = MEMORY_MB.to_string();
        let settings = [("QUERY_MEMORY_MB", memory.as_str()), ("QUERY_COLUMNS_MB", "0")];
        Server::shirabe(self.folder.path(), &[&settings, more].concat()).await
    }

    /// A file that is gone with this.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The Parquet files of a dataset that a server on this data has made.
    pub(super) fn parquet_below(&self, dataset: &str) -> Outcome<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![Service::objects(self.folder.path()).join("datasets").join(dataset)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.extension().is_some_and(|ending| ending == "parquet") => found.push(path),
                    false => {}
                }
            }
        }
        Ok(found)
    }

    /// Our server on a copy of this data, beside the other one. It keeps columns that are read again.
    pub(super) async fn serve_from_memory(&self) -> Outcome<(TempDir, Server)> {
        let folder = tempfile::tempdir_in(self.folder.path().parent().ok_or("no folder")?)?;
        copy(self.folder.path(), folder.path())?;
        let memory = MEMORY_MB.to_string();
        let settings = [("QUERY_MEMORY_MB", memory.as_str()), ("QUERY_COLUMNS_MB", memory.as_str())];
        let server = Server::shirabe(folder.path(), &settings).await?;
        Ok((folder, server))
    }

    /// FastAPI over DuckDB, which reads the tables into a database of its own when `native`, and reads our
    /// source files where they lie when not.
    pub(super) async fn fastapi(&self, native: bool) -> Outcome<Option<Server>> {
        let Some(peers) = &self.peers else { return Ok(None) };
        let source = self.source.to_string_lossy();
        let mut arguments = vec!["--parquet", source.as_ref()];
        if native {
            arguments.push("--native");
        }
        Server::peer(peers, "fastapi_duckdb.py", &arguments).await.map(Some)
    }
}

/// All files of `from`, but for what a running server keeps there.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() && entry.file_name() != "run" => {
                std::fs::create_dir_all(&target)?;
                copy(&entry.path(), &target)?;
            }
            kind if kind.is_file() => {
                std::fs::copy(entry.path(), &target)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The tables as Parquet, made once.
fn generated(data: &Path, scale: &str, peers: Option<&Path>) -> Outcome<PathBuf> {
    let folder = data.join(format!("tpch-sf{scale}"));
    if TABLES.iter().all(|table| folder.join(format!("{table}.parquet")).exists()) {
        return Ok(folder);
    }
    let peers = peers.ok_or("`--peers FOLDER` is needed to make the data: tpchgen-cli is there")?;
    report::title(&format!("making {}", folder.display()));
    let mut command = Command::new(peers.join("tpchgen-cli"));
    command.args(["parquet", "-s", scale]).arg(format!("--output-dir={}", folder.display()));
    if !command.status()?.success() {
        return Err("tpchgen-cli failed".into());
    }
    Ok(folder)
}
