//! The price of running statements in processes of their own.
//!
//! Compared: the same specs, in one run and alternating, by an engine in this process, by the same engine with
//! `SQL_ISOLATION=worker`, and by the first one again.
//! Measured: from the spec to the last row as Arrow in memory of this process; medians, how much longer the worker takes, and the
//! control's own difference as the noise to read that against. Answers of both are compared in the same run.
//! Not measured: `resolve`, HTTP, encoding, which are the same for both; starting a worker, which happens before anybody asks.
//! `./dev bench` runs it; `cargo run --release -p shirabe-benches --bin isolation -- --csv lineitem.csv --rounds 15` on a
//! file that is there. Without a file, or with `--rows`, it makes one of that many rows.
//!
//! Last numbers: see `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;
use object_store::ObjectStore;
use shirabe::auth::Principal;
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::dataset::decode::ReadOptions;
use shirabe::dataset::import::ImportOptions;
use shirabe::engine::{Engine, EngineConfig, QuerySpec, Request};
use shirabe::ids::QueryId;
use shirabe::sql_worker::{self, SqlWorkers, WorkerSettings};
use shirabe::storage::DurableLocal;
use shirabe_benches::{Outcome, Service, THREADS, argument, data_folder, median, runtime};

const ROUNDS: usize = 15;
/// A small statement is asked this often in each round: one alone is too short to be timed.
const REPEATS: usize = 40;
/// Rows of the file that is made when none is given.
const ROWS: usize = 600_000;

/// Name, statement, rows at most, and whether it is small.
const STATEMENTS: &[(&str, &str, Option<u64>, bool)] = &[
    ("select 1", "select 1", None, true),
    ("25 rows", "select * from nations", None, true),
    ("one order", "select * from lineitem where l_orderkey = 3", None, true),
    ("count", "select count(*) from lineitem", None, true),
    ("Q1", include_str!("../sql/bench/tpch/q01.sql"), None, false),
    ("Q6", include_str!("../sql/bench/tpch/q06.sql"), None, false),
    ("like", "select count(*) from lineitem where l_comment like '%special%requests%'", None, false),
    (
        "top 100",
        "select * from lineitem order by l_extendedprice desc, l_orderkey, l_linenumber limit 100",
        None,
        false,
    ),
    ("distinct", "select count(distinct l_partkey) from lineitem", None, false),
    ("export 2 M", "select * from lineitem", Some(2_000_000), false),
];

fn main() -> Outcome<ExitCode> {
    if std::env::args().nth(1).is_some_and(|argument| argument == sql_worker::ARGUMENT) {
        return Ok(sql_worker::run_worker());
    }
    let runtime = runtime()?;
    runtime.block_on(compare())?;
    Ok(ExitCode::SUCCESS)
}

async fn compare() -> Outcome<()> {
    let number = |name: &str, or: usize| argument(name).map_or(Ok(or), |text| text.parse::<usize>());
    let (rounds, rows) = (number("--rounds", ROUNDS)?, number("--rows", ROWS)?);
    let folder = tempfile::tempdir()?;
    let csv = match argument("--csv") {
        Some(csv) => PathBuf::from(csv).canonicalize()?,
        None if argument("--rows").is_none() && data_folder().join("sf1/lineitem.csv").exists() => {
            data_folder().join("sf1/lineitem.csv").canonicalize()?
        }
        None => lineitem(folder.path(), rows)?,
    };
    let ground = Ground::new(&csv, folder.path()).await?;
    println!(
        "{:<11} {:>11} {:>11} {:>11} {:>8} {:>8} {:>10}",
        "statement", "here", "worker", "added", "ratio", "control", "MB"
    );
    let (mut product, mut count) = ((1.0, 1.0), 0);
    for (name, sql, limit, small) in STATEMENTS {
        let spec = ground.spec(sql, *limit).await?;
        let (here, worker, control, bytes) =
            ground.measure(&spec, rounds, if *small { REPEATS } else { 1 }).await?;
        let added = worker.as_secs_f64() - here.as_secs_f64();
        let (ratio, noise) = (worker.div_duration_f64(here), control.div_duration_f64(here));
        if !small {
            (product, count) = ((product.0 * ratio, product.1 * noise), count + 1);
        }
        println!(
            "{name:<11} {here:>11.2?} {worker:>11.2?} {:>8.3} ms {ratio:>8.3} {noise:>8.3} {:>10.1}",
            added * 1e3,
            bytes / 1e6
        );
    }
    let root = 1.0 / f64::from(count);
    println!(
        "geometric mean of those that are not small: {:.3}, control {:.3}",
        product.0.powf(root),
        product.1.powf(root)
    );
    Ok(())
}

/// Two engines over the same objects.
struct Ground {
    service: Service,
    here: Engine,
    isolated: Engine,
}

impl Ground {
    async fn new(csv: &Path, folder: &Path) -> Outcome<Self> {
        let service = Service::open(folder)?;
        // Money is exact.
        let read = ReadOptions { exact_decimals: Some(true), ..ReadOptions::default() };
        service.import(csv, "lineitem", ImportOptions { read, ..ImportOptions::default() }).await?;
        let nations = folder.join("nations.csv");
        let lines = (0..25).map(|n| format!("{n},nation {n},{},a comment on it", n % 5));
        std::fs::write(
            &nations,
            std::iter::once("n_nationkey,n_name,n_regionkey,n_comment".to_owned())
                .chain(lines)
                .collect::<Vec<_>>()
                .join("\n"),
        )?;
        service.import(&nations, "nations", ImportOptions::default()).await?;
        let objects: Arc<dyn ObjectStore> = Arc::new(DurableLocal::open(&Service::objects(folder))?);
        let mut config = EngineConfig::new(folder.join("spill"));
        config.target_partitions = THREADS;
        let here = Engine::new(config.clone(), Arc::clone(&objects), Arc::clone(&service.stores.history))?;
        let workers = SqlWorkers::new(WorkerSettings::shares_of(&config), Arc::clone(&objects));
        workers.warm().await?;
        config.isolation = Some(Arc::new(workers));
        let isolated = Engine::new(config, objects, Arc::clone(&service.stores.history))?;
        Ok(Self { service, here, isolated })
    }

