//! Transforms as their authors run them: over HTTP, from the request to the answer that a version is in force.
//!
//! Compared: a statement with DuckDB's `COPY` of the same statement over the same Parquet files; Python with the same
//! script in a plain interpreter that reads the same files with pandas and writes with pandas.
//! Measured: ours from the request to the answer, which includes planning, writing, syncing the files, and the commit;
//! DuckDB from the statement to a file that is not synced; plain Python from the first read to the written file.
//! Not measured: starting any of them; the first runs of each. Our server reads files each time, unless it says otherwise:
//! columns, and inputs of Python, that are read again are in memory by default.
//! Python needs `--worker PROGRAM --python FOLDER`; without them it is left out.
#![expect(clippy::disallowed_methods, reason = "the peers are programs")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shirabe_benches::{Outcome, THREADS, argument, median};

use super::client::Client;
use super::ground::Ground;
use super::report::{self, Goal};

/// What is often asked of a transform: to clean, to sum up, to join, and a small report.
const STATEMENTS: [(&str, &str); 4] = [
    (
        "clean: 3.3 of 6 million rows, 16 columns",
        "select *, l_extendedprice * (1 - l_discount) as revenue from lineitem where l_shipdate >= date '1995-06-01'",
    ),
    (
        "sum up: 800,000 groups",
        "select l_partkey, l_suppkey, sum(l_quantity) as quantity, sum(l_extendedprice) as price, count(*) as n from lineitem group by l_partkey, l_suppkey",
    ),
    (
        "join: 6 million rows of 7 columns",
        "select l_orderkey, o_custkey, o_orderdate, o_orderpriority, l_partkey, l_quantity, l_extendedprice from lineitem join orders on l_orderkey = o_orderkey",
    ),
    (
        "report: 2,500 days",
        "select l_shipdate, l_returnflag, sum(l_extendedprice) as price, avg(l_discount) as discount from lineitem group by l_shipdate, l_returnflag",
    ),
];

/// Five million rows of plain types: pandas holds a decimal as an object, and would be compared with that.
const LINES: &str = "select l_orderkey, l_partkey, l_suppkey, l_linenumber, cast(l_quantity as double) as quantity, cast(l_extendedprice as double) as price, cast(l_discount as double) as discount, l_returnflag, l_shipmode from lineitem limit 5000000";

const COLUMNS: &str = "l_suppkey,l_returnflag,quantity,price,discount";

const SCRIPTS: [(&str, &str); 3] = [
    (
        "group 5 million rows",
        "def transform(inputs, params):\n    lines = inputs['lines']\n    groups = lines.groupby(['l_suppkey', 'l_returnflag'], as_index=False)\n    return groups.agg({'quantity': 'sum', 'price': 'mean', 'discount': 'max'})\n",
    ),
    (
        "a function for each of 200,000 rows",
        "def transform(inputs, params):\n    lines = inputs['lines'].head(200_000).copy()\n    lines['net'] = lines.apply(lambda row: row['price'] * (1 - row['discount']), axis=1)\n    return lines\n",
    ),
    (
        "merge 1 million rows",
        "import pandas as pd\ndef transform(inputs, params):\n    lines = inputs['lines'].head(1_000_000)\n    means = lines.groupby('l_suppkey', as_index=False)['price'].mean().rename(columns={'price': 'mean'})\n    return lines.merge(means, on='l_suppkey')\n",
    ),
];

const NOTHING: &str =
    "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({'n': [1]})\n";
const NOTHING_RUNS: usize = 40;

/// Runs of a statement that are not measured: columns are kept in memory once they were read twice.
const RUNS_BEFORE: usize = 3;

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    let (worker, python) = (argument("--worker"), argument("--python"));
    let server = ground.serve().await?;
    report::title("SQL transforms / DuckDB's COPY of the same statement");
    statements(ground, &mut server.connect().await?, "from files").await?;
    drop(server);
    if let (Some(worker), Some(python)) = (worker, python) {
        let mut settings =
            vec![("EXECUTOR_WORKER", worker.as_str()), ("EXECUTOR_PYTHON_HOME", python.as_str())];
        report::title(
            "Python transforms of inputs that were read before / the same script in plain Python (W11)",
        );
        let server = ground.serve_with(&settings).await?;
        scripts(ground, &mut server.connect().await?, Path::new(&python), "read before").await?;
        drop(server);
        report::title("Python transforms that read their inputs from files / the same");
        settings.push(("EXECUTOR_INPUTS_MB", "0"));
        let server = ground.serve_with(&settings).await?;
        scripts(ground, &mut server.connect().await?, Path::new(&python), "from files").await?;
    } else {
        report::note("Python is left out: `--worker PROGRAM --python FOLDER` say where it is");
    }
    report::title("SQL transforms of inputs that were read before, their columns in memory / the same");
    let (_folder, server) = ground.serve_from_memory().await?;
    statements(ground, &mut server.connect().await?, "in memory").await
}

