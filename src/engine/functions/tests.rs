//! Functions through the engine: what they answer, and what they refuse.

use std::time::Duration;

use super::super::testing::Fixture;
use super::*;
use crate::error::Code;

#[tokio::test]
async fn functions_answer_as_before() {
    let fixture = Fixture::new().await;
    check(&fixture, "select repeat('ab', 3), lpad('x', 3, '-'), rpad('x', 3)", "ababab|--x|x  ").await;
    check(&fixture, "select length(repeat('a', 10000000))", "10000000").await;
    check(&fixture, "select replace('a-b', '-', '+'), translate('abc', 'ab', 'xy')", "a+b|xyc").await;
    check(&fixture, r"select regexp_replace('abc', '(b)', '<\1>', 'g')", "a<b>c").await;
    check(
        &fixture,
        "select concat('a', 1, null), concat_ws('-', 'a', 'b'), 'a' || 1, 'a' || null",
        "a1|a-b|a1|NULL",
    )
    .await;
    check(&fixture, "select regexp_match('a-1', '([a-z])-([0-9])')", "[a, 1]").await;
    check(
        &fixture,
        "select array_repeat(1, 2), range(3), generate_series(1, 5, 2)",
        "[1, 1]|[0, 1, 2]|[1, 3, 5]",
    )
    .await;
    check(
        &fixture,
        "select range(date '2024-01-01', date '2024-01-03', interval '1 day')",
        "[2024-01-01, 2024-01-02]",
    )
    .await;
    check(&fixture, "select [1] || 2, [1] || [2], 0 || [1]", "[1, 2]|[1, 2]|[0, 1]").await;
    check(&fixture, "select array_to_string([1, 2], '-'), string_to_array('a-b', '-')", "1-2|[a, b]").await;
    check(&fixture, "select {'a': 1}['a'], struct(1, 'x'), map {'k': 1}['k']", "1|{c0: 1, c1: x}|1").await;
    check(&fixture, "select levenshtein('abc', 'abd'), to_char(date '2024-05-01', '%Y/%m')", "1|2024/05")
        .await;
    check(&fixture, "select encode('a', 'hex'), upper('a'), overlay('abc' placing 'X' from 2)", "61|A|aXc")
        .await;
    check(&fixture, "select arrow_typeof(arrow_cast(1, 'Int8'))", "Int8").await;
    check(&fixture, "select sum(id + 1), max(id * 2 - 1) from trips", "55|17").await;
    check(
        &fixture,
        "select id + 1 from trips where id + 1 = 3 group by id + 1 order by id + 1 limit 1 + 0",
        "3",
    )
    .await;
    check(&fixture, "select count(*) from trips a join trips b on a.id = b.id + 1", "9").await;
    check(&fixture, "select city || '!' || id from trips where id = 2", "Oslo!2").await;
    check(&fixture, "select string_agg(city, ',' order by id) from trips where id < 3", "東京,大阪,Oslo")
        .await;
    check(
        &fixture,
        "select array_agg(id) over (order by id rows between 1 preceding and current row) from trips order by id \
         limit 1 offset 2",
        "[1, 2]",
    )
    .await;
    check(&fixture, "select x + 1 from (values (cast(1 as tinyint))) t(x)", "2").await;
    check(&fixture, "select day + interval '1 day' from trips where id = 0", "2024-01-02").await;
    check(&fixture, "select cast(1.5 as decimal(10,2)) * 2, 7 / 2, 7 % 4, -(3)", "3.00|3|3|-3").await;

    async fn check(fixture: &Fixture, statement: &str, expected: &str) {
        let got = fixture.answer(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        assert_eq!(got, [expected], "{statement}");
    }
}

#[tokio::test]
async fn columns_keep_their_names() {
    let fixture = Fixture::new().await;
    let stream =
        fixture.run("select id + 1, city || 'x', id - 1 as less, count(*) over () from trips").await.unwrap();
    let names: Vec<_> = stream.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names[..3], ["trips.id + Int64(1)", "trips.city || Utf8(\"x\")", "less"]);
}

