//! Statements that have ended a process or outrun every deadline, at the sizes at which they did and beyond, each
//! against an engine with little memory and a short deadline; and, beside them, statements that people write.

use std::time::{Duration, Instant};

use super::SLACK;
use crate::engine::testing::{self, Fixture, joined as many};
use crate::error::{Code, Error};

const DEADLINE: Duration = Duration::from_millis(1_500);

const MEMORY_BYTES: usize = 64 << 20;

/// How a statement may end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// Refused or stopped, with one of these codes.
    With(&'static [Code]),
    /// In rows, or as above: what counts is that it ends.
    Somehow,
}

use Code::{BadData, InvalidSql, NotSupported, OverLimit, QueryTimeout};

const REFUSED: Ends = Ends::With(&[OverLimit]);
/// The parser says of some forms only that it does not go on.
const TOO_DEEP: Ends = Ends::With(&[OverLimit, InvalidSql]);
const STOPPED: Ends = Ends::With(&[OverLimit, QueryTimeout]);

async fn run(fixture: &Fixture, statement: &str) -> Result<usize, Error> {
    run_within(fixture, statement, DEADLINE).await
}

async fn run_within(fixture: &Fixture, statement: &str, deadline: Duration) -> Result<usize, Error> {
    let mut spec = testing::spec(fixture, statement);
    spec.limits.deadline_ms = deadline.as_millis() as u64;
    let mut rows = 0;
    let mut stream = fixture.engine.run(spec).await?;
    while let Some(batch) = futures::StreamExt::next(&mut stream).await {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

async fn check(fixture: &Fixture, statement: &str, ends: Ends) {
    let begin: String = statement.chars().take(120).collect();
    // What is refused needs no deadline.
    let deadline = match ends {
        Ends::With(codes) if !codes.contains(&QueryTimeout) => Duration::from_secs(60),
        _ => DEADLINE,
    };
    let started = Instant::now();
    let outcome = run_within(fixture, statement, deadline).await;
    let took = started.elapsed();
    assert!(took < deadline + SLACK, "{begin}: took {took:?}");
    match (ends, outcome) {
        (Ends::With(codes), Err(error)) => {
            assert!(codes.contains(&error.code()), "{begin}: {error:?}");
        }
        (Ends::With(_), Ok(rows)) => panic!("{begin}: gave {rows} rows"),
        (Ends::Somehow, Err(error)) => assert_ne!(error.code(), Code::InternalError, "{begin}: {error:?}"),
        (Ends::Somehow, Ok(_)) => {}
    }
}

async fn small() -> Fixture {
    let mut fixture = Fixture::new().await;
    fixture.engine = testing::engine(&fixture.folder, &fixture.objects, MEMORY_BYTES);
    fixture
}

/// What writes, or changes how the engine works.
const WRITING: &[&str] = &[
    "create external table t stored as csv location '/etc/passwd'",
    "create table t as select 1",
    "create view v as select 1",
    "create function f(int) returns int return $1",
    "create database d",
    "create schema s",
    "copy (select 1) to '/tmp/out.csv'",
    "copy trips to '/tmp/out.parquet' stored as parquet",
    "explain copy (select 1) to '/tmp/out.csv'",
    "explain analyze select 1",
    "explain analyze copy (select 1) to '/tmp/out.csv'",
    "insert into trips values (1)",
    "insert into trips select * from trips",
    "update trips set id = 1",
    "delete from trips",
    "truncate table trips",
    "merge into trips using trips t on true when matched then delete",
    "drop table trips",
    "drop view trips",
    "alter table trips add column x int",
    "set datafusion.runtime.memory_limit = '100G'",
    "set time zone = 'UTC'",
    "reset datafusion.runtime.memory_limit",
    "show all",
    "show tables",
    "show columns from trips",
    "describe trips",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "start transaction",
    "begin",
    "commit",
    "rollback",
    "grant select on trips to me",
    "analyze table trips",
    "select 1; drop table trips",
    "select 1; select 2",
    "select * into t from trips",
    "select * from trips for update",
    "call f()",
    "use d",
    "vacuum",
    "install httpfs",
    "load httpfs",
    "attach 'x.db' as x",
    "pragma database_list",
];

/// Row 1 of the threats: what would write, or change how the engine works.
#[tokio::test]
async fn what_does_not_read_is_refused() {
    let fixture = small().await;
    for statement in WRITING {
        let error = run(&fixture, statement).await.expect_err(statement);
        assert!(matches!(error.code(), NotSupported | InvalidSql), "{statement}: {error:?}");
    }
}

/// Files, and lists of what there is.
const OUT_OF_REACH: &[&str] = &[
    "select * from '/etc/passwd'",
    "select * from \"/etc/passwd\"",
    "select * from 'file:///etc/passwd'",
    "select * from \"s3://bucket/x.parquet\"",
    "select * from read_csv('/etc/passwd')",
    "select * from read_parquet('/etc/passwd')",
    "select * from parquet_metadata('/etc/passwd')",
    "select * from information_schema.tables",
    "select * from information_schema.df_settings",
    "select * from df_settings",
    "select * from shirabe.datasets.trips",
    "select @@version",
    "select input_file_name() from trips",
    "select version()",
];

/// Rows 2 and 3: files, and what would list more than one's own.
#[tokio::test]
async fn only_datasets_are_in_reach() {
    let fixture = small().await;
    for statement in OUT_OF_REACH {
        let error = run(&fixture, statement).await.expect_err(statement);
        assert!(
            matches!(error.code(), NotSupported | InvalidSql | Code::UnknownName),
            "{statement}: {error:?}"
        );
        assert!(!error.to_string().contains("root:"), "{statement}: {error}");
    }
}

/// Too many of one thing.
fn too_many(count: usize) -> Vec<(String, Ends)> {
    vec![
        (format!("select {}", many(count, "+", |_| "1".to_owned())), REFUSED),
        (format!("select {}", many(count, "||", |_| "'a'".to_owned())), REFUSED),
        (format!("select {}1", "- ".repeat(count)), TOO_DEEP),
        (format!("select {}true", "not ".repeat(count)), TOO_DEEP),
        (format!("select {}1{}", "(".repeat(count), ")".repeat(count)), TOO_DEEP),
        (format!("select {}1{}", "[".repeat(count), "]".repeat(count)), TOO_DEEP),
        (format!("select {}", many(count, ",", |_| "1".to_owned())), REFUSED),
        (many(count, " union all ", |_| "select 1".to_owned()), REFUSED),
        (format!("select 1{}", "::int".repeat(count)), REFUSED),
        (format!("select id{} from trips", "[1]".repeat(count)), TOO_DEEP),
        (format!("select * from trips where {}", many(count, " or ", |_| "id=1".to_owned())), REFUSED),
        (format!("select * from trips where {}", many(count, " and ", |_| "id=1".to_owned())), REFUSED),
        (format!("select {}id{} from trips", "abs(".repeat(count), ")".repeat(count)), REFUSED),
        (format!("select 1 from {}", many(count, ",", |_| "trips".to_owned())), REFUSED),
        (format!("select * from {}trips{}", "(select * from ".repeat(count), ")".repeat(count)), REFUSED),
        (
            format!("select case {} end from trips", many(count, " ", |n| format!("when id={n} then 1"))),
            REFUSED,
        ),
        (
            format!("select case id {} end from trips", many(count, " ", |n| format!("when {n} then 1"))),
            REFUSED,
        ),
        (format!("values {}", many(count, ",", |n| format!("({n},2,3)"))), REFUSED),
        (
            format!("select * from trips where {}", many(count, " and ", |_| "id in (select 1)".to_owned())),
            REFUSED,
        ),
        (format!("select {} from trips", many(count, ",", |_| "sum(id) over ()".to_owned())), REFUSED),
    ]
}

/// Row 4: a short text that is a large thing to plan.
#[tokio::test]
async fn what_costs_too_much_to_plan_is_refused() {
    let fixture = small().await;
    for count in [5_000, 10_000, 20_000] {
        for (statement, ends) in too_many(count) {
            check(&fixture, &statement, ends).await;
        }
    }
    for levels in [13, 24, 60] {
        let doubling = |first: &str| {
            many(levels, ",", |n| match n {
                0 => format!("c0 as ({first})"),
                n => format!("c{n} as (select a.x from c{0} a, c{0} b)", n - 1),
            })
        };
        check(
            &fixture,
            &format!("with {} select * from c{}", doubling("select 1 as x"), levels - 1),
            REFUSED,
        )
        .await;
        check(
            &fixture,
            &format!("with {} select * from c{}", doubling("select id as x from trips"), levels - 1),
            REFUSED,
        )
        .await;
        let unions = doubling("select 1 as x")
            .replace("select a.x from", "select x from")
            .replace(" a, ", " union all select x from ")
            .replace(" b)", ")");
        check(&fixture, &format!("with {unions} select * from c{}", levels - 1), REFUSED).await;
    }
    for columns in [7, 20, 200] {
        let names = many(columns, ",", |n| format!("c{n}"));
        check(&fixture, &format!("select count(*) from trips group by cube({names})"), REFUSED).await;
    }
    let rollups = many(5, ",", |_| "rollup(id, city, day)".to_owned());
    check(&fixture, &format!("select count(*) from trips group by {rollups}"), REFUSED).await;
    let sets = many(100, ",", |_| "(id)".to_owned());
    check(&fixture, &format!("select count(*) from trips group by grouping sets ({sets})"), REFUSED).await;
    check(&fixture, &format!("select '{}'", "x".repeat(10 << 20)), REFUSED).await;
    check(&fixture, &format!("select 1 /* {} */", "x".repeat(70_000)), REFUSED).await;
}

/// Names that double when they are written out: short, and each step is harmless.
#[tokio::test]
async fn what_doubles_with_each_step_ends() {
    let fixture = small().await;
    for next in [
        "x + x",
        "x * x",
        "x || x",
        "concat(x, x)",
        "[x, x]",
        "struct(x, x)",
        "{'a': x, 'b': x}",
        "map {'a': x, 'b': x}",
        "greatest(x, x)",
        "coalesce(x, x)",
        "case when x = x then x else x end",
        "array_concat([x], [x])",
        "x is null and x is null",
        "nullif(x, x)",
        "array_append([x], x)",
    ] {
        for first in ["'ab'", "id", "random()"] {
            for after in ["", "where x = x", "order by x"] {
                let chain = many(40, ",", |n| match n {
                    0 => format!("c0 as (select {first} as x from trips)"),
                    n => format!("c{n} as (select {next} as x from c{})", n - 1),
                });
                check(&fixture, &format!("with {chain} select x from c39 {after}"), Ends::Somehow).await;
            }
        }
    }
    let chain = many(12, ",", |n| match n {
        0 => "c0 as (select * from trips)".to_owned(),
        n => format!("c{n} as (select *, {n} as a{n} from c{})", n - 1),
    });
    check(&fixture, &format!("with {chain} select * from c11"), Ends::Somehow).await;
    let wide = many(6, ",", |n| match n {
        0 => "c0 as (select * from trips)".to_owned(),
        n => format!("c{n} as (select a.*, b.* from c{0} a cross join c{0} b)", n - 1),
    });
    check(&fixture, &format!("with {wide} select * from c5"), Ends::Somehow).await;
}

/// What makes more than there is room or time for.
const ENDLESS: &[&str] = &[
    "select count(*) from range(1, 1000000000000)",
    "select sum(value) from generate_series(1, 9223372036854775807)",
    "select count(*) from range(1, 1000000) a cross join range(1, 1000000) b",
    "select count(*) from range(1, 1000000) a join range(1, 1000000) b on a.value < b.value",
    "select count(*) from range(1, 1000000) a left join range(1, 1000000) b on a.value <> b.value",
    "select sum(a.value) from range(1, 3000000) a join range(1, 3000000) b on a.value % 2 = b.value % 2",
    "select count(*) from range(1, 100000) a, range(1, 100000) b, range(1, 100000) c",
    "select * from range(1, 1000000000) order by value desc limit 1 offset 900000000",
    "select value, count(*) from range(1, 1000000000) group by value",
    "select count(distinct value) from range(1, 1000000000)",
    "select sum(value) over () from range(1, 1000000000)",
    "select sum(value) over (order by value rows between unbounded preceding and unbounded following) from range(1, 1000000000)",
    "select sum(value) over (order by value desc) from range(1, 1000000000)",
    "select lag(value, 100000000) over () from range(1, 1000000000)",
    "select lead(value, 1000000000) over (order by value) from range(1, 10000000000)",
    "select first_value(value) over (order by value rows between 1 following and 1000000000 following) from range(1, 1000000000)",
    "select count(*) over (partition by value % 7) from range(1, 1000000000)",
    "select max(a.value) over () from range(1, 100000) a cross join range(1, 100000) b",
    "with recursive r as (select 1 as n union all select n from r) select count(*) from r",
    "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r",
    "with recursive r as (select 1 as n union all select n + 1 from r) select * from r",
    "with recursive r as (select 1 as n union all select a.n from r a cross join range(1, 3) b) select count(*) from r",
    "with recursive r as (select 'x' as t union all select t || t from r) select length(t) from r",
    "select string_agg(repeat('x', 1000), ',') from range(1, 1000000000)",
    "select array_agg(value) from range(1, 1000000000)",
    "select array_agg(repeat('x', 100)) from range(1, 1000000000) group by value % 3",
    "select median(value) from range(1, 1000000000)",
    "select percentile_cont(0.5) within group (order by value) from range(1, 1000000000)",
    "select unnest(range(0, 1000000)) from range(1, 1000000000)",
    "select count(*) from (select unnest(range(0, 1000000)) from range(1, 1000000000))",
    "select a.value from range(1, 100000000) a where a.value in (select b.value * 2 from range(1, 1000000000) b)",
    "select a.value from range(1, 100000000) a where exists (select 1 from range(1, 1000000) b where b.value > a.value)",
    "select distinct value from range(1, 1000000000)",
    "select value from range(1, 100000000) intersect select value from range(1, 100000000)",
    "select value from range(1, 1000000000) union select value from range(1, 1000000000)",
    "select count(*) from range(1, 100000000) a full join range(1, 100000000) b on a.value = b.value",
];

/// Row 5: what never ends, or makes more than there is room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_stopped() {
    let fixture = small().await;
    for statement in ENDLESS {
        check(&fixture, statement, STOPPED).await;
    }
    assert_eq!(run(&fixture, "select 1").await.unwrap(), 1, "the engine is as it was");
    while fixture.engine.memory_used() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Row 6, and what is like it: a value that is written into each row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_are_not_multiplied() {
    let fixture = small().await;
    let long = "x".repeat(60_000);
    for statement in [
        format!("select '{long}' from range(1, 1000000000)"),
        format!("select case when value > 5 then '{long}' else 'a' end from range(1, 1000000000)"),
        format!("select coalesce(null, '{long}') from range(1, 1000000000)"),
        format!("select max(upper('{long}')) from range(1, 1000000000) group by value"),
        "select repeat('x', 60000000) from range(1, 1000000000)".to_owned(),
        "select value, repeat('x', 60000000) as t from range(1, 1000000000) order by t".to_owned(),
        "select 'x' || repeat('x', 60000000) from range(1, 1000000000)".to_owned(),
        "select lag(value, 1, 5) over (order by value), repeat('x', 1000000) from range(1, 1000000000)".to_owned(),
        "select array_repeat(repeat('x', 10000), 6000) from range(1, 1000000000)".to_owned(),
        "select a.t, b.value from (select repeat('x', 60000000) as t) a cross join range(1, 1000000) b".to_owned(),
        "select first_value(t) over (order by value) from (select value, case when value = 1 then repeat('x', 1000000) else 'a' end as t from range(1, 1000000))".to_owned(),
    ] {
        check(&fixture, &statement, Ends::Somehow).await;
    }
    assert_eq!(run(&fixture, "select repeat('x', 1000000)").await.unwrap(), 1);
    assert_eq!(run(&fixture, &format!("select * from trips where city = '{long}'")).await.unwrap(), 0);
    assert_eq!(run(&fixture, &format!("select '{long}' from (select 1)")).await.unwrap(), 1);
}

/// Row 7: patterns that take other engines for ever.
#[tokio::test]
async fn patterns_run_in_time() {
    let fixture = small().await;
    for pattern in
        ["(a+)+$", "(a|aa)+$", "(.*a){20}", "(a?){50}a{50}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y"]
    {
        let statement = format!("select regexp_like(repeat('a', 5000) || '!', '{pattern}')");
        check(&fixture, &statement, Ends::Somehow).await;
    }
    check(&fixture, r"select regexp_like('a', '((a{100}){100}){100}')", Ends::With(&[OverLimit, BadData]))
        .await;
    check(&fixture, r"select regexp_like('a', '\w{1000}{1000}')", Ends::With(&[OverLimit, BadData])).await;
    check(&fixture, &format!("select city like '{}' from trips", "%a".repeat(5_000)), Ends::Somehow).await;
    check(&fixture, "select regexp_like('a', '(')", Ends::With(&[BadData])).await;
}

/// As analysts write them, and what they answer.
const ORDINARY: &[(&str, &str)] = &[
    (
        "select sum(s) from (select sum(id) over (order by id rows between 3 preceding and current row) as s from trips)",
        "130",
    ),
    (
        "select max(s) from (select sum(id) over (partition by city order by day range between unbounded preceding and current row) as s from trips)",
        "13",
    ),
    ("select count(*) from (select city, count(*) from trips group by cube(city, day))", "26"),
    ("select sum(case when id < 3 then 1 when id < 6 then 10 else 100 end) from trips", "433"),
    ("select count(*) from trips a join trips b using (id) left join trips c on b.id = c.id + 1", "10"),
    (
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 100) select sum(n) from r",
        "5050",
    ),
    ("select count(*) from range(0, 1000000)", "1000000"),
    ("select avg(x) from (select row_number() over (order by value) as x from range(0, 100001))", "50001.0"),
    ("select count(*) from (select id, unnest([1, 2, 3]) from trips)", "30"),
    ("select round(stddev(fare), 2) from trips", "4.54"),
    ("select length(string_agg(city, ',')) from trips", "31"),
    ("select city from trips qualify row_number() over (order by id desc) = 2", "東京"),
    ("select count(distinct city) filter (where id > 2) from trips", "4"),
];

/// As [`ORDINARY`], for long ones.
fn long_but_ordinary() -> Vec<(String, &'static str)> {
    let ctes = many(12, ", ", |n| match n {
        0 => "c0 as (select id, id * 2 as x from trips where id > 1)".to_owned(),
        n => format!("c{n} as (select id, x + id as x from c{} where x >= 0)", n - 1),
    });
    let columns = many(500, ", ", |n| format!("id + {n} as c{n}"));
    vec![
        (format!("select {}", many(60, " + ", |n| n.to_string())), "1770"),
        (format!("select count(*) from trips where id in ({})", many(2_000, ", ", |n| n.to_string())), "10"),
        (format!("with {ctes} select sum(x) from c11"), "572"),
        (format!("select c0 + c499 from (select {columns} from trips) where c0 = 3"), "505"),
        (
            format!(
                "select count(*) from ({})",
                many(30, " union all ", |n| format!("select id + {n} from trips"))
            ),
            "300",
        ),
    ]
}

#[tokio::test]
async fn what_people_write_is_answered() {
    let fixture = small().await;
    let fixed = ORDINARY.iter().map(|(statement, expected)| ((*statement).to_owned(), *expected));
    let mut wrong = Vec::new();
    for (statement, expected) in fixed.chain(long_but_ordinary()) {
        let begin: String = statement.chars().take(100).collect();
        match fixture.answer(&statement).await {
            Ok(answer) if answer == [expected] => {}
            other => wrong.push(format!("{begin}: expected {expected}, got {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
