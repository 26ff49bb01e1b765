//! Two services on the same tables and the same bucket: how soon one answers what was published on the other.
//!
//! Compared: answers of the other replica with what was acknowledged before they were asked for.
//! Measured: from the acknowledgement of a publish to the first answer of the other replica, asked again and again, that
//! has it; the publish itself; answers to what was asked after the acknowledgement that do not have it (none may be).
//! The bucket is the near one: what is far costs each request its delay, and nothing more.
//! Not measured: replicas on machines of their own, and DynamoDB itself.

use std::time::{Duration, Instant};

use serde_json::Value;
use shirabe::ids::random_digits;
use shirabe::tasks;
use shirabe_benches::{Outcome, argument};

use super::super::client::{Client, Question};
use super::super::replace::{content_type, form};
use super::super::report::{self, Goal};
use super::super::server::Server;
use super::{Place, settings};

const PUBLISHES: u64 = 20;
const STATEMENT: &str = "select max(n) as n from replaced";
/// Longer than any of them should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the other replica answered.
struct Seen {
    /// When the first answer with the new version had come.
    at: Instant,
    /// When the last question was sent that was answered with the old one.
    stale_asked_at: Option<Instant>,
}

pub(super) async fn measure(place: &Place) -> Outcome<()> {
    let dynamodb = argument("--dynamodb").ok_or("`--dynamodb URL` is needed; `./dev bench s3` has one")?;
    report::title(&format!("{PUBLISHES} publishes, seen on the other replica"));
    let mut all = settings(&place.near);
    all.extend([
        ("METADATA_STORE", "dynamodb".to_owned()),
        ("DYNAMODB_ENDPOINT", dynamodb),
        // A region of its own is a database of its own.
        ("DYNAMODB_REGION", format!("bench-{}", &random_digits()[..12])),
        ("JWT_SECRET_KEY", random_digits()),
    ]);
    let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::run(&["init-tables"], &all)?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let here = Server::shirabe(folders[0].path(), &all).await?;
    let there = Server::shirabe(folders[1].path(), &all).await?;
    let mut writer = here.connect().await?;
    let made = writer.post("/api/datasets", &content_type(), form(0)).await?;
    let id = made["data"]["dataset_id"].as_str().ok_or("no dataset")?.to_owned();
    let (mut publishing, mut seeing, mut stale) = (Vec::new(), Vec::new(), 0_u32);
    for number in 1..=PUBLISHES {
        let seen = tasks::spawn(first_answer(there.connect().await?, number));
        let started = Instant::now();
        writer.post(&format!("/api/datasets/{id}/reimport"), &content_type(), form(number)).await?;
        let acknowledged = Instant::now();
        publishing.push(acknowledged - started);
        let seen = seen.await??;
        // An answer may come before the acknowledgement: then nobody had to wait.
        seeing.push(seen.at.saturating_duration_since(acknowledged));
        stale += u32::from(seen.stale_asked_at.is_some_and(|asked| asked > acknowledged));
    }
    let most = |times: &[Duration]| report::ms(times.iter().max().copied().unwrap_or_default());
    report::plain("a publish, p50", report::ms(report::percentile(&mut publishing, 0.5)), "ms");
    report::plain("a publish, longest", most(&publishing), "ms");
    report::plain("seen on the other replica, p50", report::ms(report::percentile(&mut seeing, 0.5)), "ms");
    report::plain("seen on the other replica, longest", most(&seeing), "ms");
    report::line("answers that were older than acknowledged", f64::from(stale), "", Goal::AtMost(0.0));
    Ok(())
}

/// Asks until the version `number` is in the answer.
async fn first_answer(mut client: Client, number: u64) -> Outcome<Seen> {
    let (started, mut stale_asked_at) = (Instant::now(), None);
    while started.elapsed() < PATIENCE {
        let asked = Instant::now();
        let question = Question { sql: STATEMENT, format: "json", use_cache: true };
        let body: Value = serde_json::from_slice(&client.query(question).await?.body)?;
        match body["data"]["rows"][0][0].as_u64() {
            Some(found) if found == number => return Ok(Seen { at: Instant::now(), stale_asked_at }),
            Some(_) => stale_asked_at = Some(asked),
            None => return Err(format!("no number in {body}").into()),
        }
    }
    Err(format!("version {number} was not seen in {PATIENCE:?}").into())
}
