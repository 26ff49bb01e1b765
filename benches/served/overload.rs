//! Ten times more requests than there is room for.
//!
//! Compared: answers a second when requests arrive at ten times the rate that the server can serve, with that
//! rate, found just before by four connections that ask one after the other.
//! Measured: successes that end within the time, how long a refusal takes, and the server's memory before and
//! at its most. Requests arrive by the clock, whether earlier ones have ended or not, each on a connection of its
//! own; those that still wait at the end are dropped.
//! Checked in the same run: what is refused is refused by 429 or 503, and afterwards the server answers.
//! Not measured: what becomes of requests after the time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use shirabe::tasks;
use shirabe_benches::Outcome;
use tokio_util::task::AbortOnDropHandle;

use super::client::{Client, Question, whole};
use super::ground::Ground;
use super::report::{self, Goal};
use super::server::Server;
use super::tpch::QUERIES;

const CONNECTIONS: usize = 4;
const TIMES: f64 = 10.0;
/// More are not opened: the client's own limit on open files comes then.
const OPEN_MAX: usize = 900;

/// How the requests of an overload ended.
#[derive(Debug, Default)]
struct Ends {
    answered: u32,
    refusals: Vec<Duration>,
    failures: Vec<String>,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("ten times more than there is room for");
    let server = ground.serve().await?;
    let time = Duration::from_secs(ground.seconds.max(10));
    let peak = peak(&server, time).await?;
    let before = server.memory()?;
    let (ends, most) = overload(&server, peak * TIMES, time).await?;
    let goodput = f64::from(ends.answered) / time.as_secs_f64();
    let mut refusals = ends.refusals;
    report::note(&format!(
        "peak {peak:.1} a second; at {:.0} a second {goodput:.1} answered, {} refused, {} failed otherwise",
        peak * TIMES,
        refusals.len(),
        ends.failures.len()
    ));
    if let Some(failure) = ends.failures.first() {
        report::note(&format!("a failure: {failure}"));
    }
    report::line("goodput at ten times the peak / peak", goodput / peak, "", Goal::AtLeast(0.8));
    report::line(
        "a refusal, p99",
        report::ms(report::percentile(&mut refusals, 0.99)),
        "ms",
        Goal::AtMost(5.0),
    );
    report::line(
        "growth of memory in the overload",
        report::mb(most.saturating_sub(before)),
        "MB",
        Goal::AtMost(256.0),
    );
    server.connect().await?.query(Question::fresh("select 1", "json")).await?;
    Ok(())
}

fn question() -> Question<'static> {
    // A scan and a small aggregate: neither answered from statistics, nor slow.
    Question::fresh(QUERIES[5].1, "json")
}

/// Answers a second without waiting in line.
async fn peak(server: &Server, time: Duration) -> Outcome<f64> {
    let started = Instant::now();
    let answered = try_join_all((0..CONNECTIONS).map(|_| async {
        let mut client = server.connect().await?;
        let mut answered = 0;
        while started.elapsed() < time {
            client.query(question()).await?;
            answered += 1;
        }
        Outcome::Ok(answered)
    }));
    Ok(f64::from(answered.await?.into_iter().sum::<u32>()) / started.elapsed().as_secs_f64())
}

/// `rate` requests a second for as long as `time`; how they ended, and the server's memory at its most.
async fn overload(server: &Server, rate: f64, time: Duration) -> Outcome<(Ends, u64)> {
    let ends = Arc::new(Mutex::new(Ends::default()));
    let started = Instant::now();
    let mut open = Vec::new();
    let mut most = 0;
    for number in 0_u32.. {
        let due = Duration::from_secs_f64(f64::from(number) / rate);
        if due > time {
            break;
        }
        tokio::time::sleep_until((started + due).into()).await;
        open.retain(|request: &AbortOnDropHandle<()>| !request.is_finished());
        if open.len() >= OPEN_MAX {
            continue;
        }
        open.push(tasks::spawn(one(server.connect().await?, Arc::clone(&ends))));
        most = most.max(server.memory()?);
    }
    drop(open);
    let ends = std::mem::take(&mut *ends.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((ends, most))
}

async fn one(mut client: Client, ends: Arc<Mutex<Ends>>) {
    let started = Instant::now();
    let answer = async { whole(client.ask(question()).await?, started).await };
    let answer = answer.await;
    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
    match answer {
        Ok(answer) if answer.status.is_success() => ends.answered += 1,
        Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => ends.refusals.push(answer.elapsed),
        Ok(answer) => {
            ends.failures.push(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)))
        }
        Err(failure) => ends.failures.push(failure.to_string()),
    }
}
