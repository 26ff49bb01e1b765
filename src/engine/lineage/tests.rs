//! What columns are made of, one case a line, and that nothing is left out over the queries of TPC-H.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::{ColumnOrigin, Derivation, Lineage, Origin};
use crate::catalog::manifest::Column;
use crate::engine::testing::{self, Fixture, joined};
use crate::engine::{QuerySpec, SpecTable, TableRows};
use crate::error::{Code, Result};

fn table(name: &str, columns: &[(&str, DataType)]) -> SpecTable {
    let mut manifest = testing::empty_manifest();
    manifest.columns = columns
        .iter()
        .map(|(name, data_type)| Column {
            name: (*name).to_owned(),
            data_type: data_type.clone(),
            null_count: 0,
        })
        .collect();
    SpecTable { name: name.to_owned(), rows: TableRows::Version(Arc::new(manifest)) }
}

fn integers(name: &str, columns: &str) -> SpecTable {
    let columns: Vec<_> = columns.split_whitespace().map(|column| (column, DataType::Int64)).collect();
    table(name, &columns)
}

fn tables() -> Vec<SpecTable> {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    let pair = DataType::Struct(Fields::from(vec![
        Field::new("left", DataType::Int64, true),
        Field::new("right", DataType::Int64, true),
    ]));
    vec![
        integers("a", "x y z"),
        integers("b", "x w"),
        table("l", &[("k", DataType::Int64), ("items", list), ("pair", pair)]),
        SpecTable { name: "queries".to_owned(), rows: TableRows::Queries(Vec::new()) },
    ]
}

async fn lineage(fixture: &Fixture, statement: &str, tables: Vec<SpecTable>) -> Result<Lineage> {
    fixture.engine.lineage(QuerySpec { tables, ..testing::spec(fixture, statement) }).await
}

/// `sum: aggregate a.x; k: identity =a.y <- a.z`: columns with what they come from, a sign of equality before what
/// comes as it is, and after the arrow what influences.
fn shown(lineage: &Lineage) -> String {
    let column = |column: &ColumnOrigin| {
        let how = match column.how {
            Derivation::Constant => "constant",
            Derivation::Identity => "identity",
            Derivation::Expression => "expression",
            Derivation::Aggregate => "aggregate",
            Derivation::Window => "window",
        };
        let from = column
            .from
            .iter()
            .map(|from| format!(" {}{}", if column.direct.contains(from) { "=" } else { "" }, named(from)));
        format!("{}: {how}{}", column.column, from.collect::<String>())
    };
    let columns: Vec<_> = lineage.columns.iter().map(column).collect();
    let influences: Vec<_> = lineage.influences.iter().map(named).collect();
    format!("{} <- {}", columns.join("; "), influences.join(" ")).trim_end_matches(" <- ").to_owned()
}

fn named(origin: &Origin) -> String {
    format!("{}.{}", origin.table, origin.column)
}

