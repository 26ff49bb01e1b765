//! A worker answers as this process does.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use futures::StreamExt as _;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use shirabe::engine::{Parameter, ParameterType};
use shirabe::error::{Code, Result};

use super::{Ground, text};

/// Plain and aggregated, all kinds of values, nested ones, none, and wrong in every way that is found at its own time.
const STATEMENTS: &[&str] = &[
    "select 1",
    "select * from cities order by id",
    "select id, city from cities where id > 9",
    "select count(*), sum(n), min(t), max(t) from numbers",
    "select r, count(*) as c, avg(n) from numbers group by r order by r limit 50",
    "select a.t, b.city from numbers a join cities b on a.n = b.id order by a.n",
    "select n, row_number() over (partition by r order by n desc) from numbers order by n limit 30",
    "select t from numbers order by t desc, n limit 3000",
    "select null, true, 1.5, cast(1.25 as decimal(10, 2)), date '2024-02-29', timestamp '2024-02-29 12:00:00'",
    "select interval '1 day', arrow_cast(1, 'UInt8'), x'00ff', [1, null, 3], struct(1 as a, 'x' as b), map {'k': 1}",
    "select arrow_cast('x', 'Dictionary(Int32, Utf8)'), arrow_cast('y', 'Utf8View'), arrow_cast('z', 'LargeUtf8')",
    "explain select n from numbers where n > 5",
    "select now() = now(), 東京 from (select 1 as 東京)",
    "select nothing from cities",
    "select\n  no_such_function(id) from cities",
    "select cast(city as int) from cities",
    "select id / 0 from cities",
    "select id from cities a, cities b",
    "select 1 as a, 1 as a",
    "select (select id from cities)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_errors_are_those_of_this_process() {
    let ground = Ground::new().await;
    for sql in STATEMENTS {
        let spec = ground.spec(sql).await;
        let both = [ground.here.run(spec.clone()).await, ground.isolated.run(spec).await];
        let [here, there] = both.map(|run| async { text(run?).await });
        let (here, there): (Result<String>, Result<String>) = (here.await, there.await);
        match (here, there) {
            (Ok(here), Ok(there)) => assert_eq!(here, there, "{sql}"),
            (here, there) => assert_eq!(format!("{here:?}"), format!("{there:?}"), "{sql}"),
        }
    }
    assert_eq!(ground.workers.report().lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_parameters_reach_the_worker() {
    let ground = Ground::new().await;
    let sql = "select $name as name, id from cities where id in ($ids) and $none is null order by id";
    let mut spec = ground.spec("select 1").await;
    spec.tables = ground.spec("select id from cities").await.tables;
    spec.statement = sql.to_owned();
    spec.parameters = [
        ("name".to_owned(), Parameter::one("name", ParameterType::String, Some("O'Hare; 東京")).unwrap()),
        (
            "ids".to_owned(),
            Parameter::many("ids", Some(ParameterType::Int64), &[Some("1"), Some("3"), None]).unwrap(),
        ),
        ("none".to_owned(), Parameter::null()),
    ]
    .into();
    let here = text(ground.here.run(spec.clone()).await.unwrap()).await.unwrap();
    assert!(here.contains("O'Hare; 東京") && here.contains("2 rows"), "{here}");
    assert_eq!(text(ground.isolated.run(spec).await.unwrap()).await.unwrap(), here);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_cut_at_the_same_place() {
    let ground = Ground::new().await;
    for limit in [0, 1, 96, 97, 98] {
        let mut spec = ground.spec("select distinct r from numbers order by r").await;
        spec.limits.rows = Some(limit);
        let here = text(ground.here.run(spec.clone()).await.unwrap()).await.unwrap();
        let there = text(ground.isolated.run(spec).await.unwrap()).await.unwrap();
        assert_eq!(here, there, "{limit}");
        assert!(there.contains(&format!("truncated: {}", limit < 97)), "{there}");
    }
    ground.quiet().await;
    assert_eq!(ground.ask("select 1").await.unwrap(), ground.ask("select 1").await.unwrap());
    assert_eq!(ground.workers.report().lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_larger_than_all_areas_comes_whole() {
    let ground = Ground::new().await;
    let sql = "select a.n, a.t from numbers a, (select n from numbers where n < 60) b";
    let mut rows = ground.isolated.run(ground.spec(sql).await).await.unwrap();
    let (mut count, mut sum) = (0, 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap();
        count += batch.num_rows();
        sum += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
    }
    assert_eq!((count, sum), (1_200_000, 60 * 19_999 * 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sort_beyond_memory_spills() {
    let sql = "select count(*), max(p) from (select row_number() over (order by a.t || ' and ' || b.t, a.n) as p \
               from numbers a, (select t from numbers where n < 25) b)";
    let ground = Ground::new().await;
    let mut spec = ground.spec(sql).await;
    // A debug build on a busy machine takes its time.
    spec.limits.deadline_ms = 600_000;
    let here = text(ground.here.run(spec.clone()).await.unwrap()).await.unwrap();
    assert_eq!(text(ground.isolated.run(spec).await.unwrap()).await.unwrap(), here);
    let narrow = Ground::with(|settings| settings.spill_bytes_max = 1 << 20, |objects| objects).await;
    let error = narrow.fail(sql).await;
    assert_eq!(error.code(), Code::OverLimit, "{error:?}");
    assert!(error.to_string().contains("more spill space than it may use: 1048576 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_are_no_files_are_read_too() {
    let folder = Ground::new().await;
    let memory = Arc::new(InMemory::new());
    // A copy of the folder: no object there can be passed as a file.
    let spec = folder.spec("select * from cities order by id").await;
    let source = folder.app.path().join("objects");
    let key = Ground::first_file(&spec);
    let bytes = std::fs::read(source.join(&key)).unwrap();
    memory.put(&key.as_str().into(), bytes.into()).await.unwrap();
    let ground = Ground::with(|_| (), |_| memory as Arc<dyn ObjectStore>).await;
    let here = text(folder.here.run(spec.clone()).await.unwrap()).await.unwrap();
    assert_eq!(text(ground.isolated.run(spec).await.unwrap()).await.unwrap(), here);
}