/// Each would make so much at once that the process ended, or work where nothing can stop it; with what its error names.
const GROWING: &[(&str, &str)] = &[
    ("select repeat('x', 1000000000000)", "repeat"),
    ("select length(repeat('x', 9223372036854775807))", "repeat"),
    ("select lpad('x', 2000000000)", "lpad"),
    ("select rpad('x', 100000000, 'あ')", "rpad"),
    ("select replace(repeat('a', 1000000), 'a', repeat('b', 1000))", "replace"),
    ("select replace(repeat('a', 1000000), '', repeat('b', 1000))", "replace"),
    ("select regexp_replace(repeat('a', 1000000), 'a', repeat('b', 1000), 'g')", "regexp_replace"),
    ("select range(1, 1000000000000)", "range"),
    ("select generate_series(1, 9223372036854775807, 1)", "generate_series"),
    ("select generate_series(-9223372036854775808, 9223372036854775807, 1000)", "generate_series"),
    ("select range(date '0001-01-01', date '9999-01-01', interval '1 second')", "range"),
    (
        "select generate_series(timestamp '2000-01-01', timestamp '2200-01-01', interval '1 microsecond')",
        "generate_series",
    ),
    ("select unnest(range(1, 1000000000000))", "range"),
    ("select array_repeat(1, 1000000000000)", "array_repeat"),
    ("select array_repeat(array_repeat(array_repeat('x', 1000), 1000), 1000)", "array_repeat"),
    ("select array_resize([1], 1000000000000, 0)", "array_resize"),
    ("select array_resize([1], 1000000000)", "array_resize"),
    ("select array_to_string(range(1, 100000), repeat('x', 10000))", "array_to_string"),
    (
        "select array_replace_all(array_repeat(1::varchar, 100000), '1', repeat('x', 10000))",
        "array_replace_all",
    ),
    ("select levenshtein(repeat('a', 1000000), repeat('b', 1000000))", "levenshtein"),
    ("select array_has_any(range(0, 20000), range(20000, 40000))", "array_has_any"),
    ("select range(0, 20000) @> range(20000, 40000)", "array_has_all"),
    ("select regexp_like(repeat('a', 10000000), '(.*b){500}(.*c){500}')", "a pattern has"),
    ("select arrow_cast('x', 'FixedSizeBinary(2000000000)')", "arrow_cast"),
    ("select arrow_cast([1], 'FixedSizeList(1000000000, Int64)')", "arrow_cast"),
    ("select cast([1] as int[1000000000])", "CAST"),
];

/// What a bound lets pass takes a second when optimised; this is for tests that are not, on a machine that has other
/// work, and still tells a bound from none: without theirs, these statements run for hours.
const BOUND_IS_FOUND: Duration = Duration::from_secs(60);