async fn statements(ground: &Ground, client: &mut Client, place: &str) -> Outcome<()> {
    let mut ratios = Vec::new();
    for (number, (name, sql)) in STATEMENTS.into_iter().enumerate() {
        let body = json!({ "name": format!("statement {number} {place}"), "language": "sql", "code": sql });
        let id = create(client, &body).await?;
        let mut expected = 0;
        for _ in 0..RUNS_BEFORE {
            expected = execute(client, &id).await?.1;
        }
        let (mut ours, mut again, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ground.rounds {
            for times in [&mut ours, &mut again] {
                let (time, rows) = execute(client, &id).await?;
                times.push(time.as_secs_f64());
                same(name, expected, rows)?;
            }
            if let Some(peers) = &ground.peers {
                let (seconds, rows) = duckdb(ground, peers, sql)?;
                theirs.push(seconds);
                same(name, expected, rows)?;
            }
        }
        let noise = middle(&again) / middle(&ours);
        report::plain(&format!("{name}: ours (again / first {noise:.2})"), middle(&ours), "s");
        if !theirs.is_empty() {
            report::plain("   DuckDB", middle(&theirs), "s");
            ratios.push(middle(&ours) / middle(&theirs));
            report::line("   ratio", middle(&ours) / middle(&theirs), "", Goal::AtMost(1.0));
        }
    }
    if !ratios.is_empty() {
        report::line("geometric mean", report::geomean(&ratios), "", Goal::AtMost(1.0));
    }
    Ok(())
}

async fn scripts(ground: &Ground, client: &mut Client, python: &Path, place: &str) -> Outcome<()> {
    let lines = json!({ "name": format!("lines {place}"), "language": "sql", "code": LINES });
    let lines = create(client, &lines).await?;
    execute(client, &lines).await?;
    let transform = client.get(&format!("/api/transforms/{lines}")).await?;
    let transform: Value = serde_json::from_slice(&transform.body)?;
    let dataset = text(&transform["data"]["output_dataset_id"])?;
    let files = ground.parquet_below(&dataset)?;
    for (number, (name, code)) in SCRIPTS.into_iter().enumerate() {
        let columns: Vec<&str> = COLUMNS.split(',').collect();
        let body = json!({
            "name": format!("script {number} {place}"), "language": "python", "code": code,
            "inputs": [{ "dataset_id": dataset, "alias": "lines", "columns": columns }],
        });
        let id = create(client, &body).await?;
        let expected = execute(client, &id).await?.1;
        let (mut ours, mut theirs, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ground.rounds {
            let (time, rows) = execute(client, &id).await?;
            ours.push(time.as_secs_f64());
            same(name, expected, rows)?;
            let (seconds, rows) = plain(ground, python, code, &files)?;
            theirs.push(seconds.iter().sum());
            parts = seconds;
            same(name, expected, rows)?;
        }
        report::plain(&format!("{name}: ours"), middle(&ours), "s");
        report::plain(&format!("   plain Python (read, transform, write {parts:.2?})"), middle(&theirs), "s");
        report::line("   ratio", middle(&ours) / middle(&theirs), "", Goal::AtMost(1.05));
    }
    let body = json!({
        "name": format!("nothing {place}"), "language": "python", "code": NOTHING,
        "inputs": [{ "dataset_id": dataset, "columns": ["l_linenumber"], "filter": "l_orderkey = 1" }],
    });
    let id = create(client, &body).await?;
    let mut times = Vec::new();
    for _ in 0..NOTHING_RUNS {
        times.push(execute(client, &id).await?.0);
    }
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let time = report::ms(report::percentile(&mut times, share));
        report::plain(&format!("Python that does nothing, over HTTP, with its commit, {name}"), time, "ms");
    }
    Ok(())
}

async fn create(client: &mut Client, body: &Value) -> Outcome<String> {
    text(&client.json("/api/transforms", body).await?["data"]["transform_id"])
}

/// Runs a transform; from the request to the answer, and the rows of the version.
async fn execute(client: &mut Client, id: &str) -> Outcome<(Duration, u64)> {
    let started = Instant::now();
    let answer = client.json(&format!("/api/transforms/{id}/execute"), &json!({})).await?;
    let elapsed = started.elapsed();
    let rows = answer["data"]["output_row_count"].as_u64().ok_or_else(|| format!("not done: {answer}"))?;
    Ok((elapsed, rows))
}

fn duckdb(ground: &Ground, peers: &Path, sql: &str) -> Outcome<(f64, u64)> {
    let mut command = Command::new(peers.join("python3"));
    command.arg(script("duckdb_sql.py")).arg(sql).arg(ground.scratch("duckdb.parquet"));
    command.args(["--threads", &THREADS.to_string()]);
    for (table, files) in &ground.files {
        for file in files {
            command.arg(format!("--table={table}={}", file.display()));
        }
    }
    let answer = answer(command)?;
    let seconds = answer["seconds"].as_f64().ok_or("no seconds")?;
    Ok((seconds, answer["rows"].as_u64().ok_or("no rows")?))
}

fn plain(ground: &Ground, python: &Path, code: &str, files: &[PathBuf]) -> Outcome<(Vec<f64>, u64)> {
    let source = ground.scratch("transform.py");
    std::fs::write(&source, code)?;
    let mut command = Command::new(python.join("bin/python"));
    command.arg(script("plain_pandas.py")).arg(source).arg(ground.scratch("pandas.parquet"));
    command.arg(format!("--columns={COLUMNS}"));
    command.args(files.iter().map(|file| format!("--table=lines={}", file.display())));
    // As a run has it.
    command.envs([("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")]);
    let answer = answer(command)?;
    let seconds = answer["seconds"].as_array().ok_or("no seconds")?;
    Ok((seconds.iter().filter_map(Value::as_f64).collect(), answer["rows"].as_u64().ok_or("no rows")?))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn answer(mut command: Command) -> Outcome<Value> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn same(what: &str, expected: u64, found: u64) -> Outcome<()> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: {found} rows, but {expected} before").into())
}

fn middle(seconds: &[f64]) -> f64 {
    median(seconds.to_vec(), f64::total_cmp)
}

fn text(value: &Value) -> Outcome<String> {
    Ok(value.as_str().ok_or_else(|| format!("no text: {value}"))?.to_owned())
}
