//! Adding to what is there comes to the same as making all of it anew.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{execute, id, make, reimport, run};
use crate::support::{Person, TestApp};

/// A row of the source: when it was written, its key, its value. Later rows of a key take the place of earlier ones.
type Written = (u32, u32, i32);

fn csv(rows: &[Written]) -> String {
    let lines = rows.iter().map(|(at, key, value)| format!("{at},k{key},{value}\n"));
    format!("at,key,value\n{}", lines.collect::<String>())
}

async fn rows(app: &TestApp, by: &Person, dataset: &str) -> Value {
    app.rows(by, &format!("select at, key, value from \"{dataset}\" order by at, key, value")).await
}

/// The last row of each key from the high-water mark on.
const LATEST: &str = "select at, key, value from (select *, row_number() over (partition by key order by at desc) as n \
                      from log where $high_water is null or at > $high_water) as numbered where n = 1";

const ALL: &str = "select * from log where $high_water is null or at > $high_water";

#[test]
fn what_is_added_comes_to_the_same_as_a_full_rebuild() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let steps = prop::collection::vec(prop::collection::vec((0_u32..4, -9_i32..9), 0..6), 1..4);
    let mut runner = TestRunner::new(ProptestConfig { cases: 6, ..ProptestConfig::default() });
    runner
        .run(&steps, |steps| {
            runtime.block_on(async {
                let app = TestApp::new();
                let ana = app.ana().await;
                let mut log: Vec<Written> = vec![(0, 0, 0)];
                let source = app.dataset(&ana, "log", &csv(&log)).await;
                let write = |mode: Value, name: &str, code: &str| {
                    json!({ "name": name, "language": "sql", "code": code, "write": mode })
                };
                let append = json!({ "mode": "append", "high_water": "at" });
                let merge = json!({ "mode": "merge", "high_water": "at", "keys": ["key"] });
                let appended = id(&make(&app, &ana, &write(append.clone(), "appended", ALL)).await);
                let merged = id(&make(&app, &ana, &write(merge.clone(), "merged", LATEST)).await);
                let whole = id(&make(&app, &ana, &write(append, "whole", ALL)).await);
                let latest = id(&make(&app, &ana, &write(merge, "latest", LATEST)).await);
                let mut at = 0;
                for step in [Vec::new()].into_iter().chain(steps) {
                    for (key, value) in step {
                        at += 1;
                        log.push((at, key, value));
                    }
                    reimport(&app, &ana, &source, &csv(&log)).await.data(200);
                    run(&app, &ana, &appended).await;
                    run(&app, &ana, &merged).await;
                }
                for full in [&whole, &latest] {
                    execute(&app, &ana, full, &json!({ "full_rebuild": true })).await.data(200);
                }
                prop_assert_eq!(rows(&app, &ana, "appended").await, rows(&app, &ana, "whole").await);
                prop_assert_eq!(rows(&app, &ana, "merged").await, rows(&app, &ana, "latest").await);
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn rows_that_cannot_be_added_are_refused() {
    let app = TestApp::new();
    let ana = app.ana().await;
    app.dataset(&ana, "log", &csv(&[(1, 1, 1), (2, 1, 2)])).await;
    let merge = json!({ "mode": "merge", "high_water": "at", "keys": ["key"] });
    let body = json!({ "name": "m", "language": "sql", "code": ALL, "write": merge });
    let transform = id(&make(&app, &ana, &body).await);
    let message = execute(&app, &ana, &transform, &json!({})).await.refused(422, "BAD_DATA");
    assert!(message.contains("1 keys (key) are in more than one row"), "{message}");

    let append = json!({ "mode": "append", "high_water": "at" });
    let body = json!({ "name": "a", "language": "sql", "code": "select at from log", "write": append });
    let transform = id(&make(&app, &ana, &body).await);
    run(&app, &ana, &transform).await;
    super::change(
        &app,
        &ana,
        &transform,
        &json!({ "code": "select at, key from log", "retries": { "max": 0, "backoff_s": 0 } }),
    )
    .await
    .data(200);
    let message = execute(&app, &ana, &transform, &json!({})).await.refused(409, "CONFLICT");
    assert!(
        message.contains("(at int64), the result has (at int64, key string); run a full rebuild"),
        "{message}"
    );
    execute(&app, &ana, &transform, &json!({ "full_rebuild": true })).await.data(200);
    let append = json!({ "write": { "mode": "append", "high_water": "when" } });
    super::change(&app, &ana, &transform, &append).await.data(200);
    let message = execute(&app, &ana, &transform, &json!({})).await.refused(400, "VALIDATION_ERROR");
    assert!(message.contains("no column `when`"), "{message}");
}
