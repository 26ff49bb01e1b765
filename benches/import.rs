//! W10: from a CSV file to a published version, against DuckDB's `COPY` of the same file to Parquet.
//!
//! Compared: our import (find encoding, dialect and types; parse; write Parquet with statistics, page
//! index and bloom filters; hash; sync to disk; commit to the metadata store) and DuckDB's
//! `COPY (SELECT * FROM read_csv(…)) TO … (FORMAT parquet)`, with two threads each, one process a run,
//! alternating; the same also sorted by a date; and Shift_JIS against UTF-8 of the same rows.
//! Checked in the same run: rows, and sums of two columns, of what both wrote.
//! Not measured: uploading, starting a process.
//! `./dev bench` runs it; `--large GB` adds the peak memory of one large file.
//!
//! Last numbers: see `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]
#![expect(clippy::disallowed_methods, reason = "one process a measurement, so that memory is its own")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use shirabe::dataset::import::ImportOptions;
use shirabe_benches::{Outcome, Service, THREADS, argument, data_folder, lineitem_csv, runtime};

const ROUNDS: usize = 5;

/// One measurement, ours or the peer's.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    seconds: f64,
    mb_per_s: f64,
    rows: u64,
    parquet_bytes: u64,
    peak_mb: f64,
}

fn main() -> Outcome<()> {
    if let Some(csv) = argument("--import") {
        let run = import(Path::new(&csv), argument("--sort"), argument("--keep").map(PathBuf::from))?;
        println!("{}", serde_json::to_string(&run)?);
        return Ok(());
    }
    let data = argument("--data").map_or_else(data_folder, PathBuf::from);
    let peers = PathBuf::from(argument("--peers").unwrap_or_else(|| ".venv/bin".to_owned()));
    fs::create_dir_all(&data)?;
    match argument("--large") {
        Some(gb) => large(&data, &peers, gb.parse()?),
        None => compare(&data, &peers, argument("--rounds").map_or(Ok(ROUNDS), |text| text.parse())?),
    }
}

/// All comparisons, alternating, with the spread of each as the noise to read the ratios against.
fn compare(data: &Path, peers: &Path, rounds: usize) -> Outcome<()> {
    let lineitem = lineitem_csv(data, Some(peers), 1)?;
    let [utf8, shift_jis] = journals(data)?;
    let mut runs: Vec<(&str, Vec<Run>)> = Vec::new();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        let mut add = |name: &'static str, run: Run| {
            println!("  {name:<28} {:>7.1} MB/s  peak {:>5.0} MB", run.mb_per_s, run.peak_mb);
            match runs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(run),
                None => runs.push((name, vec![run])),
            }
        };
        add("shirabe", ours(&lineitem, None, Some(&data.join("kept")))?);
        add("duckdb snappy", duckdb(peers, data, &lineitem, None, "snappy")?);
        add("shirabe again (control)", ours(&lineitem, None, None)?);
        add("duckdb zstd", duckdb(peers, data, &lineitem, None, "zstd")?);
        add("shirabe sorted", ours(&lineitem, Some("l_shipdate"), None)?);
        add("duckdb sorted", duckdb(peers, data, &lineitem, Some("l_shipdate"), "snappy")?);
        add("shirabe journal UTF-8", ours(&utf8, None, None)?);
        add("shirabe journal Shift_JIS", ours(&shift_jis, None, None)?);
    }
    verify(data, peers)?;
    report(&runs);
    Ok(())
}

/// Lets the disk take what was written before, so that no run waits for the files of another one: ours are synced to
/// disk within their time, DuckDB's are not.
fn settle() -> Outcome<()> {
    match Command::new("sync").status()?.success() {
        true => Ok(()),
        false => Err("`sync` failed".into()),
    }
}

