//! W1 and W2: the 22 queries of TPC-H over HTTP as Arrow, not from the cache.
//!
//! Compared: our server; DataFusion of the same crates in this process over the same files (W1); FastAPI over
//! DuckDB, whose `/arrow` answers likewise, on tables that DuckDB has read into a database of its own, and on
//! the Parquet files that we import (W2). Ours reads files each time for W1, and for W2 also keeps columns decoded
//! that are read again, as it does by default. Two threads each, one after the other in every round, our own second
//! run beside the first as the noise.
//! Measured: from the request to the last byte of the answer; bare from the text to the last row.
//! Checked in the same run: every engine gives the same rows for every query.
//! Not measured: the first run of each, which warms caches; reading the answer at the client.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use shirabe_benches::{Outcome, median};

use super::bare::Bare;
use super::client::{Client, Question};
use super::ground::Ground;
use super::report::{self, Goal};
use super::rows;
use super::server::Server;

macro_rules! queries {
    ($($number:literal)*) => {
        [$((concat!("Q", $number), include_str!(concat!("../../sql/bench/tpch/q", $number, ".sql")))),*]
    };
}

pub(super) const QUERIES: [(&str, &str); 22] = queries!(
    "01" "02" "03" "04" "05" "06" "07" "08" "09" "10" "11" "12" "13" "14" "15" "16" "17" "18" "19" "20" "21" "22"
);

/// An engine over HTTP.
struct Engine {
    name: &'static str,
    client: Client,
    /// Of each query, the times of all rounds.
    times: Vec<Vec<Duration>>,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("TPC-H, 22 queries over HTTP as Arrow, cache off (W1, W2)");
    let bare = Bare::over(&ground.files).await?;
    let (_folder, warm) = ground.serve_from_memory().await?;
    let ours = ground.serve().await?;
    let native = ground.fastapi(true).await?;
    let parquet = ground.fastapi(false).await?;
    let mut engines =
        vec![engine("ours", ours.connect().await?), engine("ours again", ours.connect().await?)];
    engines.push(engine("ours, columns in memory", warm.connect().await?));
    for (name, peer) in [("DuckDB, own tables", &native), ("DuckDB, Parquet", &parquet)] {
        if let Some(peer) = peer {
            engines.push(engine(name, peer.connect().await?));
        }
    }
    let mut plain: Vec<Vec<Duration>> = Vec::new();
    for (name, sql) in QUERIES {
        let (_, expected) = bare.query(sql).await?;
        for engine in &mut engines {
            let (_, rows) = engine.ask(sql).await?;
            rows::same(&format!("{name} by {}", engine.name), &rows, &expected)?;
            engine.times.push(Vec::new());
        }
        settle(&mut engines[2], &warm, sql).await?;
        plain.push(Vec::new());
        for _ in 0..ground.rounds {
            let times = plain.last_mut().ok_or("no query")?;
            times.push(bare.query(sql).await?.0);
            for engine in &mut engines {
                let (time, _) = engine.ask(sql).await?;
                engine.times.last_mut().ok_or("no query")?.push(time);
            }
        }
    }
    print(&plain, &engines);
    Ok(())
}

fn engine(name: &'static str, client: Client) -> Engine {
    Engine { name, client, times: Vec::new() }
}

impl Engine {
    async fn ask(&mut self, sql: &str) -> Outcome<(Duration, Vec<RecordBatch>)> {
        let answer = self.client.query(Question::fresh(sql, "arrow")).await?;
        Ok((answer.elapsed, rows::of_ipc(&answer.body)?))
    }
}

fn print(bare: &[Vec<Duration>], engines: &[Engine]) {
    let middle = |times: &[Duration]| report::ms(median(times.to_vec(), Ord::cmp));
    let names: Vec<&str> = engines.iter().map(|engine| engine.name).collect();
    report::note(&format!("all engines gave the same rows; medians in ms of bare, {}", names.join(", ")));
    for (index, (name, _)) in QUERIES.iter().enumerate() {
        let times: Vec<String> = std::iter::once(&bare[index])
            .chain(engines.iter().map(|engine| &engine.times[index]))
            .map(|times| format!("{:>8.1}", middle(times)))
            .collect();
        report::note(&format!("{name} {}", times.join(" ")));
    }
    // The ratio of the whole is that of the 22 medians, so that no query weighs more than another.
    let ratio = |a: &[Vec<Duration>], b: &[Vec<Duration>]| {
        let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| middle(a) / middle(b)).collect();
        report::geomean(&ratios)
    };
    let ours = &engines[0].times;
    report::line("W1 ours / bare DataFusion, geometric mean", ratio(ours, bare), "", Goal::AtMost(1.03));
    report::plain("noise: ours again / ours, geometric mean", ratio(&engines[1].times, ours), "");
    let warm = &engines[2].times;
    report::plain("ours, columns in memory / ours from files, geometric mean", ratio(warm, ours), "");
    for peer in &engines[3..] {
        let what = format!("W2 ours / FastAPI + {}", peer.name);
        report::line(&what, ratio(warm, &peer.times), "", Goal::AtMost(1.0));
        report::plain(
            &format!("   the same from files / FastAPI + {}", peer.name),
            ratio(ours, &peer.times),
            "",
        );
    }
}

/// Asks until nothing more comes to be kept: columns are decoded beside the queries that want them.
async fn settle(engine: &mut Engine, server: &Server, sql: &str) -> Outcome<()> {
    const QUIET: Duration = Duration::from_secs(1);
    let (mut client, mut kept, mut since) = (server.connect().await?, 0.0, Instant::now());
    while since.elapsed() < QUIET {
        engine.ask(sql).await?;
        // It is shown once there is anything.
        let bytes = server.metric(&mut client, "shirabe_hot_column_bytes").await.unwrap_or(0.0);
        if bytes != std::mem::replace(&mut kept, bytes) {
            since = Instant::now();
        }
    }
    Ok(())
}
