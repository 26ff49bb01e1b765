//! TPC-H with its files in S3, on a server of this machine: what a bucket costs when the way to it is short.
//!
//! Compared: the same server over a folder; over S3; over S3 with what was read kept on the disk.
//! Measured: each of the 22 queries, the first time after a start (cold) and the median of the rounds after it
//! (warm), from the request to the last byte of the answer; requests to S3 and bytes from there, by the server's own
//! count of what went over the wire.
//! Checked in the same run: the answers are the same rows.
//! Not measured: the way to a real bucket, which costs some tens of milliseconds a request. Requests times that is
//! what to expect.
//!
//! `./dev bench s3` starts the S3 server, makes the bucket and says where they are by `--s3 URL`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use shirabe::dataset::import::ImportOptions;
use shirabe::storage::{ObjectsPlace, S3, S3Settings};
use shirabe_benches::{Outcome, Service, argument, median};

use super::client::{Client, Question};
use super::ground::{Ground, MEMORY_MB, TABLES};
use super::report;
use super::rows;
use super::server::Server;
use super::tpch::QUERIES;

const BUCKET: &str = "bi-datasets";
const KEYS: (&str, &str) = ("shirabe", "shirabe-secret");

/// One query on one server.
struct Run {
    cold: Duration,
    warm: Duration,
    /// Requests and bytes, cold and warm.
    cold_asked: (f64, f64),
    warm_asked: (f64, f64),
    rows: Vec<RecordBatch>,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    let url = argument("--s3").ok_or("`--s3 URL` is needed; `./dev bench s3` has one")?;
    report::title("TPC-H in S3 on this machine, cache of results off");
    let folder = tempfile::tempdir()?;
    import(ground, folder.path(), &url).await?;
    let memory = MEMORY_MB.to_string();
    let in_s3 = [
        ("QUERY_MEMORY_MB", memory.as_str()),
        // Columns that are kept in memory are asked of nobody.
        ("QUERY_COLUMNS_MB", "0"),
        ("OBJECT_STORE", "s3"),
        ("S3_ENDPOINT", &url),
        ("S3_BUCKET_DATASETS", BUCKET),
        ("S3_ACCESS_KEY", KEYS.0),
        ("S3_SECRET_KEY", KEYS.1),
    ];
    let plain = all(ground.serve().await?, ground.rounds).await?;
    let bucket = all(Server::shirabe(folder.path(), &in_s3).await?, ground.rounds).await?;
    let keeping = [&in_s3[..], &[("S3_CACHE_MB", "4096")]].concat();
    let kept = all(Server::shirabe(folder.path(), &keeping).await?, ground.rounds).await?;
    print(&plain, &bucket, &kept)
}

/// The tables again, into a bucket, with the metadata in `folder`.
async fn import(ground: &Ground, folder: &Path, url: &str) -> Outcome<()> {
    let s3 = S3::new(S3Settings {
        endpoint: Some(url.to_owned()),
        region: "ap-northeast-1".to_owned(),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned().into())),
    });
    let place = ObjectsPlace::Bucket { s3, name: BUCKET.to_owned(), kept_in: None };
    let objects = place.open(|objects| objects)?;
    objects.check().await?;
    let service = Service::with_objects(folder, Arc::clone(objects.store()))?;
    for table in TABLES {
        let file = ground.source.join(format!("{table}.parquet"));
        service.import(&file, table, ImportOptions::default()).await?;
    }
    Ok(())
}

async fn all(server: Server, rounds: usize) -> Outcome<Vec<Run>> {
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
    Ok(runs)
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

fn print(plain: &[Run], bucket: &[Run], kept: &[Run]) -> Outcome<()> {
    report::note(
        "ms: folder cold, warm | S3 cold, warm | S3 kept warm | GETs cold, warm | MB cold, warm | GETs kept warm",
    );
    for (index, (name, _)) in QUERIES.iter().enumerate() {
        let (folder, s3, kept) = (&plain[index], &bucket[index], &kept[index]);
        for (what, run) in [("S3", s3), ("S3, kept", kept)] {
            rows::same(&format!("{name} in {what}"), &run.rows, &folder.rows)?;
        }
        let ms = report::ms;
        report::note(&format!(
            "{name} {:>8.1} {:>8.1} | {:>8.1} {:>8.1} | {:>8.1} | {:>5.0} {:>5.0} | {:>7.1} {:>7.1} | {:>5.0}",
            ms(folder.cold),
            ms(folder.warm),
            ms(s3.cold),
            ms(s3.warm),
            ms(kept.warm),
            s3.cold_asked.0,
            s3.warm_asked.0,
            s3.cold_asked.1 / 1e6,
            s3.warm_asked.1 / 1e6,
            kept.warm_asked.0,
        ));
    }
    let ratio = |over: &[Run], time: fn(&Run) -> Duration| {
        let ratios: Vec<f64> = over
            .iter()
            .zip(plain)
            .map(|(s3, folder)| report::ms(time(s3)) / report::ms(time(folder)))
            .collect();
        report::geomean(&ratios)
    };
    report::plain("S3 / folder, warm, geometric mean", ratio(bucket, |run| run.warm), "");
    report::plain("S3 / folder, cold, geometric mean", ratio(bucket, |run| run.cold), "");
    report::plain(
        "S3 with what was read kept / folder, warm, geometric mean",
        ratio(kept, |run| run.warm),
        "",
    );
    Ok(())
}
