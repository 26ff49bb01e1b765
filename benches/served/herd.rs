//! W5: two hundred equal requests at once, whose answer is not in the cache yet.
//!
//! Compared: the 95th of the 200 waits with one run of the same statement alone, both the median of the rounds;
//! each run is of a statement of its own (a number in it differs), so that none is in the cache.
//! Measured: from the request to the last byte, at 200 connections that were open before; and the answers that
//! say `miss` in `X-Cache`: each of those is one execution.
//! Checked in the same run: all 200 answers are equal.
//! Not measured: opening connections.

use std::time::Duration;

use futures::future::try_join_all;
use shirabe_benches::{Outcome, median};

use super::client::{Client, Question};
use super::ground::Ground;
use super::report::{self, Goal};

const CALLERS: usize = 200;

/// A statement that differs from all others by `number`, and whose answer does not.
fn statement(number: usize) -> String {
    include_str!("../../sql/bench/herd.sql").replace("NUMBER", &number.to_string())
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    report::title("200 equal requests at once (W5)");
    let server = ground.serve().await?;
    let mut callers = try_join_all((0..CALLERS).map(|_| server.connect())).await?;
    let (mut alone, mut herds, mut executions) = (Vec::new(), Vec::new(), 0);
    // The first run warms footers and pages.
    for round in 0..=ground.rounds {
        let (one, many) = (statement(2 * round + 1), statement(2 * round + 2));
        let single = callers[0].query(cacheable(&one)).await?.elapsed;
        let (herd, misses) = stampede(&mut callers, &many).await?;
        if round > 0 {
            alone.push(single);
            herds.push(herd);
            executions = executions.max(misses);
        }
    }
    let (alone, herd) = (median(alone, Ord::cmp), median(herds, Ord::cmp));
    report::note(&format!("alone {:.1} ms, p95 of the herd {:.1} ms", report::ms(alone), report::ms(herd)));
    #[expect(clippy::cast_precision_loss, reason = "at most 200")]
    report::line("W5 executions of 200 equal requests", executions as f64, "", Goal::AtMost(1.0));
    report::line("W5 p95 / one run alone", herd.div_duration_f64(alone), "", Goal::AtMost(1.2));
    Ok(())
}

fn cacheable(sql: &str) -> Question<'_> {
    Question { sql, format: "json", use_cache: true }
}

/// The 95th of the waits, and how many answers were computed.
async fn stampede(callers: &mut [Client], sql: &str) -> Outcome<(Duration, usize)> {
    let answers = try_join_all(callers.iter_mut().map(|caller| caller.query(cacheable(sql)))).await?;
    let rows = |body: &[u8]| -> Outcome<serde_json::Value> {
        let body: serde_json::Value = serde_json::from_slice(body)?;
        Ok(body["data"]["rows"].clone())
    };
    let first = rows(&answers[0].body)?;
    for answer in &answers {
        if rows(&answer.body)? != first {
            return Err("two of the 200 answers differ".into());
        }
    }
    // A server without a cache says nothing, and computes each.
    let computed = answers.iter().filter(|answer| matches!(answer.header("x-cache"), "" | "miss" | "bypass"));
    let computed = computed.count();
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.elapsed).collect();
    Ok((report::percentile(&mut times, 0.95), computed))
}
