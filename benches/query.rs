//! W1, its beginning: our engine against bare DataFusion on the same files, same crates, same process.
//!
//! Compared: a statement through `resolve` and `run`, which checks every block that it reads against the
//! manifest, and the same statement in a plain `SessionContext` over a listing of the same Parquet files;
//! two partitions each, alternating, the control repeated.
//! Measured: from the text to the last batch, in memory; medians, and the control's own difference as the
//! noise to read the ratios against.
//! Not measured: HTTP, encoding; the other tables of TPC-H.
//! `./dev bench` runs it; `cargo run --release -p shirabe-benches --bin query -- --csv lineitem.csv` on a file that is there.
//!
//! Last numbers: see `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::TryStreamExt as _;
use shirabe::auth::Principal;
use shirabe::clock::{Clock as _, SystemClock};
use shirabe::dataset::decode::ReadOptions;
use shirabe::dataset::import::ImportOptions;
use shirabe::engine::Request;
use shirabe::ids::QueryId;
use shirabe_benches::{Outcome, Service, THREADS, argument, data_folder, median, runtime};

const ROUNDS: usize = 15;

/// Statements on TPC-H's `lineitem`: wide and narrow, selective and not.
const STATEMENTS: &[(&str, &str)] = &[
    ("count", "select count(*) from lineitem"),
    ("Q1", include_str!("../sql/bench/tpch/q01.sql")),
    ("Q6", include_str!("../sql/bench/tpch/q06.sql")),
    ("one order", "select * from lineitem where l_orderkey = 3000000"),
    ("like", "select count(*) from lineitem where l_comment like '%special%requests%'"),
    ("top 100", "select * from lineitem order by l_extendedprice desc, l_orderkey limit 100"),
    ("distinct", "select count(distinct l_partkey) from lineitem"),
];

fn main() -> Outcome<()> {
    let csv = argument("--csv").map_or_else(|| data_folder().join("sf1/lineitem.csv"), PathBuf::from);
    let runtime = runtime()?;
    runtime.block_on(compare(&csv.canonicalize()?))
}

async fn compare(csv: &Path) -> Outcome<()> {
    let folder = tempfile::tempdir_in(csv.parent().unwrap_or(Path::new(".")))?;
    let ours = Ours::import(csv, folder.path()).await?;
    let bare = bare(&ours.files).await?;
    println!("{:<10} {:>10} {:>10} {:>7} {:>8}", "statement", "ours", "bare", "ratio", "control");
    let mut product = (1.0, 1.0);
    for (name, statement) in STATEMENTS {
        let (mut served, mut plain, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let times = [
                ours.time(statement).await?,
                plain_time(&bare, statement).await?,
                plain_time(&bare, statement).await?,
            ];
            // The first round warms the footers of both.
            if round > 0 {
                served.push(times[0]);
                plain.push(times[1]);
                again.push(times[2]);
            }
        }
        let (served, plain, again) =
            (median(served, Ord::cmp), median(plain, Ord::cmp), median(again, Ord::cmp));
        let (ratio, control) = (served.div_duration_f64(plain), again.div_duration_f64(plain));
        product = (product.0 * ratio, product.1 * control);
        println!("{name:<10} {served:>10.2?} {plain:>10.2?} {ratio:>7.3} {control:>8.3}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of statements")]
    let root = 1.0 / STATEMENTS.len() as f64;
    println!(
        "{:<10} {:>10} {:>10} {:>7.3} {:>8.3}",
        "geomean",
        "",
        "",
        product.0.powf(root),
        product.1.powf(root)
    );
    Ok(())
}

/// Our engine over an imported dataset.
struct Ours {
    service: Service,
    files: Vec<PathBuf>,
}

impl Ours {
    async fn import(csv: &Path, folder: &Path) -> Outcome<Self> {
        let service = Service::open(folder)?;
        // Money is exact in both.
        let read = ReadOptions { exact_decimals: Some(true), ..ReadOptions::default() };
        let options = ImportOptions { read, ..ImportOptions::default() };
        let record = service.import(csv, "lineitem", options).await?;
        let manifest = service.engine.manifest(&record.current).await?;
        let files = manifest.files.iter().map(|file| Service::objects(folder).join(&file.key)).collect();
        Ok(Self { service, files })
    }

    async fn time(&self, statement: &str) -> Outcome<Duration> {
        let started = Instant::now();
        let request = Request::new(QueryId::random(), statement);
        let (stores, now) = (&self.service.stores, SystemClock.now());
        let (datasets, macros) = (stores.datasets.as_ref(), stores.macros.as_ref());
        let spec =
            self.service.engine.resolve(datasets, macros, &Principal::operator(), request, now).await?;
        let _rows: Vec<_> = self.service.engine.run(spec).await?.try_collect().await?;
        Ok(started.elapsed())
    }
}

async fn bare(files: &[PathBuf]) -> Outcome<SessionContext> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(THREADS));
    let paths = files.iter().map(|file| format!("file://{}", file.display())).collect::<Vec<_>>();
    let table = context.read_parquet(paths, ParquetReadOptions::default()).await?;
    context.register_table("lineitem", table.into_view())?;
    Ok(context)
}

async fn plain_time(context: &SessionContext, statement: &str) -> Outcome<Duration> {
    let started = Instant::now();
    let _rows: Vec<_> = context.sql(statement).await?.execute_stream().await?.try_collect().await?;
    Ok(started.elapsed())
}
