//! The price of our central choice: a fresh session for every query, whose tables are looked up by name.
//!
//! Compared: one statement, from its text to its last row, for a caller who sees 10 datasets and for one
//! who sees 1,000. If sessions held all that a caller may see, the second would cost a hundred times more.
//! Measured: `resolve` (parse, one batched look-up in SQLite, rights, manifest from the cache) and `run`
//! (session, plan, optimise, execute), each the median of many; the statement is answered from the
//! manifest's statistics, so that no time is spent on reading rows.
//! Not measured: reading Parquet, HTTP, writing the answer.
//! `cargo run --release -p shirabe-benches --bin session` runs it.
//!
//! Last numbers: see `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use shirabe::auth::Principal;
use shirabe::block_sums::BlockSums;
use shirabe::catalog::manifest::{Column, DataFile, FORMAT};
use shirabe::catalog::record::{DatasetRecord, Source, VersionKind, VersionRecord};
use shirabe::catalog::store::sqlite::SqliteStore;
use shirabe::catalog::store::{Change, Commit, Stores};
use shirabe::catalog::{Manifest, NameKey};
use shirabe::clock::Timestamp;
use shirabe::engine::{Engine, EngineConfig, Request};
use shirabe::ids::{CommitId, DatasetId, QueryId, UserId};
use shirabe::storage::{hash, keys};
use shirabe_benches::Outcome;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const RUNS: usize = 500;
const STATEMENT: &str = "select count(*) from dataset_7";

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let few = measure(10).await?;
        let many = measure(1000).await?;
        println!("{:>10} {:>12} {:>12} {:>12}", "datasets", "resolve", "run", "both");
        for (count, (resolve, run)) in [(10, few), (1000, many)] {
            println!("{count:>10} {resolve:>12.1?} {run:>12.1?} {:>12.1?}", resolve + run);
        }
        let ratio = (many.0 + many.1).as_secs_f64() / (few.0 + few.1).as_secs_f64();
        println!("1,000 datasets cost {ratio:.2} times what 10 cost");
        Ok(())
    })
}

/// The median times of `resolve` and `run` among `count` datasets.
async fn measure(count: usize) -> Outcome<(Duration, Duration)> {
    let folder = tempfile::tempdir()?;
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let stores = SqliteStore::open(folder.path().join("meta.db"))?.stores();
    for index in 0..count {
        create(&stores, &objects, &format!("dataset_{index}")).await?;
    }
    let engine = Engine::new(EngineConfig::new(folder.path().to_owned()), objects)?;
    let (mut resolving, mut running) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        let request = Request::new(QueryId::random(), STATEMENT);
        let spec = engine.resolve(stores.datasets.as_ref(), &Principal::operator(), request, NOW).await?;
        resolving.push(started.elapsed());
        let started = Instant::now();
        let rows: Vec<_> = engine.run(spec).await?.try_collect().await?;
        running.push(started.elapsed());
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    }
    Ok((median(resolving), median(running)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A dataset of one file and ten columns.
async fn create(stores: &Stores, objects: &Arc<dyn ObjectStore>, name: &str) -> Outcome<()> {
    let (id, user) = (DatasetId::random(), UserId::random());
    let source = Source { kind: "local_csv".to_owned(), file_name: format!("{name}.csv"), path: None };
    let label = keys::new_label(1);
    let column = |index| Column {
        name: format!("column_{index}"),
        data_type: arrow::datatypes::DataType::Int64,
        null_count: 0,
    };
    let file = DataFile {
        key: keys::data_file(&id, &label, 0).to_string(),
        byte_count: 1 << 20,
        row_count: 100_000,
        row_group_count: 1,
        blake3: hash(b""),
        sums: BlockSums::of(b""),
        partition_day: None,
        stats: Vec::new(),
    };
    let manifest = Manifest {
        format: FORMAT,
        dataset_id: id.clone(),
        number: 1,
        label: label.clone(),
        parent: None,
        kind: VersionKind::Import,
        restored_from: None,
        created_at: NOW,
        created_by: user.clone(),
        commit_id: CommitId::random(),
        source: source.clone(),
        read_contract: serde_json::json!({}),
        columns: (0..10).map(column).collect(),
        partition_column: None,
        sort_column: None,
        row_count: 100_000,
        files: vec![file],
        quarantine: None,
    };
    let bytes = serde_json::to_vec(&manifest)?;
    let current = version(&manifest, hash(&bytes));
    objects.put(&keys::manifest(&id, &label), bytes.into()).await?;
    let record = DatasetRecord {
        id,
        name: name.to_owned(),
        name_key: NameKey::of(name),
        description: String::new(),
        owner_id: user,
        source,
        partition_column: None,
        sort_column: None,
        read_contract: serde_json::json!({}),
        current,
        created_at: NOW,
        last_import_at: NOW,
        revision: 0,
    };
    let commit = Commit { id: CommitId::random(), change: Change::Create(record), audit: None };
    Ok(stores.datasets.commit(commit).await?)
}

fn version(manifest: &Manifest, manifest_blake3: String) -> VersionRecord {
    VersionRecord {
        dataset_id: manifest.dataset_id.clone(),
        number: manifest.number,
        label: manifest.label.clone(),
        manifest_blake3,
        kind: manifest.kind,
        row_count: manifest.row_count,
        byte_count: manifest.byte_count(),
        column_count: manifest.columns.len() as u64,
        quarantined_count: 0,
        created_at: manifest.created_at,
        created_by: manifest.created_by.clone(),
        commit_id: manifest.commit_id.clone(),
    }
}
