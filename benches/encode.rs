//! Rows to bytes, in every format.
//!
//! Compared: our encoders with each other, and NDJSON with arrow-json's own line writer, which ours is
//! built on: the price of exact integers, decimals and floats is the difference.
//! Measured: one thread, 800,000 rows of nine columns like a sales table (two integers, two texts, two
//! decimals, a float, a date, a time), in memory; bytes and rows a second, the best of five.
//! Not measured: making the rows, sending the bytes.
//! `cargo run --release -p shirabe-benches --bin encode` runs it.
//!
//! Last numbers: see `docs/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use futures::{StreamExt as _, TryStreamExt as _};
use shirabe::catalog::manifest::type_name;
use shirabe::encode::{Form, Format, Options, Rows, encode};
use shirabe_benches::Outcome;

const BATCHES: usize = 100;
const BATCH_ROWS: i64 = 8_000;
const RUNS: usize = 5;

fn main() -> Outcome<()> {
    let batch = sales()?;
    println!("{:>12} {:>10} {:>10} {:>14}", "format", "MB", "MB/s", "rows/s");
    for format in Format::ALL {
        let mut best = (Duration::MAX, 0);
        for _ in 0..RUNS {
            let started = Instant::now();
            let bytes = futures::executor::block_on(written(format, &batch))?;
            best = best.min((started.elapsed(), bytes));
        }
        print(format.name(), best);
    }
    let mut best = (Duration::MAX, 0);
    for _ in 0..RUNS {
        let started = Instant::now();
        let bytes = by_arrow_json(&batch)?;
        best = best.min((started.elapsed(), bytes));
    }
    print("arrow-json", best);
    Ok(())
}

fn by_arrow_json(batch: &RecordBatch) -> Outcome<usize> {
    let mut bytes = 0;
    for _ in 0..BATCHES {
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(batch)?;
        writer.finish()?;
        bytes += writer.into_inner().len();
    }
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn print(name: &str, (time, bytes): (Duration, usize)) {
    let (megabytes, seconds) = (bytes as f64 / 1e6, time.as_secs_f64());
    let rows = BATCHES as f64 * BATCH_ROWS as f64 / seconds;
    println!("{name:>12} {megabytes:>10.1} {:>10.0} {rows:>14.0}", megabytes / seconds);
}

/// Writes all batches, and returns the bytes of the body.
async fn written(format: Format, batch: &RecordBatch) -> Outcome<usize> {
    let rows = Rows {
        schema: batch.schema(),
        batches: futures::stream::iter(std::iter::repeat_n(batch.clone(), BATCHES).map(Ok)).boxed(),
        truncated: Box::new(|| false),
    };
    let options = Options { query_id: None, request_id: "req_1".to_owned(), type_name };
    let body = encode(Form::of(format), rows, options)?;
    Ok(body.try_fold(0, |sum, frame| async move { Ok(sum + frame.len()) }).await?)
}

fn sales() -> Outcome<RecordBatch> {
    let ids = 0..BATCH_ROWS;
    let day = |n: i64| i32::try_from(19_000 + n % 1500).unwrap_or(0);
    let cents = |n: i64| i128::from(n * 7919 % 1_000_000);
    let decimals = |factor: i64| {
        let values = ids.clone().map(|n| cents(n * factor));
        Decimal128Array::from_iter_values(values).with_precision_and_scale(15, 2)
    };
    let texts = |words: [&str; 3]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            ids.clone().map(|n| words[usize::try_from(n % 3).unwrap_or(0)]),
        ))
    };
    let floats = Float64Array::from_iter_values(ids.clone().map(|n| f64::from(day(n)) / 7.0));
    let times = ids.clone().map(|n| 1_700_000_000_000_000 + n * 1_000_003);
    Ok(RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())) as ArrayRef),
        ("line", Arc::new(Int32Array::from_iter_values(ids.clone().map(day)))),
        ("city", texts(["東京", "大阪", "Oslo"])),
        (
            "comment",
            texts(["carefully packed", "said \"fragile\", twice", "left at the back door, no answer"]),
        ),
        ("price", Arc::new(decimals(3)?)),
        ("tax", Arc::new(decimals(5)?)),
        ("weight", Arc::new(floats)),
        ("day", Arc::new(Date32Array::from_iter_values(ids.clone().map(day)))),
        ("sold_at", Arc::new(TimestampMicrosecondArray::from_iter_values(times))),
    ])?)
}