fn report(runs: &[(&str, Vec<Run>)]) {
    println!("\nmedian MB/s of CSV (spread), rows, Parquet MB, peak MB");
    for (name, all) in runs {
        let (median, spread) = (median(all), spread(all));
        let (rows, peak) = (all[0].rows, all.iter().map(|run| run.peak_mb).fold(0.0, f64::max));
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let parquet = all[0].parquet_bytes as f64 / 1e6;
        println!("{name:<28} {median:>7.1} ({spread:>4.1} %) {rows:>9} {parquet:>7.1} {peak:>6.0}");
    }
    let of =
        |name: &str| runs.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, all)| median(all));
    let ratio = |what: &str, a: &str, b: &str, goal: f64| {
        let ratio = of(a) / of(b);
        let verdict = if ratio >= goal { "ok" } else { "SHORT" };
        println!("{what:<58} {ratio:>5.2}  goal {goal:.2}  {verdict}");
    };
    println!();
    ratio("unsorted import / DuckDB COPY (snappy, its default)", "shirabe", "duckdb snappy", 1.2);
    ratio("unsorted import / DuckDB COPY (zstd)", "shirabe", "duckdb zstd", 1.2);
    ratio("sorted import / DuckDB COPY unsorted (snappy)", "shirabe sorted", "duckdb snappy", 0.8);
    ratio("sorted import / DuckDB COPY sorted (snappy)", "shirabe sorted", "duckdb sorted", 0.8);
    // Rates count bytes of the file, and a Shift_JIS file is shorter: the same rows are compared by time.
    ratio(
        "Shift_JIS / UTF-8, the same journal, bytes a second",
        "shirabe journal Shift_JIS",
        "shirabe journal UTF-8",
        0.5,
    );
    ratio("control: the same import twice", "shirabe again (control)", "shirabe", 0.0);
}

fn median(runs: &[Run]) -> f64 {
    shirabe_benches::median(runs.iter().map(|run| run.mb_per_s).collect(), f64::total_cmp)
}

/// From the slowest to the fastest, in percent of the median.
fn spread(runs: &[Run]) -> f64 {
    let rates = || runs.iter().map(|run| run.mb_per_s);
    (rates().fold(0.0, f64::max) - rates().fold(f64::INFINITY, f64::min)) / median(runs) * 100.0
}

/// One import in a process of its own.
fn ours(csv: &Path, sort: Option<&str>, keep: Option<&Path>) -> Outcome<Run> {
    settle()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--import").arg(csv);
    if let Some(column) = sort {
        command.args(["--sort", column]);
    }
    if let Some(folder) = keep {
        command.arg("--keep").arg(folder);
    }
    read_run(&mut command)
}

