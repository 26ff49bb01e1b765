//! The price of our central choice: a fresh session for every query, whose tables are looked up by name.
//!
//! Compared: one statement, from its text to its last row, for a caller who sees 10 datasets and for one
//! who sees 1,000. If sessions held all that a caller may see, the second would cost a hundred times more.
//! Measured: `resolve` (parse, one batched look-up in SQLite, rights, manifest from the cache), `session` alone
//! (a fresh one with the table of the manifest, whose goal is 100 microseconds among 1,000 datasets), and `run`
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
const SESSION_MAX: Duration = Duration::from_micros(100);
const STATEMENT: &str = "select count(*) from dataset_7";

fn main() -> Outcome<()> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let few = measure(10).await?;
        let many = measure(1000).await?;
        println!("{:>10} {:>12} {:>12} {:>12} {:>12}", "datasets", "resolve", "session", "run", "all");
        for (count, cost) in [(10, few), (1000, many)] {
            let Cost { resolve, session, run } = cost;
            println!("{count:>10} {resolve:>12.1?} {session:>12.1?} {run:>12.1?} {:>12.1?}", cost.all());
        }
        println!("1,000 datasets cost {:.2} times what 10 cost", many.all().div_duration_f64(few.all()));
        let verdict = if many.session <= SESSION_MAX { "ok" } else { "SHORT" };
        println!("a session among 1,000 datasets {:.1?}  goal <= {SESSION_MAX:?}  {verdict}", many.session);
        Ok(())
    })
}

/// What a statement costs, in medians.
#[derive(Debug, Clone, Copy)]
struct Cost {
    resolve: Duration,
    session: Duration,
    run: Duration,
}

impl Cost {
    /// The session is a part of the run.
    fn all(&self) -> Duration {
        self.resolve + self.run
    }
}

/// The cost among `count` datasets.
async fn measure(count: usize) -> Outcome<Cost> {
    let folder = tempfile::tempdir()?;
    // In memory: a thousand imports that wait for the disk would be a benchmark of the disk.
    let service = Service::with_objects(folder.path(), Arc::new(InMemory::new()))?;
    let csv = folder.path().join("ten_columns.csv");
    write_csv(&csv)?;
    let mut records = Vec::with_capacity(count);
    for index in 0..count {
        records.push(service.import(&csv, &format!("dataset_{index}"), ImportOptions::default()).await?);
    }
    let (engine, stores) = (&service.engine, &service.stores);
    let manifest = engine.manifest(&records[0].current).await?;
    let (mut resolving, mut opening, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        let request = Request::new(QueryId::random(), STATEMENT);
        let (datasets, macros) = (stores.datasets.as_ref(), stores.macros.as_ref());
        let spec = engine.resolve(datasets, macros, &Principal::operator(), request, NOW).await?;
        resolving.push(started.elapsed());
        let manifest = Arc::clone(&manifest);
        let started = Instant::now();
        let _session = engine.table(manifest)?;
        opening.push(started.elapsed());
        let started = Instant::now();
        let rows: Vec<_> = engine.run(spec).await?.try_collect().await?;
        running.push(started.elapsed());
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    }
    let [resolve, session, run] = [resolving, opening, running].map(|times| median(times, Ord::cmp));
    Ok(Cost { resolve, session, run })
}

/// A hundred rows of ten columns.
fn write_csv(path: &Path) -> Outcome<()> {
    let line = |cell: &dyn Fn(usize) -> String| (0..10).map(cell).collect::<Vec<_>>().join(",");
    let rows = (0..100).map(|row| line(&|column| (row * column).to_string()));
    let lines: Vec<String> =
        std::iter::once(line(&|column| format!("column_{column}"))).chain(rows).collect();
    Ok(std::fs::write(path, lines.join("\n"))?)
}