/// As [`GROWING`], for statements that are made.
fn growing_more() -> Vec<(String, &'static str)> {
    let n = "from range(1, 1000000) t(n)";
    // Each differs from the others, or one of them would be made and shown 50 times.
    let columns = |call: &dyn Fn(usize) -> String| {
        (0..50).map(|n| format!("{} as a{n}", call(n))).collect::<Vec<_>>().join(", ")
    };
    let doubling = |first: &str, next: &str| {
        let level = |level: usize| format!(", c{level} as (select {next} as x from c{})", level - 1);
        let more: String = (1..40).map(level).collect();
        format!("with c0 as (select {first} as x){more} select length(x::varchar) from c39")
    };
    vec![
        (format!("select max(repeat('x', n)) {n}"), "repeat"),
        (
            format!(
                "select count(*) {n} where repeat('x', 100000) = cast(n as varchar) or lpad('x', n + 20000) = 'x'"
            ),
            "lpad",
        ),
        (
            format!("select regexp_replace(repeat('a', 1000000), '(.*)', '{}')", r"\1".repeat(100)),
            "regexp_replace",
        ),
        (
            format!("select regexp_match(repeat('a', 1000000), '{}.*{}')", "(".repeat(100), ")".repeat(100)),
            "regexp_match",
        ),
        (format!("select count(*) {n} where regexp_like('a', concat('(a{{100}}){{', n, '}}'))"), "`~`"),
        (
            format!("select max(to_char(date '2024-01-01', '{}')) {n}", "%c".repeat(1000)),
            "written into each row",
        ),
        (format!("select max('{}' || n) {n}", "x".repeat(20_000)), "||"),
        (format!("select max(concat('{}', n)) {n}", "x".repeat(20_000)), "concat"),
        (format!("select max(make_array('{}', n::varchar)) {n}", "x".repeat(20_000)), "make_array"),
        (format!("select approx_percentile_cont(n, 0.5, 2000000000) {n}"), "centroids"),
        (format!("select array_agg(n) over () {n}"), "array_agg"),
        (format!("select string_agg(n::varchar, ',') over (order by n) {n}"), "string_agg"),
        (
            format!("select {} {n}", columns(&|n| format!("repeat(n::varchar, {})", 1000 + n))),
            "functions of the query",
        ),
        (
            format!(
                "select {} {n}",
                columns(&|n| format!("levenshtein(repeat('a', {}), repeat(n::varchar, 20))", 100 + n))
            ),
            "functions of the query",
        ),
        (doubling("'xx'", "x || x"), "||"),
        (doubling("'xx'", "concat(x, x)"), "concat"),
        (doubling("[1]", "array_concat(x, x)"), "array_concat"),
        (doubling("1", "struct(x, x)"), "struct"),
        (doubling("1", "{'a': x, 'b': x}"), "struct"),
    ]
}