fn duckdb(peers: &Path, data: &Path, csv: &Path, sort: Option<&str>, compression: &str) -> Outcome<Run> {
    settle()?;
    let mut command = Command::new(peers.join("python3"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/duckdb_copy.py");
    command.arg(script).arg(csv).arg(data.join("duckdb.parquet"));
    command.args(["--threads", &THREADS.to_string(), "--compression", compression]);
    if let Some(column) = sort {
        command.args(["--sort", column]);
    }
    read_run(&mut command)
}

fn read_run(command: &mut Command) -> Outcome<Run> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Both wrote the same rows: DuckDB reads ours and its own, and compares counts and sums.
fn verify(data: &Path, peers: &Path) -> Outcome<()> {
    let sums = "count(*), sum(l_orderkey), sum(cast(l_extendedprice as decimal(38,2))), sum(length(l_comment)), min(l_shipdate)";
    let script = format!(
        "import duckdb, sys\nours, theirs = (duckdb.sql(f\"select {sums} from '{{path}}'\").fetchall() for path in sys.argv[1:])\n\
         print(ours)\nassert ours == theirs, (ours, theirs)"
    );
    let ours = data.join("kept/objects/datasets/*/data/*/*.parquet");
    let mut command = Command::new(peers.join("python3"));
    command.args(["-c", &script]).arg(ours).arg(data.join("duckdb.parquet"));
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("the two files differ: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    println!("verified: both hold {}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}

/// The peak memory of one large import, unsorted and sorted.
fn large(data: &Path, peers: &Path, gigabytes: u32) -> Outcome<()> {
    // A unit of scale is 0.76 GB of lineitem.
    let csv = lineitem_csv(data, Some(peers), gigabytes.div_ceil(3) * 4)?;
    #[expect(clippy::cast_precision_loss, reason = "gigabytes")]
    let size = fs::metadata(&csv)?.len() as f64 / 1e9;
    for sort in [None, Some("l_shipdate")] {
        let run = ours(&csv, sort, None)?;
        let how = sort.map_or("unsorted".to_owned(), |column| format!("sorted by {column}"));
        println!(
            "{size:.1} GB {how}: {:.1} MB/s, peak {:.0} MB, {} rows",
            run.mb_per_s, run.peak_mb, run.rows
        );
    }
    Ok(())
}

/// A journal as a Japanese accounting package writes it, as UTF-8 and as Shift_JIS; made once.
fn journals(data: &Path) -> Outcome<[PathBuf; 2]> {
    const ACCOUNTS: [&str; 8] =
        ["現金", "普通預金", "売掛金", "買掛金", "売上高", "仕入高", "旅費交通費", "ソフトウェア仮勘定"];
    const NOTES: [&str; 6] = [
        "株式会社調べ 3月分",
        "表計算ソフト 更新料",
        "出張 東京―大阪",
        "能登復興応援",
        "予算外",
        "十二月度 棚卸",
    ];
    const ROWS: u64 = 2_000_000;
    let paths = [data.join("journal-utf8.csv"), data.join("journal-sjis.csv")];
    if paths.iter().all(|path| path.exists()) {
        return Ok(paths);
    }
    println!("making {} and {}", paths[0].display(), paths[1].display());
    let mut files = [BufWriter::new(File::create(&paths[0])?), BufWriter::new(File::create(&paths[1])?)];
    let mut lines = "伝票番号,日付,借方科目,貸方科目,金額,摘要\n".to_owned();
    let mut state = 1_u64;
    for row in 0..ROWS {
        // A linear congruence (Knuth's MMIX constants): the same file every time.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = |shift: u32, count: usize| usize::try_from(state >> shift).unwrap_or(0) % count;
        writeln!(
            lines,
            "{row:08},2024/{}/{},{},{},{},{} {}",
            pick(33, 12) + 1,
            pick(37, 28) + 1,
            ACCOUNTS[pick(41, 8)],
            ACCOUNTS[pick(45, 8)],
            (state >> 40) % 10_000_000,
            NOTES[pick(49, 6)],
            pick(20, 90_000)
        )?;
        if lines.len() > 1 << 20 || row + 1 == ROWS {
            let (bytes, _, lossy) = encoding_rs::SHIFT_JIS.encode(&lines);
            assert!(!lossy, "all of it can be written in Shift_JIS");
            files[0].write_all(lines.as_bytes())?;
            files[1].write_all(&bytes)?;
            lines.clear();
        }
    }
    Ok(paths)
}

/// Imports one file into a fresh data folder, and says what it took. Called in a process of its own.
fn import(csv: &Path, sort: Option<String>, keep: Option<PathBuf>) -> Outcome<Run> {
    let temporary = tempfile::tempdir_in(csv.parent().unwrap_or(Path::new(".")))?;
    let folder = keep.unwrap_or_else(|| temporary.path().to_owned());
    if folder != temporary.path() && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let runtime = runtime()?;
    let csv = csv.canonicalize()?;
    let bytes = fs::metadata(&csv)?.len();
    runtime.block_on(async {
        let service = Service::open(&folder)?;
        let options = ImportOptions { sort_column: sort, ..ImportOptions::default() };
        let started = Instant::now();
        let record = service.import(&csv, "bench", options).await?;
        let seconds = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let mb_per_s = bytes as f64 / 1e6 / seconds;
        let version = record.current;
        Ok(Run {
            seconds,
            mb_per_s,
            rows: version.row_count,
            parquet_bytes: version.byte_count,
            peak_mb: peak_mb()?,
        })
    })
}

/// The most memory that this process has had at once.
fn peak_mb() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
