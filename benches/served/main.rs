//! What people get from a running server: `shirabe serve` in a process of its own, asked over HTTP.
//!
//! Each part says at its top what it compares, what it measures, and what it leaves out:
//!
//! ```text
//! small     W6   requests a second of a small query, fresh and from the cache, beside FastAPI + DuckDB
//! tpch      W1   22 queries over HTTP, beside bare DataFusion; W2 beside FastAPI + DuckDB
//! export    W7   Arrow of 2 and 20 million rows; W8 JSON and CSV; W9 bytes on the wire
//! herd      W5   200 equal requests at once
//! replace   W13  1,000 replacements under load
//! cancel         from the wish to stop to the end, by kind of operator
//! overload       ten times more than there is room for
//! transform W11  statements beside DuckDB's COPY, Python beside plain pandas
//! s3             TPC-H, imports and publishes with files in S3, near and far, beside a folder; only when it is named,
//!                with `--s3 URL --dynamodb URL`
//! ```
//!
//! `./dev bench served` runs all of them, `./dev bench small` one. Options: `--scale 1` of TPC-H, `--rounds 3`,
//! `--seconds 5` for rates, `--data FOLDER`, `--peers FOLDER` with the Python of the peers (left out, they are
//! not measured), `--server PROGRAM`.
//!
//! Last numbers: see `docs/benchmarks.md`.

mod bare;
mod cancel;
mod client;
mod export;
mod ground;
mod herd;
mod logical;
mod overload;
mod replace;
mod report;
mod rows;
mod s3;
mod server;
mod small;
mod tpch;
mod transform;

use shirabe_benches::{Outcome, runtime};

use ground::Ground;

const PARTS: [&str; 9] =
    ["small", "tpch", "export", "herd", "replace", "cancel", "overload", "transform", "s3"];

fn main() -> Outcome<()> {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|argument| PARTS.contains(&argument.as_str())).collect();
    let is_asked = |part: &str| (asked.is_empty() && part != "s3") || asked.iter().any(|name| name == part);
    runtime()?.block_on(async {
        let ground = Ground::make().await?;
        let mut failed = Vec::new();
        // What one part cannot measure says nothing about the next.
        for part in PARTS.into_iter().filter(|part| is_asked(part)) {
            if let Err(cause) = measure(part, &ground).await {
                report::note(&format!("{part} failed: {cause}"));
                failed.push(part);
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
    })
}

async fn measure(part: &str, ground: &Ground) -> Outcome<()> {
    match part {
        "small" => small::measure(ground).await,
        "tpch" => tpch::measure(ground).await,
        "export" => export::measure(ground).await,
        "herd" => herd::measure(ground).await,
        "replace" => replace::measure(ground).await,
        "cancel" => cancel::measure(ground).await,
        "s3" => s3::measure(ground).await,
        "transform" => transform::measure(ground).await,
        _ => overload::measure(ground).await,
    }
}
