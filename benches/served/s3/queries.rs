//! TPC-H with its files in S3.
//!
//! Compared: the same server over a folder; over S3; over S3 with what was read kept on the disk; both with a bucket
//! that is far; and, as it is set by default, with columns kept in memory.
//! Measured: each of the 22 queries, the first time after a start (cold) and the median of the rounds after it
//! (warm), from the request to the last byte of the answer; requests to S3 and bytes from there, by the server's own
//! count of what went over the wire.
//! Also what a second request for what does not come is worth: over a way on which one answer in fifty takes a second,
//! with and without hedged reads.

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use shirabe::dataset::import::ImportOptions;
use shirabe_benches::{Outcome, Service, median};

use super::super::client::{Client, Question};
use super::super::ground::{Ground, MEMORY_MB, TABLES};
use super::super::server::Server;
use super::super::tpch::QUERIES;
use super::super::{report, rows};
use super::{Place, bucket, settings};

/// One query on one server.
struct Run {
    cold: Duration,
    warm: Duration,
    /// Requests and bytes, cold and warm.
    cold_asked: (f64, f64),
    warm_asked: (f64, f64),
    rows: Vec<RecordBatch>,
}

/// All queries on one server.
struct Column {
    name: &'static str,
    runs: Vec<Run>,
}

pub(super) async fn measure(ground: &Ground, place: &Place) -> Outcome<()> {
    report::title("TPC-H in S3 on this machine, cache of results off");
    let folder = tempfile::tempdir()?;
    import(ground, folder.path(), &place.near).await?;
    let disk = [("S3_CACHE_MB", "4096".to_owned())];
    let unhedged = [("S3_HEDGED_READS", "false".to_owned())];
    let ask = async |name, url: &str, more: &[(&'static str, String)]| {
        // Columns that are kept in memory are asked of nobody.
        let files = [("QUERY_MEMORY_MB", MEMORY_MB.to_string()), ("QUERY_COLUMNS_MB", "0".to_owned())];
        let all = [&files[..], &settings(url), more].concat();
        let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::shirabe(folder.path(), &all).await?;
        column(name, server, ground.rounds).await
    };
    let plain = column("folder", ground.serve().await?, ground.rounds).await?;
    let over = [
        ask("S3", &place.near, &[]).await?,
        ask("S3, kept on disk", &place.near, &disk).await?,
        ask("far S3", &place.far.url, &[]).await?,
        ask("far S3, kept on disk", &place.far.url, &disk).await?,
    ];
    compare(&plain, &over)?;
    // As it is set by default, but for as much memory as bare DataFusion has.
    let columns = [("QUERY_COLUMNS_MB", MEMORY_MB.to_string())];
    let (_copy, server) = ground.serve_from_memory().await?;
    let plain = column("folder, columns in memory", server, ground.rounds).await?;
    let over = [ask("far S3, columns in memory", &place.far.url, &columns).await?];
    compare(&plain, &over)?;
    let unsteady = &place.unsteady.url;
    let without = ask("far and unsteady S3, not hedged", unsteady, &unhedged).await?;
    compare(&without, &[ask("far and unsteady S3, hedged", unsteady, &[]).await?])
}

/// The tables again, into a bucket, with the metadata in `folder`.
async fn import(ground: &Ground, folder: &Path, url: &str) -> Outcome<()> {
    let service = Service::with_objects(folder, bucket(url).await?)?;
    for table in TABLES {
        let file = ground.source.join(format!("{table}.parquet"));
        service.import(&file, table, ImportOptions::default()).await?;
    }
    Ok(())
}

async fn column(name: &'static str, server: Server, rounds: usize) -> Outcome<Column> {
    let mut client = server.connect().await?;
    let mut runs = Vec::new();
    for (_, sql) in QUERIES {
        let mut before = asked(&mut client).await?;
        let mut since = |now: (f64, f64)| {
            let was = std::mem::replace(&mut before, now);
            (now.0 - was.0, now.1 - was.1)
        };
        let first = client.query(Question::fresh(sql, "arrow")).await?;
        let cold_asked = since(asked(&mut client).await?);
        let mut times = Vec::new();
        let mut warm_asked = (0.0, 0.0);
        for _ in 0..rounds {
            times.push(client.query(Question::fresh(sql, "arrow")).await?.elapsed);
            warm_asked = since(asked(&mut client).await?);
        }
        let warm = median(times, Ord::cmp);
        let rows = rows::of_ipc(&first.body)?;
        runs.push(Run { cold: first.elapsed, warm, cold_asked, warm_asked, rows });
    }
    Ok(Column { name, runs })
}

/// Requests for bytes of objects so far, and the bytes that came.
async fn asked(client: &mut Client) -> Outcome<(f64, f64)> {
    let text = String::from_utf8(client.get("/metrics").await?.body)?;
    // Not there before the first one.
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(Ok(0.0), |value| value.trim().parse::<f64>())
    };
    let requests = value("shirabe_object_requests_total{operation=\"get\"}")?;
    Ok((requests, value("shirabe_object_bytes_total{direction=\"received\"}")?))
}

/// Prints what each query took, and by how much each of `over` is slower than `plain`.
fn compare(plain: &Column, over: &[Column]) -> Outcome<()> {
    let all = || std::iter::once(plain).chain(over);
    for column in all() {
        report::note(&format!("{}: ms cold, warm | GETs cold, warm | MB cold, warm", column.name));
        for ((name, _), (run, expected)) in QUERIES.iter().zip(column.runs.iter().zip(&plain.runs)) {
            rows::same(&format!("{name} in {}", column.name), &run.rows, &expected.rows)?;
            report::note(&format!(
                "{name} {:>8.1} {:>8.1} | {:>5.0} {:>5.0} | {:>7.1} {:>7.1}",
                report::ms(run.cold),
                report::ms(run.warm),
                run.cold_asked.0,
                run.warm_asked.0,
                run.cold_asked.1 / 1e6,
                run.warm_asked.1 / 1e6,
            ));
        }
    }
    for column in over {
        for (when, time) in [("cold", (|run| run.cold) as fn(&Run) -> Duration), ("warm", |run| run.warm)] {
            let each = column.runs.iter().zip(&plain.runs);
            let ratios: Vec<_> =
                each.map(|(run, plain)| report::ms(time(run)) / report::ms(time(plain))).collect();
            let what = format!("{} / {}, {when}, geometric mean", column.name, plain.name);
            report::plain(&what, report::geomean(&ratios), "");
        }
    }
    Ok(())
}
