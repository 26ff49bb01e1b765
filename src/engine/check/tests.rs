//! What a change of columns breaks, and what it does not; and that the answer is the one that a query would get.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::catalog::manifest::{Column, type_name};
use crate::engine::testing::{self, Fixture};
use crate::engine::{Parameter, ParameterType, Parameters, QuerySpec, SpecTable, TableRows};
use crate::error::{Code, Error, Place, Result};

/// `id: int64, city: string`, as the contract names types.
fn schema(columns: &str) -> SchemaRef {
    let fields = columns.split(", ").map(|column| {
        let (name, data_type) = column.split_once(": ").unwrap();
        let data_type = match data_type {
            "int32" => DataType::Int32,
            "int64" => DataType::Int64,
            "float64" => DataType::Float64,
            "decimal" => DataType::Decimal128(18, 2),
            "string" => DataType::Utf8,
            "date" => DataType::Date32,
            "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "bool" => DataType::Boolean,
            other => panic!("{other}"),
        };
        Field::new(name, data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

const TRIPS: &str = "id: int64, city: string, day: date, fare: float64";

fn shown(schema: &Schema) -> String {
    let each =
        schema.fields().iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type())));
    each.collect::<Vec<_>>().join(", ")
}

async fn check_against(fixture: &Fixture, statement: &str, trips: &str) -> Result<SchemaRef> {
    let tables = HashMap::from([("Trips".to_owned(), schema(trips))]);
    let tokyo = "Asia/Tokyo".parse().unwrap();
    fixture.engine.check_against(statement, &Parameters::new(), &tables, Some(&tokyo)).await
}

#[tokio::test]
async fn a_statement_that_still_works_tells_its_columns() {
    let fixture = Fixture::new().await;
    let check = async |statement: &str, trips: &str, expected: &str| {
        let found = check_against(&fixture, statement, trips).await;
        let found = found.unwrap_or_else(|error| panic!("{statement} over {trips}: {error}"));
        assert_eq!(shown(&found), expected, "{statement} over {trips}");
    };
    let statement = "select city, sum(fare) as fares from trips where day > date '2024-01-01' group by city";
    check(statement, TRIPS, "city: string, fares: float64").await;
    // Columns come, go and change places.
    check(statement, "day: date, fare: float64, city: string, more: bool", "city: string, fares: float64")
        .await;
    check("select * from trips", "id: int64, more: bool", "id: int64, more: bool").await;
    // Types that hold more.
    check("select id + 1 as n from trips", "id: int32", "n: int64").await;
    check("select id + 1 as n from trips", "id: int64", "n: int64").await;
    check("select id * 2 as n from trips", "id: float64", "n: float64").await;
    check("select sum(fare) as n from trips", "fare: int32", "n: int64").await;
    check("select sum(fare) as n from trips", "fare: decimal", "n: decimal(28,2)").await;
    check(statement, "city: string, day: datetime, fare: decimal", "city: string, fares: decimal(28,2)")
        .await;
    // Names are those of datasets.
    check(r#"select id from "ＴＲＩＰＳ""#, TRIPS, "id: int64").await;
    check("select 1 as n", TRIPS, "n: int64").await;
    check("select statement from system.queries, trips", TRIPS, "statement: string").await;
    check("with trips as (select 1 as other) select other from trips", TRIPS, "other: int64").await;
}

/// How a statement over `trips` with these columns fails.
async fn breaks(fixture: &Fixture, statement: &str, trips: &str, code: Code, expected: &str) {
    let error = check_against(fixture, statement, trips).await;
    let error = error.expect_err(&format!("{statement} over {trips}"));
    assert_eq!((error.code(), error.to_string().as_str()), (code, expected), "{statement} over {trips}");
}

#[tokio::test]
async fn names_that_are_gone_or_mean_something_else_break_a_statement() {
    let fixture = Fixture::new().await;
    let check = async |statement: &str, trips: &str, code: Code, expected: &str| {
        breaks(&fixture, statement, trips, code, expected).await;
    };
    // Gone, or called otherwise.
    check("select city from trips", "id: int64", Code::UnknownName, "no column `city`").await;
    check(
        "select city from trips",
        "id: int64, City: string",
        Code::UnknownName,
        "no column `city`; did you mean `City`?",
    )
    .await;
    check(
        "select id from trips where fare > 1",
        "id: int64, fares: float64",
        Code::UnknownName,
        "no column `fare`; did you mean `fares`?",
    )
    .await;
    // Come, where it means something else.
    check(
        "select city from trips t join (select 1 as id, 'x' as town) u on t.id = u.id where town = 'x'",
        "id: int64, city: string, town: string",
        Code::InvalidSql,
        "`town` could be a column of several tables: put the table's name in front",
    )
    .await;
}

#[tokio::test]
async fn types_that_do_not_fit_break_a_statement() {
    let fixture = Fixture::new().await;
    let check = async |statement: &str, trips: &str, code: Code, expected: &str| {
        breaks(&fixture, statement, trips, code, expected).await;
    };
    // Of another type.
    check(
        "select fare * 2 from trips",
        "fare: bool",
        Code::InvalidSql,
        "cannot coerce arithmetic expression Boolean * Int64 to valid types",
    )
    .await;
    check(
        "select date_trunc('month', day) from trips",
        "day: int64",
        Code::InvalidSql,
        "no form of `date_trunc` takes values of these types",
    )
    .await;
    check(
        "select id from trips where id",
        "id: int64",
        Code::InvalidSql,
        "cannot create filter with non-boolean predicate 'trips.id' returning Int64",
    )
    .await;
    check(
        "select sum(city) from trips",
        TRIPS,
        Code::InvalidSql,
        "no form of `sum` takes values of these types",
    )
    .await;
    // Not there at all.
    check("select * from trip", TRIPS, Code::UnknownName, "no dataset `trip`; did you mean `Trips`?").await;
    check(
        "select * from system.query",
        TRIPS,
        Code::UnknownName,
        "no table `system.query`; did you mean `system.queries`?",
    )
    .await;
    check(
        "select $n",
        TRIPS,
        Code::ValidationError,
        "the statement asks for `$n`, which `parameters` does not hold",
    )
    .await;

    let error = check_against(&fixture, "select id,\n  city from trips", "id: int64").await.unwrap_err();
    let Error::UnknownName { place, .. } = error else { panic!("{error:?}") };
    assert_eq!(place, Some(Place { line: 2, column: 3 }));
}

#[tokio::test]
async fn a_parameter_has_its_type() {
    let fixture = Fixture::new().await;
    let tables = HashMap::from([("trips".to_owned(), schema(TRIPS))]);
    let from = |kind: Option<ParameterType>| {
        Parameters::from([(
            "from".to_owned(),
            kind.map_or_else(Parameter::null, |kind| Parameter::one("from", kind, None).unwrap()),
        )])
    };
    let statement = "select id, $from as since from trips where day >= $from";
    let found = fixture
        .engine
        .check_against(statement, &from(Some(ParameterType::Date)), &tables, None)
        .await
        .unwrap();
    assert_eq!(shown(&found), "id: int64, since: date");
    let wrong =
        fixture.engine.check_against(statement, &from(Some(ParameterType::Bool)), &tables, None).await;
    assert_eq!(wrong.unwrap_err().code(), Code::InvalidSql);
}

/// Each statement is asked of versions that are there, and checked against their columns.
#[tokio::test]
async fn the_answer_is_that_of_a_query() {
    let fixture = Fixture::new().await;
    let mut manifest = testing::empty_manifest();
    manifest.columns = schema(TRIPS)
        .fields()
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            null_count: 0,
        })
        .collect();
    let rows = TableRows::Version(Arc::new(manifest));
    let statements = [
        "select * from trips",
        "select city, count(*), min(day), avg(fare) from trips group by 1 having count(*) > 2 order by 2",
        "select *, row_number() over (partition by city order by day) as n, lag(fare) over (order by id) from trips",
        "select t.id, u.fare from trips t left join trips u on t.id = u.id and t.fare > u.fare",
        "select id from trips where fare > (select avg(fare) from trips) and city in (select city from trips)",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5) select i, city from n, trips",
        "select median(fare), array_agg(city), string_agg(city, ',' order by day) from trips",
        "select city, date_trunc('month', day) as month from trips union select 'x', now()",
        "select coalesce(city, 1) from trips",
        "select fare || city, id + fare, day - day, day + 1 from trips",
        "select day + fare from trips",
        "select sum(city) from trips",
        "select city, id from trips group by city",
        "select id from trips where exists (select 1 from trips u where u.fare + trips.id > 3 limit 1)",
        "select (select u.id from trips u where u.city = t.city) from trips t",
        "select id from trips order by 5",
        "select count(*) over (order by id range between 'x' preceding and current row) from trips",
        "select cast('x' as int) from trips",
        "select sum(distinct fare) over (order by id rows 2 preceding) from trips",
        "explain select id from trips",
    ];
    for statement in statements {
        let tables = vec![SpecTable { name: "trips".to_owned(), rows: rows.clone() }];
        let run = fixture
            .engine
            .run(QuerySpec {
                tables,
                time_zone: "Asia/Tokyo".to_owned(),
                ..testing::spec(&fixture, statement)
            })
            .await;
        let run =
            run.map(|rows| Arc::clone(rows.schema())).map_err(|error| (error.code(), error.to_string()));
        let checked = check_against(&fixture, statement, TRIPS).await;
        let checked = checked.map_err(|error| (error.code(), error.to_string()));
        assert_eq!(checked, run, "{statement}");
    }
}
