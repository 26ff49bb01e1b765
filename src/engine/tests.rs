//! Statements through the whole stage: resolved for a caller, run, and read to the end.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, Int64Array, RecordBatch, StringArray};
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::prelude::{col, lit};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::testing::{self, Fixture, NOW, joined as many, spec, text, trips};
use super::*;
use crate::catalog::record::{CacheUse, QueryKind};
use crate::error::{Code, Error, Place};
use crate::ids::{QueryId, UserId};

/// A look by somebody.
fn about() -> About {
    About {
        query_id: QueryId::random(),
        user_id: UserId::random(),
        kind: QueryKind::Preview,
        statement: String::new(),
        tables: Vec::new(),
        asked_at: NOW,
        cache: CacheUse::Bypass,
    }
}

async fn answer(fixture: &Fixture, statement: &str) -> Result<Vec<String>> {
    fixture.answer(statement).await
}

#[tokio::test]
async fn statements_are_answered() {
    let fixture = Fixture::new().await;
    check(&fixture, "select 1 + 1", &["2"]).await;
    check(&fixture, "select count(*), min(id), max(day) from trips", &["10|0|2024-01-10"]).await;
    check(
        &fixture,
        "select city, sum(id) from trips group by city order by city nulls first",
        &["NULL|13", "Lima|10", "Oslo|8", "大阪|6", "東京|8"],
    )
    .await;
    check(&fixture, "select id from trips where city = '東京' order by id", &["0", "8"]).await;
    check(&fixture, "select id from trips where day > date '2024-01-08' order by id", &["8", "9"]).await;
    check(&fixture, "select id from trips order by day desc limit 2", &["9", "8"]).await;
    check(&fixture, "with t as (select * from trips where id < 2) select count(*) from t", &["2"]).await;
    check(&fixture, "select count(*) from trips a join trips b on a.id = b.id + 1", &["9"]).await;
    check(&fixture, "select * from range(1, 3)", &["1", "2"]).await;
    check(&fixture, "select id from trips where id > 100", &[]).await;

    async fn check(fixture: &Fixture, statement: &str, expected: &[&str]) {
        let got = answer(fixture, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(got, expected, "{statement}");
    }
}

#[tokio::test]
async fn a_spec_can_be_kept_and_run_again() {
    let fixture = Fixture::new().await;
    let spec = spec(&fixture, "select now(), current_date(), count(*) from trips");
    let kept: QuerySpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(kept, spec);
    let first = text(fixture.engine.run(spec).await.unwrap()).await.unwrap();
    let again = text(fixture.engine.run(kept).await.unwrap()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(first, ["2024-05-01T09:00:00+09:00|2024-05-01|10"], "now() is the spec's");
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let fixture = Fixture::new().await;
    let at = |line, column| Some(Place { line, column });
    check(&fixture, "selec 1", Code::InvalidSql, "expected", at(1, 1)).await;
    check(&fixture, "select *\nfrom trips\nwhere", Code::InvalidSql, "expected", None).await;
    check(&fixture, "select 'a", Code::InvalidSql, "unterminated", at(1, 8)).await;
    check(&fixture, "select id,\n  ciyt from trips", Code::UnknownName, "did you mean `city`?", at(2, 3))
        .await;
    check(
        &fixture,
        "select trips.nothing from trips",
        Code::UnknownName,
        "no column `trips.nothing`",
        at(1, 8),
    )
    .await;
    check(&fixture, "select coutn(*) from trips", Code::UnknownName, "did you mean `count`?", at(1, 8)).await;
    check(&fixture, "select * from nowhere", Code::UnknownName, "no table `nowhere`", None).await;
    check(
        &fixture,
        "select id from trips a join trips b on true",
        Code::InvalidSql,
        "several tables",
        at(1, 8),
    )
    .await;
    check(&fixture, "select city, count(*) from trips", Code::InvalidSql, "group by", None).await;
    check(&fixture, "select cast(city as int) from trips where id = 0", Code::BadData, "東京", None).await;
    check(&fixture, "select cast('x' as int)", Code::BadData, "'x'", None).await;
    check(&fixture, "select 1 / (id - id) from trips", Code::BadData, "division by zero", None).await;
    check(&fixture, "select date '2024-13-01'", Code::BadData, "2024-13-01", None).await;
    check(&fixture, "select sum(city) from trips", Code::InvalidSql, "sum", None).await;
    check(&fixture, "select a.b.c.d.e from trips", Code::NotSupported, "compound", None).await;
    check(&fixture, "select 1 as a into t", Code::NotSupported, "", None).await;

    async fn check(fixture: &Fixture, statement: &str, code: Code, message: &str, expected: Option<Place>) {
        let error = answer(fixture, statement).await.expect_err(statement);
        assert_eq!(error.code(), code, "{statement}: {error:?}");
        assert!(error.to_string().to_lowercase().contains(&message.to_lowercase()), "{statement}: {error}");
        assert!(!error.to_string().contains("datasets/"), "{statement}: {error}");
        let place = match &error {
            Error::InvalidSql { place, .. } | Error::UnknownName { place, .. } => *place,
            _ => None,
        };
        if expected.is_some() {
            assert_eq!(place, expected, "{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn files_that_cannot_match_are_not_opened() {
    let fixture = Fixture::new().await;
    let second = fixture.manifest.files[1].key.clone();
    fixture.objects.delete(&Path::from(second.as_str())).await.unwrap();
    assert_eq!(
        answer(&fixture, "select count(*) from trips").await.unwrap(),
        ["10"],
        "counts come from the manifest"
    );
    assert_eq!(answer(&fixture, "select sum(id) from trips where id < 5").await.unwrap(), ["10"]);
    assert_eq!(
        answer(&fixture, "select sum(id) from trips where day = date '2024-01-02'").await.unwrap(),
        ["1"]
    );
    let error = answer(&fixture, "select sum(id) from trips").await.unwrap_err();
    assert_eq!(error.to_string(), format!("stored file `{second}` is damaged: it is missing"));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let fixture = Fixture::new().await;
    let name = fixture.manifest.files[0].key.clone();
    let key = Path::from(name.as_str());
    let whole = fixture.objects.get(&key).await.unwrap().bytes().await.unwrap();
    let changed = |place: usize| {
        let mut bytes = whole.to_vec();
        bytes[place] ^= 1;
        bytes
    };
    let size = whole.len();
    check(&fixture, &name, changed(10), &format!("the checksum of its bytes 0 to {} is wrong", size - 1))
        .await;
    check(&fixture, &name, changed(size - 1), "the checksum of its bytes").await;
    check(&fixture, &name, vec![b'x'; size], "the checksum of its bytes").await;
    check(
        &fixture,
        &name,
        whole[..size / 2].to_vec(),
        &format!("it has {} bytes, expected {size}", size / 2),
    )
    .await;
    check(&fixture, &name, Vec::new(), &format!("it has 0 bytes, expected {size}")).await;

    async fn check(fixture: &Fixture, name: &str, bytes: Vec<u8>, reason: &str) {
        fixture.objects.put(&Path::from(name), bytes.into()).await.unwrap();
        // An engine of its own, which has read no footer yet.
        let engine = testing::engine(&fixture.folder, &fixture.objects, 64 << 20);
        for statement in
            ["select sum(id) from trips", "select * from trips where city = 'Oslo' order by fare"]
        {
            let answer = async { text(engine.run(spec(fixture, statement)).await?).await };
            let error = answer.await.unwrap_err();
            assert_eq!(error.code(), Code::StorageDamaged, "{error:?}");
            assert!(
                error.to_string().starts_with(&format!("stored file `{name}` is damaged: {reason}")),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn bounds_of_floats_never_hide_a_nan() {
    let column = arrow::array::Float64Array::from(vec![1.0, f64::NAN]);
    let rows = RecordBatch::try_from_iter([("x", Arc::new(column) as _)]).unwrap();
    let mut fixture = Fixture::with_files(vec![rows], None).await;
    fixture.manifest.files[0].stats[0].max = Some("1".to_owned());
    fixture.manifest.files[0].stats[0].min = Some("1".to_owned());
    assert_eq!(answer(&fixture, "select count(*) from trips where x > 2").await.unwrap(), ["1"]);
    assert_eq!(answer(&fixture, "select max(x) from trips").await.unwrap(), ["NaN"]);
}

#[tokio::test]
async fn the_order_of_the_files_is_used() {
    let fixture = Fixture::new().await;
    let plan = answer(&fixture, "explain select * from trips order by day").await.unwrap().join("\n");
    assert!(!plan.contains("SortExec"), "{plan}");
    let unsorted = Fixture::with_files(vec![trips(0..5), trips(5..10)], None).await;
    let plan = answer(&unsorted, "explain select * from trips order by day").await.unwrap().join("\n");
    assert!(plan.contains("SortExec"), "{plan}");
    let overlapping = Fixture::with_files(vec![trips(0..8), trips(2..9), trips(4..12)], Some("day")).await;
    let days = answer(&overlapping, "select day from trips order by day").await.unwrap();
    assert!(days.is_sorted() && days.len() == 23, "{days:?}");
}

#[tokio::test]
async fn a_row_limit_truncates_and_says_so() {
    let fixture = Fixture::new().await;
    check(&fixture, 3, 3, true).await;
    check(&fixture, 9, 9, true).await;
    check(&fixture, 10, 10, false).await;
    check(&fixture, 11, 10, false).await;
    check(&fixture, 0, 0, true).await;

    async fn check(fixture: &Fixture, limit: u64, rows: usize, truncated: bool) {
        let mut spec = spec(fixture, "select * from trips order by id");
        spec.limits.rows = Some(limit);
        let stream = fixture.engine.run(spec).await.unwrap().start().await.unwrap();
        let progress = stream.progress();
        assert_eq!(text(stream).await.unwrap().len(), rows, "limit {limit}");
        assert_eq!(progress.truncated(), truncated, "limit {limit}");
        assert_eq!(progress.rows(), rows as u64, "limit {limit}");
    }
}

/// On one thread: an operator that does not give way would keep the test from ever seeing the deadline.
#[tokio::test]
async fn a_query_ends_at_its_deadline() {
    let fixture = Fixture::new().await;
    for statement in [
        "select count(*) from range(1, 100000000000) a",
        "select count(*) from range(1, 1000000) a cross join range(1, 1000000) b",
        "select count(*) from range(1, 1000000) a join range(1, 1000000) b on a.value < b.value",
        "select sum(a.value) from range(1, 1000000) a join range(1, 1000000) b on a.value % 2 = b.value % 2",
    ] {
        let mut spec = spec(&fixture, statement);
        spec.limits.deadline_ms = 50;
        let started = std::time::Instant::now();
        let error = match fixture.engine.run(spec).await {
            Ok(stream) => text(stream).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), "the query took longer than 50 ms and was stopped", "{statement}");
        assert!(started.elapsed() < Duration::from_secs(20), "{statement}: {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_stream_gives_its_memory_back() {
    let fixture = Fixture::new().await;
    let spec =
        spec(&fixture, "select value, count(*) from range(1, 100000000) group by value order by value");
    let stream = fixture.engine.run(spec).await.unwrap();
    let pool = fixture.engine.memory_used();
    let mut stream = Box::pin(stream);
    // Runs until the aggregate holds something, then goes away.
    let used = futures::future::poll_fn(|cx| {
        let ended = stream.poll_next_unpin(cx).is_ready();
        let used = fixture.engine.memory_used();
        if used > pool || ended {
            return std::task::Poll::Ready(used);
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
    assert!(used > 0, "the query held memory");
    drop(stream);
    let gone = async {
        while fixture.engine.memory_used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("all memory is given back");
}

#[tokio::test]
async fn a_query_runs_until_its_end_whatever_the_end() {
    let fixture = Fixture::new().await;
    let engine = &fixture.engine;
    let run = async |statement: &str| engine.run(spec(&fixture, statement)).await;
    let (read, mut other) = (run("select * from trips").await.unwrap(), run("select 1").await.unwrap());
    assert_eq!(engine.running(), 2);
    text(read).await.unwrap();
    assert_eq!(engine.running(), 1, "read to its end and dropped");
    while other.next().await.is_some() {}
    assert_eq!(engine.running(), 1, "read to its end, and its last rows still in somebody's hands");
    drop(other);
    assert_eq!(engine.running(), 0, "read to its end and dropped");
    let failing = run("select cast(city as bigint) from trips").await.unwrap();
    assert_eq!(engine.running(), 1);
    text(failing).await.unwrap_err();
    assert_eq!(engine.running(), 0, "failed");
    run("select nothing from trips").await.unwrap_err();
    assert_eq!(engine.running(), 0, "failed before it began");
    let mut cut = spec(&fixture, "select * from trips");
    cut.limits.rows = Some(1);
    let mut cut = engine.run(cut).await.unwrap();
    cut.next().await.unwrap().unwrap();
    drop(cut);
    assert_eq!(engine.running(), 0, "cut at its limit and dropped");
    let dropped = engine.scan(Arc::new(fixture.manifest.clone()), None, None, about()).await.unwrap();
    assert_eq!(engine.running(), 1);
    drop(dropped);
    assert_eq!(engine.running(), 0, "dropped");
}

#[tokio::test]
async fn text_leaves_with_its_own_bytes_only() {
    // 2,000 of 200,000 long texts: with views, every buffer they point into would travel along.
    let n = 200_000_i64;
    let texts = (0..n).map(|n| format!("{:0>60}", n * 7919 % 200_000)).collect::<Vec<_>>();
    let rows = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(texts)) as _)]).unwrap();
    let fixture = Fixture::with_files(vec![rows], None).await;
    let stream =
        fixture.engine.run(spec(&fixture, "select t from trips order by t limit 2000")).await.unwrap();
    let mut ipc = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), stream.schema()).unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    for batch in &batches {
        ipc.write(batch).unwrap();
    }
    let bytes = ipc.into_inner().unwrap().len();
    assert!(bytes < 250_000, "{bytes} bytes for 2,000 rows of 60");
}

#[tokio::test]
async fn explain_works_and_shows_no_other_files() {
    let fixture = Fixture::new().await;
    let plan = answer(&fixture, "explain select id from trips where id = 7").await.unwrap().join("\n");
    assert!(plan.contains("part-0001") && !plan.contains("part-0000"), "{plan}");
}

#[tokio::test]
async fn scans_and_frames_need_no_sql() {
    let fixture = Fixture::new().await;
    let manifest = Arc::new(fixture.manifest.clone());
    let columns = ["day".to_owned(), "id".to_owned()];
    let stream = fixture.engine.scan(Arc::clone(&manifest), Some(&columns), Some(2), about()).await.unwrap();
    // Files are read side by side, so a scan has no order: which two come first is nobody's promise.
    let all: Vec<String> = (0..10).map(|n| format!("2024-01-{:02}|{n}", n + 1)).collect();
    let some = text(stream).await.unwrap();
    assert!(some.len() == 2 && some.iter().all(|row| all.contains(row)), "{some:?}");
    let stream = fixture.engine.scan(Arc::clone(&manifest), Some(&columns), None, about()).await.unwrap();
    let mut rows = text(stream).await.unwrap();
    rows.sort_unstable();
    assert_eq!(rows, all);
    let wrong = ["x".to_owned()];
    let error = fixture.engine.scan(Arc::clone(&manifest), Some(&wrong), None, about()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no column `x`");

    let frame = fixture.engine.table(manifest).unwrap();
    let frame = frame.filter(col("id").lt(lit(8))).unwrap();
    let frame = frame.aggregate(vec![col("city")], vec![count(lit(1)).alias("n"), max(col("id"))]).unwrap();
    let frame = frame.sort(vec![col("n").sort(false, false), col("city").sort(true, false)]).unwrap();
    let lines = text(fixture.engine.stream(frame, Some(2), about()).await.unwrap()).await.unwrap();
    assert_eq!(lines, ["Lima|2|7", "Oslo|2|6"]);
}

#[tokio::test]
async fn a_dataset_without_rows_is_an_empty_table() {
    let fixture = Fixture::new().await;
    let mut spec = spec(&fixture, "select count(*), max(id) from trips");
    let mut manifest = fixture.manifest.clone();
    manifest.files.clear();
    manifest.row_count = 0;
    spec.tables[0].rows = TableRows::Version(Arc::new(manifest));
    assert_eq!(text(fixture.engine.run(spec).await.unwrap()).await.unwrap(), ["0|NULL"]);
}

/// Sorts 200 batches of 8,192 rows of about 100 bytes, some of them with no key.
fn sort_160_mb(engine: &Engine) -> Batches {
    let batch = |n: i64| {
        let keys = (0..8192).map(|row| (row * 7919 + n * 104_729) % 1_000_003);
        let keys = Int64Array::from_iter(keys.map(|key| (key % 1000 != 0).then_some(key)));
        let texts = StringArray::from_iter_values((0..8192).map(|row| format!("{row:0>90}")));
        RecordBatch::try_from_iter([("k", Arc::new(keys) as _), ("t", Arc::new(texts) as _)]).unwrap()
    };
    let input = futures::stream::iter((0..200).map(move |n| Ok(batch(n)))).boxed();
    engine.sort(batch(0).schema(), input, &["k".to_owned()]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorts_more_than_fits_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    let engine = testing::engine(&folder, &objects, 32 << 20);
    let sorted = sort_160_mb(&engine);
    let (mut rows, mut last, mut nulls_began) = (0, i64::MIN, false);
    let mut sorted = std::pin::pin!(sorted);
    while let Some(batch) = sorted.try_next().await.unwrap() {
        rows += batch.num_rows();
        for key in batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap() {
            match key {
                Some(key) => {
                    assert!(key >= last && !nulls_began);
                    last = key;
                }
                None => nulls_began = true,
            }
        }
    }
    assert_eq!(rows, 200 * 8192);
    assert!(nulls_began);
}

#[tokio::test]
async fn a_sort_fails_with_what_its_input_failed_with() {
    let fixture = Fixture::new().await;
    let input = futures::stream::iter([Ok(trips(0..3)), Err(Error::BadData("line 4".to_owned()))]).boxed();
    let mut sorted = fixture.engine.sort(trips(0..1).schema(), input, &["id".to_owned()]).unwrap();
    let error = sorted.try_next().await.unwrap_err();
    assert!(matches!(&error, Error::BadData(message) if message == "line 4"), "{error:?}");
    let input = futures::stream::empty().boxed();
    let error = fixture.engine.sort(trips(0..1).schema(), input, &["x".to_owned()]).err().unwrap();
    assert_eq!(error.to_string(), "there is no column `x` to sort by");
}

/// Each as large as the guard lets through.
#[tokio::test]
async fn the_largest_statements_that_are_accepted_run() {
    let fixture = Fixture::new().await;
    check(&fixture, &format!("select {}", many(250, "+", |_| "1".to_owned())), "250").await;
    check(&fixture, &format!("select length({})", many(250, "||", |_| "'a'".to_owned())), "250").await;
    let ors = many(250, " or ", |n| format!("id = {n}"));
    check(&fixture, &format!("select count(*) from trips where {ors}"), "10").await;
    let list = many(8_000, ",", |n| n.to_string());
    check(&fixture, &format!("select count(*) from trips where id in ({list})"), "10").await;
    let unions = many(250, " union all ", |n| format!("select {n} as n"));
    check(&fixture, &format!("select sum(n) from ({unions})"), "31125").await;
    let columns = many(2_000, ",", |n| format!("{n} as c{n}"));
    check(&fixture, &format!("select c1999 from (select {columns})"), "1999").await;
    let joins = many(20, " join ", |n| match n {
        0 => "trips t0".to_owned(),
        n => format!("trips t{n} on t0.id = t{n}.id"),
    });
    check(&fixture, &format!("select count(*) from {joins}"), "10").await;

    async fn check(fixture: &Fixture, statement: &str, expected: &str) {
        let started = &statement[..statement.len().min(60)];
        let got = answer(fixture, statement).await.unwrap_or_else(|error| panic!("{started}: {error}"));
        assert_eq!(got, [expected], "{started}");
    }
}

#[tokio::test]
async fn a_sort_past_the_spill_space_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    let mut config = EngineConfig::new(folder.path().to_owned());
    config.memory_bytes_max = 32 << 20;
    config.spill_bytes_max = 1 << 20;
    let engine = Engine::new(config, objects, testing::stores(&folder).history).unwrap();
    let sorted = sort_160_mb(&engine);
    let error = sorted.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err();
    assert_eq!(error.code(), Code::OverLimit, "{error:?}");
    assert!(error.to_string().contains("spill space"), "{error}");
}
