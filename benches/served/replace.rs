//! W13: a dataset that is replaced a thousand times while it is read.
//!
//! Compared: what readers see with what was published before they asked.
//! Measured: answers that are older than the last version whose publication was acknowledged before the
//! request was sent (none may be); the time of a replacement, from the upload to the acknowledgement, while
//! four connections read as fast as they can, with the cache.
//! Not measured: replacing large datasets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use shirabe::tasks;
use shirabe_benches::{Outcome, argument};

use super::client::{Client, Question};
use super::ground::Ground;
use super::report::{self, Goal};

const READERS: usize = 4;
const STATEMENT: &str = "select max(n) as n, count(*) as rows from replaced";
const BOUNDARY: &str = "shirabe-bench-form";

/// What the writer tells the readers.
#[derive(Debug, Default)]
struct Published {
    /// The last number whose publication was acknowledged.
    number: AtomicU64,
    is_over: AtomicBool,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    let replacements: u64 = argument("--replacements").map_or(Ok(1_000), |text| text.parse())?;
    report::title(&format!("{replacements} replacements under load (W13)"));
    let server = ground.serve().await?;
    let mut writer = server.connect().await?;
    let made = writer.post("/api/datasets", &content_type(), form(0)).await?;
    let id = made["data"]["dataset_id"].as_str().ok_or("no dataset")?.to_owned();
    let published = Arc::new(Published::default());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(tasks::spawn(read(server.connect().await?, Arc::clone(&published))));
    }
    let mut times = Vec::new();
    for number in 1..=replacements {
        let started = Instant::now();
        writer.post(&format!("/api/datasets/{id}/reimport"), &content_type(), form(number)).await?;
        times.push(started.elapsed());
        published.number.store(number, Ordering::SeqCst);
    }
    published.is_over.store(true, Ordering::SeqCst);
    let (mut answers, mut stale) = (0_u32, 0_u32);
    for reader in readers {
        let (read, old) = reader.await??;
        answers += read;
        stale += old;
    }
    let p50 = report::ms(report::percentile(&mut times, 0.5));
    let total: Duration = times.iter().sum();
    report::note(&format!(
        "{answers} answers during {replacements} replacements in {:.1} s, one takes {p50:.1} ms (p50)",
        total.as_secs_f64()
    ));
    report::line("W13 stale answers", f64::from(stale), "", Goal::AtMost(0.0));
    Ok(())
}

/// Reads until all is published; how many answers there were, and how many were older than they may be.
async fn read(mut client: Client, published: Arc<Published>) -> Outcome<(u32, u32)> {
    let (mut answers, mut stale) = (0, 0);
    while !published.is_over.load(Ordering::SeqCst) {
        let at_least = published.number.load(Ordering::SeqCst);
        let question = Question { sql: STATEMENT, format: "json", use_cache: true };
        let body: Value = serde_json::from_slice(&client.query(question).await?.body)?;
        let row = &body["data"]["rows"][0];
        let (number, rows) = (row[0].as_u64().ok_or("no number")?, row[1].as_u64().ok_or("no count")?);
        // A version has as many rows as its number says, and one more: halves of two would show.
        if rows != number % 10 + 1 {
            return Err(format!("{rows} rows of version {number}: two versions in one answer").into());
        }
        answers += 1;
        stale += u32::from(number < at_least);
    }
    Ok((answers, stale))
}

pub(super) fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

/// The dataset as of `number`, which stands in each row.
pub(super) fn form(number: u64) -> Vec<u8> {
    let rows = format!("{number}\n").repeat(usize::try_from(number % 10 + 1).unwrap_or(1));
    format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"replaced.csv\"\r\n\
         content-type: text/csv\r\n\r\nn\n{rows}\r\n--{BOUNDARY}--\r\n"
    )
    .into_bytes()
}
