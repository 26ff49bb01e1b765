//! W6: many small queries.
//!
//! Compared: `select * from nation` (25 rows, as JSON) by 8 connections, each of which asks again as soon as it
//! has its answer: our server without its cache, FastAPI over DuckDB, our server from its cache; in turns, our
//! own second turn beside the first as the noise. Then one connection alone, from the cache, on an idle server
//! and beside two connections that run TPC-H Q18 without end.
//! Measured: answers a second, and from the request to the last byte, at a Rust client in this process, which
//! shares the processors with the server.
//! Checked in the same run: every answer has 25 rows; those from the cache say so.
//! Not measured: opening connections.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::Value;
use shirabe::tasks;
use shirabe_benches::{Outcome, median};

use super::client::{Answer, Client, Question};
use super::ground::Ground;
use super::report::{self, Goal};
use super::server::Server;
use super::tpch::QUERIES;

const CONNECTIONS: usize = 8;
const STATEMENT: &str = "select * from nation";
const ROWS: usize = 25;
/// Answers from the cache, one after the other, unless the time is over before.
const CACHED_ANSWERS: usize = 2_000;
const HEAVY_CONNECTIONS: usize = 2;

/// What one turn came to.
#[derive(Debug, Clone)]
struct Turn {
    per_second: f64,
    times: Vec<Duration>,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("small queries, 8 connections (W6)");
    let ours = ground.serve().await?;
    let peer = ground.fastapi(true).await?;
    let mut turns: Vec<(&str, Vec<Turn>)> = vec![
        ("ours", vec![]),
        ("ours again", vec![]),
        ("FastAPI + DuckDB", vec![]),
        ("ours, cached", vec![]),
    ];
    let time = Duration::from_secs(ground.seconds);
    for _ in 0..ground.rounds {
        for (name, turns) in &mut turns {
            let cached = name.ends_with("cached");
            let server = if name.starts_with("ours") { Some(&ours) } else { peer.as_ref() };
            let Some(server) = server else { continue };
            turns.push(turn(server, cached, time).await?);
        }
    }
    let rate = |name: &str| {
        let turns = turns.iter().find(|(known, turns)| *known == name && !turns.is_empty())?;
        Some(median(turns.1.iter().map(|turn| turn.per_second).collect(), f64::total_cmp))
    };
    for (name, turns) in turns.iter().filter(|(_, turns)| !turns.is_empty()) {
        let mut times: Vec<Duration> = turns.iter().flat_map(|turn| turn.times.clone()).collect();
        let [p50, p99] = [0.5, 0.99].map(|share| report::ms(report::percentile(&mut times, share)));
        report::note(&format!(
            "{name}: {:.0} a second, p50 {p50:.2} ms, p99 {p99:.2} ms",
            rate(name).unwrap_or(0.0)
        ));
    }
    let fresh = rate("ours").ok_or("no round")?;
    report::line("W6 requests a second, cache off", fresh, "/s", Goal::AtLeast(3_000.0));
    report::plain("noise: ours again / ours", rate("ours again").unwrap_or(f64::NAN) / fresh, "");
    if let Some(theirs) = rate("FastAPI + DuckDB") {
        report::line("W6 ours / FastAPI + DuckDB", fresh / theirs, "", Goal::AtLeast(5.0));
    }
    cached(&ours, 2 * time).await
}

/// All connections ask for as long as `time`.
async fn turn(server: &Server, use_cache: bool, time: Duration) -> Outcome<Turn> {
    let started = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| async move {
        let mut client = server.connect().await?;
        let question = Question { sql: STATEMENT, format: "json", use_cache };
        let mut times = Vec::new();
        while started.elapsed() < time {
            let answer = client.query(question).await?;
            // One in a hundred is read: reading all would measure the reading.
            if times.len() % 100 == 0 {
                check(&answer)?;
            }
            times.push(answer.elapsed);
        }
        Outcome::Ok(times)
    });
    let times: Vec<Duration> = try_join_all(clients).await?.into_iter().flatten().collect();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Turn { per_second, times })
}

fn check(answer: &Answer) -> Outcome<()> {
    let body: Value = serde_json::from_slice(&answer.body)?;
    // The peer has no envelope.
    let rows = body.pointer("/data/rows").or(body.get("rows")).and_then(Value::as_array);
    match rows.map(Vec::len) {
        Some(ROWS) => Ok(()),
        other => Err(format!("expected {ROWS} rows, got {other:?}").into()),
    }
}

/// One connection, alone and beside heavy queries.
async fn cached(server: &Server, time: Duration) -> Outcome<()> {
    let mut client = server.connect().await?;
    let mut idle = ask_cached(&mut client, time).await?;
    report::line(
        "W6 from the cache, p50",
        report::ms(report::percentile(&mut idle, 0.5)),
        "ms",
        Goal::AtMost(0.3),
    );
    let (_, heavy) = QUERIES[17];
    let mut busy = Vec::new();
    for _ in 0..HEAVY_CONNECTIONS {
        let mut client = server.connect().await?;
        busy.push(tasks::spawn(async move {
            while client.query(Question::fresh(heavy, "arrow")).await.is_ok() {}
        }));
    }
    let mut beside = ask_cached(&mut client, time).await?;
    let ended = busy.iter().any(|task| task.is_finished());
    drop(busy);
    if ended {
        return Err("the heavy queries failed: nothing ran beside the cached ones".into());
    }
    let p99 = report::ms(report::percentile(&mut beside, 0.99));
    report::line("W6 from the cache beside heavy queries, p99", p99, "ms", Goal::AtMost(3.0));
    Ok(())
}

async fn ask_cached(client: &mut Client, time: Duration) -> Outcome<Vec<Duration>> {
    let question = Question { sql: STATEMENT, format: "json", use_cache: true };
    client.query(question).await?;
    let started = Instant::now();
    let mut times = Vec::with_capacity(CACHED_ANSWERS);
    let mut hits = 0;
    while times.len() < CACHED_ANSWERS && started.elapsed() < time {
        let answer = client.query(question).await?;
        hits += usize::from(answer.header("x-cache") == "hit");
        times.push(answer.elapsed);
    }
    if hits < times.len() {
        report::note(&format!("only {hits} of {} answers say that they are from the cache", times.len()));
    }
    Ok(times)
}