/// What a statement's columns have to be made of.
async fn check(cases: &[(&str, &str)]) {
    let fixture = Fixture::new().await;
    let mut wrong = Vec::new();
    for (statement, expected) in cases {
        let found = lineage(&fixture, statement, tables()).await;
        let found = found.map_or_else(|error| error.to_string(), |found| shown(&found));
        if found != *expected {
            wrong.push(format!("{statement}\n  found    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CASES: &[(&str, &str)] = &[
    // Names and expressions.
    ("select x from a", "x: identity =a.x"),
    ("select x as n, a.y from a", "n: identity =a.x; y: identity =a.y"),
    ("select * from a", "x: identity =a.x; y: identity =a.y; z: identity =a.z"),
    ("select * exclude (y) from a", "x: identity =a.x; z: identity =a.z"),
    ("select * replace (x + 1 as y) from a", "x: identity =a.x; y: expression a.x; z: identity =a.z"),
    ("select x + y as n, -x as m from a", "n: expression a.x a.y; m: expression a.x"),
    ("select cast(x as text) as n, coalesce(y, 0) as m from a", "n: expression a.x; m: expression a.y"),
    ("select case when x > 1 then y else z end as n from a", "n: expression a.x a.y a.z"),
    ("select 1 + 1 as n, now() as m from a", "n: constant; m: constant"),
    ("select 'x' as n", "n: constant"),
    ("select n from (select x + 1 as n, y from a) t", "n: expression a.x"),
    ("select t.n + 1 as m from (select x as n from a) t", "m: expression a.x"),
    ("select q.x from a as q(y, x, z)", "x: identity =a.y"),
    ("select pair['left'] as n, items[1] as m from l", "n: expression l.pair; m: expression l.items"),
    // Which rows.
    ("select x from a where y > z", "x: identity =a.x <- a.y a.z"),
    ("select x from a order by y limit 3", "x: identity =a.x <- a.y"),
    ("select distinct x from a", "x: identity =a.x <- a.x"),
    ("select distinct on (y) x from a order by y, z", "x: identity =a.x <- a.y a.z"),
    ("select x from a qualify row_number() over (order by y) = 1", "x: identity =a.x <- a.y"),
    // Groups.
    ("select count(*) as n from a", "n: aggregate"),
    ("select y, sum(x) as n from a group by y", "y: identity =a.y; n: aggregate a.x <- a.y"),
    ("select y + 1 as k, max(x) as n from a group by y + 1", "k: expression a.y; n: aggregate a.x <- a.y"),
    ("select sum(x) filter (where z > 1) as n from a", "n: aggregate a.x <- a.z"),
    ("select array_agg(x order by y) as n from a", "n: aggregate a.x <- a.y"),
    ("select round(sum(x) / 2) as n from a", "n: aggregate a.x"),
    ("select sum(x + y) as n from a having max(z) > 1", "n: aggregate a.x a.y <- a.z"),
    ("select count(distinct x) as n from a", "n: aggregate a.x"),
    (
        "select x, y, grouping(x) as g, sum(z) as n from a group by rollup (x, y)",
        "x: identity =a.x; y: identity =a.y; g: aggregate a.x; n: aggregate a.z <- a.x a.y",
    ),
    ("select y from a group by grouping sets ((x), (y), (x, y))", "y: identity =a.y <- a.x a.y"),
    // Windows.
    ("select row_number() over (order by x) as n from a", "n: window <- a.x"),
    (
        "select y, sum(x) over (partition by y order by z) as n from a",
        "y: identity =a.y; n: window a.x <- a.y a.z",
    ),
    ("select sum(sum(x)) over () as n from a group by y", "n: window a.x <- a.y"),
    ("select lag(x) over w + 1 as n from a window w as (order by y)", "n: window a.x <- a.y"),
    // Joins.
    ("select a.x, w from a join b on a.x = b.x", "x: identity =a.x; w: identity =b.w <- a.x b.x"),
    (
        "select * from a join b using (x)",
        "x: identity =a.x; y: identity =a.y; z: identity =a.z; w: identity =b.w <- a.x b.x",
    ),
    ("select x, w from a natural join b", "x: identity =a.x; w: identity =b.w <- a.x b.x"),
    (
        "select y, w from a left join b on a.x = b.x and b.w > a.z",
        "y: identity =a.y; w: identity =b.w <- a.x a.z b.x b.w",
    ),
    (
        "select l.x as n, r.y as m from a l, a r where l.x = r.z",
        "n: identity =a.x; m: identity =a.y <- a.x a.z",
    ),
    ("select y from a left semi join b on a.x = b.x", "y: identity =a.y <- a.x b.x"),
    ("select y from a left anti join b on a.x = b.x", "y: identity =a.y <- a.x b.x"),
    ("select w from a right semi join b on a.x = b.x", "w: identity =b.w <- a.x b.x"),
    ("select a.y, b.w from a cross join b", "y: identity =a.y; w: identity =b.w"),
    // Sets.
    ("select x from a union all select w from b", "x: identity =a.x =b.w"),
    ("select x from a union all select w + 1 from b", "x: expression =a.x b.w"),
    ("select x from a union all select 1", "x: expression =a.x"),
    ("select x from a union select w from b", "x: identity =a.x =b.w <- a.x b.w"),
    ("select x from a intersect select w from b", "x: identity =a.x <- a.x b.w"),
    ("select x from a except select w from b", "x: identity =a.x <- a.x b.w"),
    ("select x, y from a union all by name select x from b", "x: identity =a.x =b.x; y: expression =a.y"),
    // Queries in expressions.
    ("select x from a where x in (select w from b where b.x = 1)", "x: identity =a.x <- a.x b.x b.w"),
    ("select x from a where exists (select * from b where b.x = a.y)", "x: identity =a.x <- a.y b.x"),
    ("select x from a where not exists (select 1 from b)", "x: identity =a.x"),
    ("select (select max(w) from b where b.x = a.y) as n from a", "n: expression <- a.y b.x b.w"),
    ("select x from a where x > all (select w from b)", "x: identity =a.x <- a.x b.w"),
    ("select x + (select max(w) from b) as n from a", "n: expression a.x <- b.w"),
    ("select x from a where y > (select avg(y) from a t where t.z = a.z)", "x: identity =a.x <- a.y a.z"),
    (
        "select x from a where exists (select 1 from b where exists (select 1 from l where k \
= a.z and k = b.w))",
        "x: identity =a.x <- a.z b.w l.k",
    ),
    // Names for queries.
    ("with t as (select x + 1 as n from a) select n from t", "n: expression a.x"),
    (
        "with t(m) as (select x from a), u as (select m, 1 as k from t) select m, k from u",
        "m: identity =a.x; k: constant",
    ),
    ("with a as (select w as x from b) select x from a", "x: identity =b.w"),
    ("with t as (select x from a) select 1 as n", "n: constant"),
    // Rows that are written out, and lists.
    ("values (1, 'a'), (2, 'b')", "column1: constant; column2: constant"),
    ("select n, x from (values (1), (2)) t(n), a", "n: constant; x: identity =a.x"),
    ("select k, unnest(items) as n from l", "k: identity =l.k; n: expression l.items <- l.items"),
    (
        "select unnest(pair) from l",
        "l.pair.left: expression l.pair; \
l.pair.right: expression l.pair <- l.pair",
    ),
    ("select t.n from unnest([1, 2]) as t(n)", "n: constant"),
    ("select value + x as n from range(1, 5), a", "n: expression a.x"),
    ("explain select x from a", "plan_type: constant; plan: constant"),
    (
        "select statement, rows + 1 as n from system.queries",
        "statement: identity =system.queries.statement; n: expression system.queries.rows",
    ),
];

#[tokio::test]
async fn each_column_tells_what_it_is_made_of() {
    check(CASES).await;
}

#[tokio::test]
async fn a_recursive_query_is_traced_to_its_beginning() {
    check(&[
        (
            "with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) select n \
from t",
            "n: expression",
        ),
        (
            "with recursive t(n) as (select x from a union all select n from t where n < 9) \
select n from t",
            "n: identity =a.x <- a.x",
        ),
        (
            "with recursive t(n) as (select x from a union all select n + b.w from t join b on \
t.n = b.x) select n from t",
            "n: expression =a.x b.w <- a.x b.x b.w",
        ),
        // Columns that change places with each step.
        (
            "with recursive t(p, q, r) as (select x, y, 0 from a union all select q, r, p from t \
where r < 5) select p from t",
            "p: expression =a.x =a.y <- a.x a.y",
        ),
        (
            "with recursive t(n) as (select x from a union select w from b, t where t.n = b.x) \
select n from t",
            "n: identity =a.x =b.w <- a.x b.x b.w",
        ),
        // One within the other, and a sub-query that looks at a step.
        (
            "with recursive t(n) as (
            select x from a union all
            select m \
from (with recursive u(m) as (select n from t union all select m + 1 from u where m \
< 9)
            select m from u) v
        ) select n from t",
            "n: expression =a.x <- a.x",
        ),
        (
            "with recursive t(n) as (select x from a union all select n from t where n in (select \
w from b where b.x = t.n)) select n from t",
            "n: identity =a.x <- a.x b.x b.w",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_table_tells_which_of_its_columns_are_read() {
    let fixture = Fixture::new().await;
    let check = async |statement: &str, expected: &str| {
        let spec = tables();
        let found = lineage(&fixture, statement, spec.clone()).await.unwrap();
        let used: Vec<_> =
            found.tables.iter().map(|used| format!("{}({})", used.table, used.columns.join(" "))).collect();
        assert_eq!(used.join(" "), expected, "{statement}");
        for (used, table) in found.tables.iter().zip(&spec) {
            match &table.rows {
                TableRows::Version(manifest) => {
                    assert_eq!(used.dataset_id.as_ref(), Some(&manifest.dataset_id))
                }
                TableRows::Queries(_) => assert_eq!(used.dataset_id, None),
            }
        }
    };
    check("select z, x from a where y > 1", "a(x y z) b() l() system.queries()").await;
    check("select count(*) from a", "a() b() l() system.queries()").await;
    check("select x from (select * from a) t", "a(x) b() l() system.queries()").await;
    check("select x from a where exists (select * from b where b.x = a.x)", "a(x) b(x) l() system.queries()")
        .await;
    check("select user_id from system.queries", "a() b() l() system.queries(user_id)").await;
}

#[tokio::test]
async fn what_cannot_be_planned_has_no_lineage() {
    let fixture = Fixture::new().await;
    let check = async |statement: &str, code: Code| {
        let error = lineage(&fixture, statement, tables()).await.expect_err(statement);
        assert_eq!(error.code(), code, "{statement}: {error}");
    };
    check("select q from a", Code::UnknownName).await;
    check("select x from a where items", Code::UnknownName).await;
    check("select items + 1 from l", Code::InvalidSql).await;
    check("select 1; select 2", Code::InvalidSql).await;
    check("drop table a", Code::NotSupported).await;
    check("select $n", Code::ValidationError).await;
    // Of two thousand columns, each comes from a thousand.
    let names = joined(1_000, " ", |n| format!("c{n}"));
    let wide = || vec![integers("a", &names)];
    let all = joined(200, ", ", |part| joined(5, " + ", |n| format!("c{}", part * 5 + n)));
    let statement = format!(
        "select {} from (select greatest({all}) as n from a) t",
        joined(1_900, ", ", |n| format!("n as m{n}"))
    );
    let error = lineage(&fixture, &statement, wide()).await.unwrap_err();
    assert_eq!(error.code(), Code::OverLimit, "{error}");
    assert!(error.to_string().contains("200000 origins"), "{error}");
    let statement = format!("select greatest({all}) as n from a");
    assert_eq!(lineage(&fixture, &statement, wide()).await.unwrap().columns[0].from.len(), 1_000);
}

/// Tables and columns of TPC-H; those of the queries that need another type than a whole number say so.
fn tpch() -> Vec<SpecTable> {
    const TABLES: &[(&str, &str)] = &[
        (
            "customer",
            "c_custkey c_name:t c_address:t c_nationkey c_phone:t c_acctbal c_mktsegment:t c_comment:t",
        ),
        (
            "lineitem",
            "l_orderkey l_partkey l_suppkey l_linenumber l_quantity l_extendedprice l_discount l_tax l_returnflag:t \
             l_linestatus:t l_shipdate:d l_commitdate:d l_receiptdate:d l_shipinstruct:t l_shipmode:t l_comment:t",
        ),
        ("nation", "n_nationkey n_name:t n_regionkey n_comment:t"),
        (
            "orders",
            "o_orderkey o_custkey o_orderstatus:t o_totalprice o_orderdate:d o_orderpriority:t o_clerk:t \
             o_shippriority o_comment:t",
        ),
        (
            "part",
            "p_partkey p_name:t p_mfgr:t p_brand:t p_type:t p_size p_container:t p_retailprice p_comment:t",
        ),
        ("partsupp", "ps_partkey ps_suppkey ps_availqty ps_supplycost ps_comment:t"),
        ("region", "r_regionkey r_name:t r_comment:t"),
        ("supplier", "s_suppkey s_name:t s_address:t s_nationkey s_phone:t s_acctbal s_comment:t"),
    ];
    let typed = |column: &'static str| match column.split_once(':') {
        None => (column, DataType::Int64),
        Some((name, "t")) => (name, DataType::Utf8),
        Some((name, _)) => (name, DataType::Date32),
    };
    let table = |(name, columns): &(&str, &'static str)| {
        table(name, &columns.split_whitespace().map(typed).collect::<Vec<_>>())
    };
    TABLES.iter().map(table).collect()
}

#[tokio::test]
async fn nothing_is_left_out_of_tpch() {
    let fixture = Fixture::new().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/bench/tpch");
    let mut queries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    queries.sort();
    assert_eq!(queries.len(), 22);
    for query in queries {
        let (statement, name) = (std::fs::read_to_string(&query).unwrap(), query.display());
        let found =
            lineage(&fixture, &statement, tpch()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let known: HashMap<String, Vec<String>> = tpch()
            .into_iter()
            .map(|table| {
                let TableRows::Version(manifest) = table.rows else { panic!("{}", table.name) };
                (table.name, manifest.columns.iter().map(|column| column.name.clone()).collect())
            })
            .collect();
        let spec = QuerySpec { tables: tpch(), ..testing::spec(&fixture, &statement) };
        let rows = fixture.engine.run(spec).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let schema = rows.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let traced: Vec<_> = found.columns.iter().map(|column| column.column.as_str()).collect();
        assert_eq!(traced, names, "{name}");
        let used = |origin: &Origin| {
            let used = found.tables.iter().find(|used| used.table == origin.table);
            used.is_some_and(|used| used.columns.contains(&origin.column))
        };
        for column in &found.columns {
            assert!(!column.from.is_empty() || column.how == Derivation::Aggregate, "{name}: {column:?}");
            assert!(column.direct.iter().all(|direct| column.from.contains(direct)), "{name}: {column:?}");
        }
        for origin in found.columns.iter().flat_map(|column| &column.from).chain(&found.influences) {
            assert!(known[&origin.table].contains(&origin.column), "{name}: {origin:?}");
            assert!(used(origin), "{name}: {origin:?}");
        }
        assert!(!found.influences.is_empty(), "{name}: each has a condition");
    }
    let q13 = include_str!("../../../sql/bench/tpch/q13.sql");
    let found = lineage(&fixture, q13, tpch()).await.unwrap();
    assert_eq!(
        shown(&found),
        "c_count: aggregate orders.o_orderkey; custdist: aggregate <- customer.c_custkey orders.o_orderkey \
         orders.o_custkey orders.o_comment"
    );
}
