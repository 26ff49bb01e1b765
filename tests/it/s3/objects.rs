//! Datasets whose files are in a bucket: written, read, checked, collected, and read no more than needed.

use serde_json::json;

use super::TestBucket;
use crate::support::{Form, Person, TestApp};

/// Rows of a table with a day, in `days` days of January 2024.
fn sales(days: u32, rows_per_day: u32) -> String {
    let mut csv = String::from("計上日,shop,amount,note\n");
    for day in 1..=days {
        for row in 0..rows_per_day {
            let amount = day * 1000 + row;
            csv.push_str(&format!("2024-01-{day:02},shop {},{amount},note {day}-{row}\n", row % 7));
        }
    }
    csv
}

async fn by_day(app: &TestApp, by: &Person, days: u32, rows_per_day: u32) -> String {
    let form = Form::new().file("sales.csv", sales(days, rows_per_day)).text("partition_column", "計上日");
    let view = app.post("/api/datasets").by(by).form(form).send().await.data(201);
    view["dataset_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_lives_in_a_bucket() {
    let Some(bucket) = TestBucket::new().await else { return };
    let app = bucket.app();
    let ana = app.ana().await;
    let id = by_day(&app, &ana, 3, 50).await;
    let rows = app.rows(&ana, "select count(*) as n, sum(amount) as total from sales").await;
    assert_eq!(rows, json!([[150, 303_675]]));

    // The keys of the folder are those of the bucket.
    let keys = bucket.keys().await;
    let below =
        |part: &str| keys.iter().filter(|key| key.starts_with(&format!("datasets/{id}/{part}"))).count();
    assert_eq!((below("partitions/"), below("versions/"), keys.len()), (3, 1, 4), "{keys:#?}");
    assert!(keys.iter().any(|key| key.contains("=2024-01-02/part-0001.parquet")), "{keys:#?}");
    assert_eq!(app.findings().await, json!([]));
    assert!(!app.path().join("objects").exists(), "nothing is in the folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_collected_from_the_bucket() {
    let Some(bucket) = TestBucket::new().await else { return };
    let app = TestApp::with(&[bucket.settings(), vec![("GC_GRACE_HOURS", "0")]].concat());
    let ana = app.ana().await;
    let id = by_day(&app, &ana, 2, 5).await;
    bucket.put(&format!("datasets/{id}/data/000009-deadbeef/part-0000.parquet"), "left over").await;
    let collect = async || app.post("/api/admin/gc").by(&app.operator()).send().await.data(200);
    let collected = collect().await;
    assert_eq!(collected["objects_deleted"], 1, "{collected}");
    assert_eq!(bucket.keys().await.len(), 3);
    assert_eq!(app.delete(&format!("/api/datasets/{id}")).by(&ana).send().await.status, 204);
    collect().await;
    assert_eq!(bucket.keys().await, [""; 0]);
}

/// A database that is lost, or another one beside it, must not empty the bucket.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_installation_published_is_left_alone() {
    let Some(bucket) = TestBucket::new().await else { return };
    let first = bucket.app();
    let ana = first.ana().await;
    let id = by_day(&first, &ana, 2, 5).await;
    let second = TestApp::with(&[bucket.settings(), vec![("GC_GRACE_HOURS", "0")]].concat());
    bucket.put("datasets/ds_0123456789abcdef/data/000001-deadbeef/part-0000.parquet", "left over").await;
    let collected = second.post("/api/admin/gc").by(&second.operator()).send().await.data(200);
    // What never had a manifest is nobody's.
    assert_eq!(collected["objects_deleted"], 1, "{collected}");
    assert_eq!(collected["skipped"], json!([id]));
    assert_eq!(first.findings().await, json!([]));
}

/// The files and bytes that are counted are those that are asked for, and nothing is asked for twice.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_days_that_are_asked_for_are_read() {
    let Some(bucket) = TestBucket::new().await else { return };
    let (app, usage) = bucket.counted_app(&[("QUERY_CACHE_MB", "0"), ("QUERY_COLUMNS_MB", "0")]);
    let ana = app.ana().await;
    by_day(&app, &ana, 20, 2_000).await;
    let written = usage.take();
    // 20 files and a manifest, each in one request; the manifest that was written is read once, to be kept.
    assert_eq!((written.puts, written.heads, written.lists), (21, 0, 0), "{written:?}");

    let ask = async |days: &str| {
        let sql = format!("select count(*), sum(amount) from sales where \"計上日\" {days}");
        let reply = app.query(&ana, &sql).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        usage.take()
    };
    let one = ask("= date '2024-01-05'").await;
    // A file of a day is small: its end, with the footer, is all of it.
    assert_eq!((one.heads, one.lists), (0, 0), "{one:?}");
    assert!((1..=2).contains(&one.gets), "{one:?}");
    let three = ask("between date '2024-01-06' and date '2024-01-08'").await;
    assert!((3..=6).contains(&three.gets), "{three:?}");
    assert!(three.bytes < 7 * one.bytes / 2, "{three:?} against {one:?}");
    let all = ask(">= date '2024-01-01'").await;
    assert!(all.bytes > 15 * one.bytes, "{all:?} against {one:?}");

    // Footers are known now: one request a file, for its columns.
    let warm = ask("between date '2024-01-06' and date '2024-01-08'").await;
    assert_eq!((warm.gets, warm.heads, warm.lists), (3, 0, 0), "{warm:?}");
    let none = ask("= date '2023-01-01'").await;
    assert_eq!((none.gets, none.bytes), (0, 0), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_kept_on_the_disk_when_that_is_asked_for() {
    let Some(bucket) = TestBucket::new().await else { return };
    let (app, usage) =
        bucket.counted_app(&[("QUERY_CACHE_MB", "0"), ("QUERY_COLUMNS_MB", "0"), ("S3_CACHE_MB", "64")]);
    let ana = app.ana().await;
    by_day(&app, &ana, 5, 2_000).await;
    usage.take();
    let ask = async || {
        assert_eq!(app.rows(&ana, "select count(*) from sales where amount > 0").await, json!([[10_000]]));
        usage.take().gets
    };
    let cold = ask().await;
    assert!((5..=10).contains(&cold), "{cold} requests for five small files");
    // Parts are written to the disk while nobody waits for them.
    let files = || std::fs::read_dir(app.path().join("cache")).unwrap().count();
    let kept = async {
        while files() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), kept).await.expect("the parts are kept");
    assert_eq!(ask().await, 0, "nothing is asked for again");
}
