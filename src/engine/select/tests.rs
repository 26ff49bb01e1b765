//! Which rows a condition leaves, and what is none.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::{Selected, Selection};
use crate::catalog::record::{CacheUse, QueryKind};
use crate::engine::testing::{Fixture, NOW, text};
use crate::engine::{About, Parameter, ParameterType, Parameters, QueryStream, version_read};
use crate::error::{Code, Error, Place, Result};
use crate::ids::{QueryId, UserId};

async fn select(fixture: &Fixture, selection: Selection) -> Result<QueryStream> {
    let manifest = Arc::new(fixture.manifest.clone());
    let about = About {
        query_id: QueryId::random(),
        user_id: UserId::random(),
        kind: QueryKind::Transform,
        statement: "SELECT".to_owned(),
        tables: vec![version_read("trips".to_owned(), &manifest)],
        asked_at: NOW,
        cache: CacheUse::Bypass,
    };
    fixture.engine.select(manifest, selection, about).await
}

fn selection(columns: &str, filter: &str) -> Selection {
    let columns: Vec<_> = columns.split_whitespace().map(str::to_owned).collect();
    Selection {
        columns: (!columns.is_empty()).then_some(columns),
        filter: (!filter.is_empty()).then(|| filter.to_owned()),
        ..Selection::default()
    }
}

#[tokio::test]
async fn rows_that_meet_a_condition() {
    let fixture = Fixture::new().await;
    let check = async |columns: &str, filter: &str, expected: &[&str]| {
        let rows = select(&fixture, selection(columns, filter)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut rows = text(rows).await.unwrap();
        rows.sort_unstable();
        assert_eq!(rows, expected, "{columns}: {filter}");
    };
    check("id", "id < 3", &["0", "1", "2"]).await;
    check("city id", "fare > 6 and fare <= 9.0", &["Oslo|6", "大阪|5"]).await;
    check("", "day = date '2024-01-03'", &["2|Oslo|2024-01-03|3.0"]).await;
    check("id", "city is null", &["4", "9"]).await;
    check("id", "city in ('東京', 'Lima') or id = 9", &["0", "3", "7", "8", "9"]).await;
    check("id", "dataset.id % 5 = 0", &["0", "5"]).await;
    check("id", "day < now() and id > 8 -- the last", &["9"]).await;
    check("id", "false", &[]).await;
    check("id", "null", &[]).await;
    // A column that is not wanted decides all the same, and `id` is a name to the letter.
    check("fare", "id = 1", &["1.5"]).await;
}

#[tokio::test]
async fn a_condition_has_parameters_and_a_zone() {
    let fixture = Fixture::new().await;
    let from = Parameter::one("from", ParameterType::Date, Some("2024-01-09")).unwrap();
    let parameters = Parameters::from([("from".to_owned(), from)]);
    let asked = Selection { parameters: parameters.clone(), ..selection("id", "day >= $from") };
    let mut rows = text(select(&fixture, asked).await.unwrap()).await.unwrap();
    rows.sort_unstable();
    assert_eq!(rows, ["8", "9"]);
    let zone = Some("Asia/Tokyo".parse().unwrap());
    let asked =
        Selection { time_zone: zone, rows: Some(1), ..selection("id", "to_char(now(), '%H') = '09'") };
    assert_eq!(text(select(&fixture, asked).await.unwrap()).await.unwrap().len(), 1);
    for (filter, parameters) in [("day >= $from", Parameters::new()), ("", parameters)] {
        let asked = Selection { parameters, ..selection("id", filter) };
        assert_eq!(select(&fixture, asked).await.unwrap_err().code(), Code::ValidationError);
    }
}

#[tokio::test]
async fn a_condition_is_one_expression_over_columns() {
    let fixture = Fixture::new().await;
    let check = async |filter: &str, code: Code, expected: &str| {
        let error = select(&fixture, selection("id", filter)).await.expect_err(filter);
        assert_eq!(error.code(), code, "{filter}: {error}");
        assert!(error.to_string().contains(expected), "{filter}: {error}");
        let checked =
            fixture.engine.check_selection(&fixture.manifest.schema(), selection("id", filter)).await;
        assert_eq!(checked.expect_err(filter).to_string(), error.to_string(), "{filter}");
    };
    check("id in (select id from dataset)", Code::InvalidSql, "no sub-query").await;
    check("exists (select 1)", Code::InvalidSql, "no sub-query").await;
    check("id = (select 1)", Code::InvalidSql, "no sub-query").await;
    check("id > all (select 1)", Code::InvalidSql, "no sub-query").await;
    check("row_number() over () = 1", Code::InvalidSql, "no window function").await;
    check("count(*) > 1", Code::InvalidSql, "").await;
    check("sum(id) > 1", Code::InvalidSql, "").await;
    check("id > 1 union select 1", Code::InvalidSql, "expected one expression that ends here").await;
    check("true) or (true", Code::InvalidSql, "expected one expression that ends here").await;
    check("true; drop table trips", Code::InvalidSql, "expected one expression that ends here").await;
    check("true limit 1", Code::InvalidSql, "expected one expression that ends here").await;
    check(" ", Code::InvalidSql, "").await;
    check("id", Code::InvalidSql, "").await;
    check("ids = 1", Code::UnknownName, "did you mean `id`?").await;
    check("trips.id = 1", Code::UnknownName, "").await;
    check("nothing(id)", Code::UnknownName, "no function `nothing`").await;
    check("id = $n", Code::ValidationError, "`$n`").await;
    check("id = ?", Code::InvalidSql, "names no parameter").await;
    check(&"(".repeat(200), Code::OverLimit, "50 levels").await;
    check(&vec!["id = 1"; 2_000].join(" or "), Code::OverLimit, "more than").await;
    check(&"id = 1 ".repeat(20_000), Code::OverLimit, "bytes").await;

    let error = select(&fixture, selection("id", "id = 1 and\n  ids = 2")).await.unwrap_err();
    let Error::UnknownName { place, .. } = error else { panic!("{error:?}") };
    assert_eq!(place, Some(Place { line: 2, column: 3 }));
    let error = select(&fixture, selection("id none", "true")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        (Code::ValidationError, "there is no column `none`".to_owned())
    );
}

#[tokio::test]
async fn a_selection_tells_what_it_needs() {
    let fixture = Fixture::new().await;
    let check = async |columns: &str, filter: &str, expected: (&str, &str)| {
        let found =
            fixture.engine.check_selection(&fixture.manifest.schema(), selection(columns, filter)).await;
        let Selected { schema, reads } = found.unwrap();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!((names.join(" ").as_str(), reads.join(" ").as_str()), expected, "{columns}: {filter}");
    };
    check("", "", ("id city day fare", "id city day fare")).await;
    check("fare id", "", ("fare id", "id fare")).await;
    check("id", "fare > 1 and city is null", ("id", "id city fare")).await;

    let changed =
        Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("fare", DataType::Utf8, true)]);
    let broken = fixture.engine.check_selection(&changed, selection("id", "city is null")).await;
    assert_eq!(broken.unwrap_err().to_string(), "no column `city`");
    let broken = fixture.engine.check_selection(&changed, selection("id city", "")).await;
    assert_eq!(broken.unwrap_err().to_string(), "there is no column `city`");
    let broken = fixture.engine.check_selection(&changed, selection("id", "fare + 1 > 2")).await;
    assert_eq!(broken.unwrap_err().code(), Code::InvalidSql);
}
