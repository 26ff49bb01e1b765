//! How long a query goes on after nobody wants it any more.
//!
//! Compared: kinds of operators that keep the processors busy for seconds: scan, aggregate, sort, join, window.
//! Measured: from the wish to the moment at which `shirabe_queries_running` is 0 again, asked every 2 ms over another
//! connection. The wish is a connection that is closed, or in every second round
//! `DELETE /api/queries/{id}`; it comes 20 to 400 ms after the query began.
//! Checked in the same run: the query ran until then, and a query after it answers.
//! Not measured: queries that wait for their turn.

use std::time::{Duration, Instant};

use serde_json::Value;
use shirabe::telemetry::QUERIES_RUNNING;
use shirabe_benches::Outcome;

use super::client::{Client, Question};
use super::ground::Ground;
use super::report::{self, Goal};
use super::server::Server;

/// Each takes far longer than the latest wish comes.
const KINDS: [(&str, &str); 5] = [
    ("scan", include_str!("../../sql/bench/cancel/scan.sql")),
    ("aggregate", include_str!("../../sql/bench/cancel/aggregate.sql")),
    ("sort", include_str!("../../sql/bench/cancel/sort.sql")),
    ("join", include_str!("../../sql/bench/cancel/join.sql")),
    ("window", include_str!("../../sql/bench/cancel/window.sql")),
];
const ROUNDS: u32 = 20;
const LIVE: &str = "/api/queries?state=live";
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("from the wish to stop to the end of the query");
    let server = ground.serve().await?;
    let mut watcher = server.connect().await?;
    // The number of running queries is there once there was one.
    watcher.query(Question::fresh("select 1", "json")).await?;
    for (kind, sql) in KINDS {
        let (mut times, mut early) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let delay = Duration::from_millis(20 + u64::from(round) * 20);
            let by_list = round % 2 == 1;
            match stopped(&server, &mut watcher, sql, delay, by_list).await? {
                Some(time) => times.push(time),
                None => early += 1,
            }
        }
        watcher.query(Question::fresh("select 1", "json")).await?;
        if early > 0 {
            report::note(&format!("{kind}: {early} of {ROUNDS} ended before they were stopped"));
        }
        if times.is_empty() {
            return Err(
                format!("no {kind} ran long enough to be stopped: ask with a larger `--scale`").into()
            );
        }
        let [p50, p99] = [0.5, 0.99].map(|share| report::ms(report::percentile(&mut times, share)));
        report::note(&format!("{kind}: p50 {p50:.1} ms of {}", times.len()));
        report::line(&format!("cancel of a {kind}, p99"), p99, "ms", Goal::AtMost(250.0));
    }
    Ok(())
}

/// The time from the wish to the end; `None` when the query had ended before.
async fn stopped(
    server: &Server,
    watcher: &mut Client,
    sql: &str,
    delay: Duration,
    by_list: bool,
) -> Outcome<Option<Duration>> {
    let mut asker = server.connect().await?;
    let mut asking = Box::pin(asker.query(Question::fresh(sql, "arrow")));
    if tokio::time::timeout(delay, &mut asking).await.is_ok() {
        return Ok(None);
    }
    // It has begun when it is counted.
    while running(server, watcher).await? < 1.0 {
        if tokio::time::timeout(Duration::from_millis(1), &mut asking).await.is_ok() {
            return Ok(None);
        }
    }
    let wished = Instant::now();
    if by_list {
        let id = running_id(watcher, sql).await?;
        watcher.delete(&format!("/api/queries/{id}")).await?.success()?;
    } else {
        drop(asking);
        drop(asker);
    }
    while running(server, watcher).await? > 0.0 {
        // Asking without pause would keep one of the two processors from the query that is to end.
        tokio::time::sleep(LOOK_AGAIN).await;
        if wished.elapsed() > LONGEST_WAIT {
            return Err(format!("it still runs after {LONGEST_WAIT:?}: {sql}").into());
        }
    }
    Ok(Some(wished.elapsed()))
}

async fn running(server: &Server, watcher: &mut Client) -> Outcome<f64> {
    server.metric(watcher, QUERIES_RUNNING).await
}

/// The id of the query that runs `sql`.
async fn running_id(watcher: &mut Client, sql: &str) -> Outcome<String> {
    let list: Value = serde_json::from_slice(&watcher.get(LIVE).await?.body)?;
    let queries = list["data"].as_array().ok_or("no list of queries")?;
    let ours = queries.iter().find(|query| query["statement"] == sql).ok_or("it is not in the list")?;
    Ok(ours["query_id"].as_str().ok_or("a query without an id")?.to_owned())
}
