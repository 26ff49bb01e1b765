//! Statements at random against the guard, the planner and the operators: each ends in rows or in an error with a
//! name, in time, and never in the end of the process.
//!
//! `./dev test` runs the seeds from 0; `./dev fuzz` goes on from another for as long as it is told to. `proptest`
//! reads how many and from where (`PROPTEST_CASES`, `PROPTEST_RNG_SEED`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use proptest::test_runner::{Config, RngSeed};

use super::SLACK;
use super::grammar::Grammar;
use crate::engine::testing::{self, Fixture, text};
use crate::engine::{functions, statement};
use crate::error::Code;

const DEADLINE: Duration = Duration::from_millis(1_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_ends_in_rows_or_a_named_error() {
    let config = Config::default();
    let first = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => 0,
    };
    let names: Vec<String> = functions::catalogue().into_iter().map(|function| function.name).collect();
    let fixture = Fixture::with_files(vec![every_type()], None).await;
    // Whatever ends the process, the statement is there to read.
    let last = std::env::temp_dir().join("shirabe-fuzz-last.sql");
    for seed in (0..u64::from(config.cases)).map(|number| first.wrapping_add(number)) {
        let statement = Grammar::new(seed, names.clone()).statement();
        let shown: String = statement.chars().take(2_000).collect();
        std::fs::write(&last, format!("-- seed {seed}\n{statement}\n")).unwrap();
        assert_eq!(
            verdict(&statement),
            verdict(&statement),
            "seed {seed}: the guard changes its mind: {shown}"
        );
        let mut spec = testing::spec(&fixture, &statement);
        spec.limits.deadline_ms = DEADLINE.as_millis() as u64;
        spec.limits.rows = Some(1_000);
        let started = Instant::now();
        let outcome = async { text(fixture.engine.run(spec).await?).await }.await;
        let took = started.elapsed();
        assert!(took < DEADLINE + SLACK, "seed {seed}: took {took:?}: {shown}");
        if let Err(error) = outcome {
            assert_ne!(error.code(), Code::InternalError, "seed {seed}: {error:?}: {shown}");
            assert!(!error.to_string().is_empty(), "seed {seed}: {shown}");
        }
    }
}

fn verdict(statement: &str) -> Option<String> {
    statement::parse(statement).err().map(|error| error.to_string())
}

/// Rows of every type that an import makes, with NULL and the ends of each.
fn every_type() -> RecordBatch {
    let columns: [(&str, ArrayRef); 11] = [
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), None, Some(0)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None, Some(7)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(3)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), Some(u64::MAX), None, Some(1)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), None, Some(-0.0)]))),
        (
            "dec",
            Arc::new(
                Decimal128Array::from(vec![Some(i128::from(i64::MAX)), Some(-1), None, Some(250)])
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
        ),
        ("d", Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), None, Some(19_723)]))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(0)])),
        ),
        ("s", Arc::new(StringArray::from(vec![Some(""), Some("東京"), None, Some("a1")]))),
        ("bin", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None, Some(b"a")]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}