#[tokio::test]
async fn what_grows_past_its_bound_is_refused() {
    let fixture = Fixture::new().await;
    let fixed = GROWING.iter().map(|(statement, named)| ((*statement).to_owned(), *named));
    let mut wrong = Vec::new();
    for (statement, named) in fixed.chain(growing_more()) {
        let started = std::time::Instant::now();
        let begin: String = statement.chars().take(100).collect();
        match fixture.answer(&statement).await {
            Ok(_) => wrong.push(format!("{begin}: was answered")),
            Err(error) if error.code() != Code::OverLimit || !error.to_string().contains(named) => {
                wrong.push(format!("{begin}: {error:?}"));
            }
            Err(_) if started.elapsed() > BOUND_IS_FOUND => {
                wrong.push(format!("{begin}: {:?}", started.elapsed()))
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn integers_do_not_go_round() {
    let fixture = Fixture::new().await;
    check(&fixture, "select 9223372036854775807 + 1").await;
    check(&fixture, "select -9223372036854775807 - 2").await;
    check(&fixture, "select 9223372036854775807 * 2").await;
    check(&fixture, "select id + 9223372036854775807 from trips").await;
    check(&fixture, "select count(*) from trips where id * 9223372036854775807 > 0").await;
    check(&fixture, "select sum(id * 9223372036854775807) from trips").await;
    check(&fixture, "select cast(127 as tinyint) + cast(1 as tinyint)").await;

    async fn check(fixture: &Fixture, statement: &str) {
        let error = fixture.answer(statement).await.expect_err(statement);
        assert_eq!(error.code(), Code::BadData, "{statement}: {error:?}");
        assert!(error.to_string().to_lowercase().contains("overflow"), "{statement}: {error}");
    }
}

/// A statement, what it fails with, what its message says, and where it points.
type Fault = (&'static str, Code, &'static str, Option<(u64, u64)>);

const FAULTS: &[Fault] = &[
    ("select 1 / 0", Code::BadData, "division by zero", None),
    ("select 1 % (id - id) from trips", Code::BadData, "division by zero", None),
    ("select cast(1 as decimal(5, 2)) / cast(0 as decimal(5, 2))", Code::BadData, "division by zero", None),
    ("select cast(300 as tinyint)", Code::BadData, "300", None),
    ("select cast('1x' as bigint)", Code::BadData, "1x", None),
    ("select cast('2024-02-30' as date)", Code::BadData, "2024-02-30", None),
    ("select cast('maybe' as boolean)", Code::BadData, "maybe", None),
    ("select cast(city as date) from trips where id = 0", Code::BadData, "東京", None),
    ("select cast(12345.6 as decimal(4, 1))", Code::BadData, "decimal", None),
    ("select factorial(30)", Code::BadData, "factorial", None),
    ("select gcd(-9223372036854775807 - 1, 0)", Code::BadData, "overflow", None),
    ("select abs(cast(-128 as tinyint))", Code::BadData, "overflow", None),
    ("select chr(-1)", Code::BadData, "", None),
    ("select regexp_like('a', '(')", Code::BadData, "", None),
    ("select to_timestamp('never')", Code::BadData, "never", None),
    ("select range(1, 10, 0)", Code::BadData, "step", None),
    ("select lower(1, 2)", Code::InvalidSql, "lower", None),
    ("select nothing.id from trips", Code::UnknownName, "nothing.id", Some((1, 8))),
    ("select\n idd from trips", Code::UnknownName, "did you mean `id`", Some((2, 2))),
    ("select loewr('A')", Code::UnknownName, "did you mean `lower`", Some((1, 8))),
    ("select id from trips a, trips b", Code::InvalidSql, "several tables", Some((1, 8))),
    ("select date '2024-01-01' + true", Code::InvalidSql, "", None),
    ("select interval '99999999999999999999 years'", Code::BadData, "", None),
];

#[tokio::test]
async fn values_that_do_not_fit_are_named() {
    let fixture = Fixture::new().await;
    let mut wrong = Vec::new();
    for (statement, code, says, at) in FAULTS {
        let Err(error) = fixture.answer(statement).await else {
            wrong.push(format!("{statement}: was answered"));
            continue;
        };
        let (details, message) = (error.details(), error.to_string().to_lowercase());
        let place = at.is_none_or(|(line, column)| details["line"] == line && details["column"] == column);
        if error.code() != *code || !message.contains(says) || !place {
            wrong.push(format!("{statement}: {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_not_on_the_list_is_unknown() {
    let fixture = Fixture::new().await;
    check(&fixture, "select version()", Code::UnknownName).await;
    check(&fixture, "select input_file_name() from trips", Code::UnknownName).await;
    check(&fixture, "select array_transform([1], x -> x + 1)", Code::UnknownName).await;
    check(&fixture, "select * from read_csv('/etc/passwd')", Code::UnknownName).await;

    async fn check(fixture: &Fixture, statement: &str, code: Code) {
        let error = fixture.answer(statement).await.expect_err(statement);
        assert_eq!(error.code(), code, "{statement}: {error:?}");
    }
}

#[test]
fn the_catalogue_describes_every_function() {
    let all = catalogue();
    let find = |name: &str, kind| {
        all.iter().find(|function| function.name == name && function.kind == kind).unwrap()
    };
    assert_eq!(find("character_length", Kind::Scalar).aliases, ["length", "char_length"]);
    assert_eq!(find("lpad", Kind::Scalar).syntax, "lpad(str, n[, padding_str])");
    assert!(find("lpad", Kind::Scalar).example.as_ref().unwrap().contains("select lpad"));
    assert!(find("range", Kind::Table).syntax.contains("FROM range"));
    for function in &all {
        assert!(!function.description.is_empty(), "{} has no description", function.name);
    }
    assert!(all.is_sorted_by_key(|function| function.name.clone()));
}
