//! Answers from memory are those from files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};

use super::column::Builder;
use super::{HotColumns, State};
use crate::catalog::record::QueryRecord;
use crate::engine::testing::{Fixture, spec, text};

/// Rows of each of two files: several chunks, the last of which is not full.
const ROWS: i64 = 20_000;

/// Twelve columns, sorted by `day`.
fn wide(range: std::ops::Range<i64>) -> RecordBatch {
    let numbers =
        |of: fn(i64) -> i64| -> ArrayRef { Arc::new(range.clone().map(of).collect::<Int64Array>()) };
    let texts =
        range.clone().map(|n| (n % 7 != 0).then(|| format!("a text that is longer than a view {}", n % 900)));
    let decimals = range.clone().map(|n| (n % 11 != 0).then_some(i128::from(n * 100 - 7)));
    let floats = range.clone().map(|n| if n % 1000 == 0 { f64::NAN } else { n as f64 / 3.0 });
    RecordBatch::try_from_iter([
        ("day", Arc::new(Date32Array::from_iter_values(range.clone().map(|n| (n / 100) as i32))) as ArrayRef),
        ("id", numbers(|n| n)),
        ("name", Arc::new(texts.collect::<StringArray>())),
        ("amount", Arc::new(decimals.collect::<Decimal128Array>().with_precision_and_scale(18, 2).unwrap())),
        ("ratio", Arc::new(floats.collect::<Float64Array>())),
        ("odd", Arc::new(range.clone().map(|n| Some(n % 2 == 1)).collect::<BooleanArray>())),
        ("a", numbers(|n| n % 10)),
        ("b", numbers(|n| n % 100)),
        ("c", numbers(|n| n % 1000)),
        ("d", numbers(|n| -n)),
        ("e", numbers(|n| n * 3)),
        ("f", numbers(|n| n ^ 5)),
    ])
    .unwrap()
}

async fn fixture(hot_bytes_max: usize) -> Fixture {
    let files = vec![wide(0..ROWS), wide(ROWS..2 * ROWS)];
    Fixture::build(files, Some("day"), |config| config.hot_bytes_max = hot_bytes_max).await
}

/// Runs a statement, and tells its rows and what it did for them.
async fn ran(fixture: &Fixture, statement: &str) -> (Vec<String>, QueryRecord) {
    let spec = spec(fixture, statement);
    let id = spec.query_id.clone();
    let rows = text(fixture.engine.run(spec).await.unwrap()).await.unwrap();
    (rows, fixture.engine.query(&crate::auth::Principal::operator(), &id).await.unwrap())
}

/// Asks until the answer comes from memory alone.
async fn warm(fixture: &Fixture, statement: &str) -> (Vec<String>, QueryRecord) {
    let started = Instant::now();
    loop {
        let (rows, told) = ran(fixture, statement).await;
        if told.work.files_from_memory > 0 && told.work.scanned_bytes == 0 {
            return (rows, told);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never from memory: {statement}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_memory_are_those_from_files() {
    let (cold, hot) = (fixture(0).await, fixture(64 << 20).await);
    for statement in [
        "select count(id), sum(amount), min(name), max(name), count(ratio), sum(b) from trips",
        "select odd, a, count(*), avg(amount), sum(e) from trips group by odd, a order by odd, a",
        "select * from trips where id = 12345",
        "select * from trips where name = 'a text that is longer than a view 17' order by id",
        "select * from trips where name is null and day > date '1970-06-01' order by id desc",
        "select id + 1, upper(name), day from trips where amount between 100 and 200.5 order by 1",
        "select id, name from trips order by amount desc nulls last, id limit 10",
        "select * from trips order by day desc, id limit 5",
        "select day, id from trips order by day, id limit 7 offset 20000",
        "select count(*) from trips where ratio > 10 or name like '%9'",
        "select t.id, u.c from trips t join trips u on t.id = u.e where u.c < 20 and t.b = 3 order by 1, 2",
        "select day, id, row_number() over (partition by day order by id desc) as n from trips where a = 7 order by 1, 2",
        "select count(*) from (select id from trips where id >= 0 limit 12000) t",
        "select max(id) from trips where day = date '1970-03-01'",
        "select sum(d) from trips where id in (1, 8191, 8192, 8193, 19999, 20000, 39999, 40000)",
        "select -d as e, name from trips where f < 100 order by e",
    ] {
        let expected = cold.answer(statement).await.unwrap();
        let (rows, _) = warm(&hot, statement).await;
        assert_eq!(rows, expected, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_a_filter_rules_out_are_not_looked_at() {
    let hot = fixture(64 << 20).await;
    let (rows, told) = warm(&hot, "select min(id), max(id) from trips where day = date '1970-01-11'").await;
    assert_eq!(rows, ["1000|1099"]);
    assert_eq!(told.work.scanned_rows, 8192, "{told:?}");
    // The other file is ruled out before.
    assert_eq!((told.work.files_total, told.work.files_read), (2, 1), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_fit_is_read_beside_one_that_does() {
    // One column of one file is 160 kB.
    let some = fixture(200 << 10).await;
    let started = Instant::now();
    loop {
        let (rows, told) = ran(&some, "select sum(id), count(id) from trips").await;
        assert_eq!(rows, ["799980000|40000"]);
        if told.work.files_from_memory > 0 {
            assert!(told.work.scanned_bytes > 0, "{told:?}");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never from memory: {told:?}");
    }
    assert!(some.engine.caches().columns.bytes <= 200 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_tell_what_the_files_would_cost() {
    let hot = fixture(64 << 20).await;
    let statement = "select sum(id) from trips where day > date '1970-01-11'";
    let before = hot.engine.explain(spec(&hot, statement)).await.unwrap();
    warm(&hot, statement).await;
    let after = hot.engine.explain(spec(&hot, statement)).await.unwrap();
    assert_eq!(after.scans, before.scans);
    assert!(before.scans.iter().all(|scan| scan.bytes.read > 0), "{before:?}");
    assert!(after.physical_plan.contains("in_memory="), "{}", after.physical_plan);
}

#[test]
fn what_was_not_asked_for_since_makes_room() {
    let (hot, _waiting) = HotColumns::new(100_000);
    keep(&hot, "a", 0, 0);
    keep(&hot, "b", 0, 0);
    check(&hot, &["a", "b"]);
    // Asked for, and then again, while nobody asked for `a`.
    hot.lock().now = 5;
    assert!(hot.lock().take("b", &[0]).is_ok());
    keep(&hot, "c", 3, 3);
    check(&hot, &["b", "c"]);
    // Everything here was asked for since: the newcomer has to wait.
    keep(&hot, "d", 5, 2);
    check(&hot, &["b", "c"]);

    fn keep(hot: &HotColumns, file: &str, now: u64, asked_at: u64) {
        let later = hot.lock().now.max(now);
        hot.lock().now = later;
        let mut column = Builder::default();
        column.begin_group(4);
        column.push(Arc::new(Int64Array::from_iter_values(0..5_000))).unwrap();
        hot.keep(file, 0, column.finish().unwrap(), asked_at);
    }

    #[track_caller]
    fn check(hot: &HotColumns, expected: &[&str]) {
        let State { files, fill, .. } = &*hot.lock();
        let mut here: Vec<_> = files.keys().map(String::as_str).collect();
        here.sort_unstable();
        assert_eq!(here, expected);
        assert_eq!(fill.entries, expected.len() as u64);
        let bytes: usize = files.values().flatten().map(|(_, entry)| entry.column.bytes()).sum();
        assert_eq!(fill.bytes, bytes as u64);
    }
}
