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

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use shirabe::auth::Principal;
use shirabe::clock::Timestamp;
use shirabe::dataset::import::ImportOptions;
use shirabe::engine::Request;
use shirabe::ids::QueryId;
use shirabe_benches::{Outcome, Service, median, runtime};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const RUNS: usize = 500;
const STATEMENT: &str = "select count(*) from dataset_7";

fn main() -> Outcome<()> {
    let runtime = runtime()?;
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
    // In memory: a thousand imports that wait for the disk would be a benchmark of the disk.
    let service = Service::with_objects(folder.path(), Arc::new(InMemory::new()))?;
    let csv = folder.path().join("ten_columns.csv");
    write_csv(&csv)?;
    for index in 0..count {
        service.import(&csv, &format!("dataset_{index}"), ImportOptions::default()).await?;
    }
    let (engine, stores) = (&service.engine, &service.stores);
    let (mut resolving, mut running) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        let request = Request::new(QueryId::random(), STATEMENT);
        let (datasets, macros) = (stores.datasets.as_ref(), stores.macros.as_ref());
        let spec = engine.resolve(datasets, macros, &Principal::operator(), request, NOW).await?;
        resolving.push(started.elapsed());
        let started = Instant::now();
        let rows: Vec<_> = engine.run(spec).await?.try_collect().await?;
        running.push(started.elapsed());
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    }
    Ok((median(resolving, Ord::cmp), median(running, Ord::cmp)))
}

/// A hundred rows of ten columns.
fn write_csv(path: &Path) -> Outcome<()> {
    let line = |cell: &dyn Fn(usize) -> String| (0..10).map(cell).collect::<Vec<_>>().join(",");
    let rows = (0..100).map(|row| line(&|column| (row * column).to_string()));
    let lines: Vec<String> =
        std::iter::once(line(&|column| format!("column_{column}"))).chain(rows).collect();
    Ok(std::fs::write(path, lines.join("\n"))?)
}