    async fn spec(&self, sql: &str, limit: Option<u64>) -> Outcome<QuerySpec> {
        let request = Request { row_limit: limit, ..Request::new(QueryId::random(), sql) };
        let (catalog, now) = (self.service.stores.datasets.as_ref(), SystemClock.now());
        Ok(self
            .service
            .engine
            .resolve(catalog, self.service.stores.macros.as_ref(), &Principal::operator(), request, now)
            .await?)
    }

    /// Medians of here, in a worker and here again, and the bytes of the answer.
    async fn measure(
        &self,
        spec: &QuerySpec,
        rounds: usize,
        repeats: usize,
    ) -> Outcome<(Duration, Duration, Duration, f64)> {
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let bytes = self.same(spec).await?;
        for round in 0..rounds {
            let engines = [&self.here, &self.isolated, &self.here];
            // Turned around each time, so that none is always the one after the same other.
            for place in 0..3 {
                let which = (place + round) % 3;
                times[which].push(time(engines[which], spec, repeats).await?);
            }
        }
        let [here, worker, control] = times.map(|times| median(times, Ord::cmp));
        Ok((here, worker, control, bytes))
    }

    /// Runs it once each, makes sure that the answers are the same, and returns their bytes.
    async fn same(&self, spec: &QuerySpec) -> Outcome<f64> {
        let [here, there] = [&self.here, &self.isolated].map(|engine| digest(engine, spec));
        let (here, there) = (here.await?, there.await?);
        // Which rows a limit without an order leaves is chance; how many is not.
        let compared = if spec.limits.rows.is_some() { 1 } else { 3 };
        if here[..compared] != there[..compared] {
            return Err(format!("`{}` has two answers: {here:?} and {there:?}", spec.statement).into());
        }
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        Ok(here[1] as f64)
    }
}

async fn time(engine: &Engine, spec: &QuerySpec, repeats: usize) -> Outcome<Duration> {
    let started = Instant::now();
    for _ in 0..repeats {
        let mut rows = engine.run(spec.clone()).await?;
        while let Some(batch) = rows.try_next().await? {
            std::hint::black_box(batch);
        }
    }
    Ok(started.elapsed() / u32::try_from(repeats)?)
}

/// Rows, bytes, and a sum over all values that does not depend on the order of batches.
async fn digest(engine: &Engine, spec: &QuerySpec) -> Outcome<[u64; 3]> {
    let mut rows = engine.run(spec.clone()).await?;
    let (mut count, mut bytes, mut sum) = (0, 0, 0_u64);
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows() as u64;
        bytes += values_bytes(&batch);
        sum = sum.wrapping_add(fingerprint(&batch)?);
    }
    Ok([count, bytes, sum])
}

/// Bytes of the values, wherever their buffers begin and end.
fn values_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0) as u64).sum()
}

/// The sum of a hash of each row as text.
fn fingerprint(batch: &RecordBatch) -> Outcome<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let options = arrow::util::display::FormatOptions::default();
    let columns = batch.columns().iter();
    let columns: Vec<_> = columns
        .map(|c| arrow::util::display::ArrayFormatter::try_new(c, &options))
        .collect::<Result<_, _>>()?;
    let row = |row: usize| {
        let mut hasher = DefaultHasher::new();
        columns.iter().for_each(|column| column.value(row).to_string().hash(&mut hasher));
        hasher.finish()
    };
    Ok((0..batch.num_rows()).map(row).fold(0, u64::wrapping_add))
}

/// Rows in the shape of TPC-H's `lineitem`, the same each time.
fn lineitem(folder: &Path, rows: usize) -> Outcome<PathBuf> {
    let mut text = "l_orderkey,l_partkey,l_suppkey,l_linenumber,l_quantity,l_extendedprice,l_discount,l_tax,\
                    l_returnflag,l_linestatus,l_shipdate,l_commitdate,l_receiptdate,l_shipinstruct,l_shipmode,\
                    l_comment\n"
        .to_owned();
    let mut seed = 42_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let words = ["carefully", "special", "requests", "furiously", "ironic", "deposits", "sleep", "quickly"];
    for row in 0..rows {
        let mut date = || format!("{}-{:02}-{:02}", 1992 + next(7), 1 + next(12), 1 + next(28));
        let (ship, commit, receipt) = (date(), date(), date());
        let mut word = || words[usize::try_from(next(8)).unwrap_or_default()];
        let comment = [word(), word(), word(), word()].join(" ");
        writeln!(
            text,
            "{},{},{},{},{},{}.{:02},0.{:02},0.{:02},{},{},{ship},{commit},{receipt},DELIVER IN PERSON,TRUCK,{comment}",
            row / 4,
            next(200_000),
            next(10_000),
            row % 4,
            1 + next(50),
            900 + next(100_000),
            next(100),
            next(11),
            next(9),
            ["A", "N", "R"][usize::try_from(next(3)).unwrap_or_default()],
            ["F", "O"][usize::try_from(next(2)).unwrap_or_default()],
        )?;
    }
    let path = folder.join("lineitem.csv");
    std::fs::write(&path, text)?;
    Ok(path)
}
