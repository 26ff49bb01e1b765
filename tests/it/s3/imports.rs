//! Imports from S3: objects that stay where they are, read as they come, and read again.

use std::io::Write as _;

use axum::http::Method;
use serde_json::{Value, json};

use super::TestBucket;
use super::bucket::STRANGER;
use crate::support::{Person, Reply, TestApp};

/// A service that keeps its objects in one bucket, and people who import from another.
struct Scene {
    app: TestApp,
    ana: Person,
    from: TestBucket,
    own: TestBucket,
}

impl Scene {
    async fn new() -> Option<Self> {
        let (own, from) = (TestBucket::new().await?, TestBucket::new().await?);
        let app = own.app();
        let ana = app.ana().await;
        Some(Self { app, ana, from, own })
    }

    async fn import(&self, key: &str, more: Value) -> Reply {
        let mut body = json!({ "s3_bucket": self.from.name, "s3_key": key });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post("/api/datasets/s3-import").by(&self.ana).json(&body).send().await
    }

    async fn again(&self, id: &str, how: &str, body: Value) -> Reply {
        let path = format!("/api/datasets/{id}/{how}");
        self.app.call(Method::POST, &path).by(&self.ana).json(&body).send().await
    }

    async fn rows(&self, sql: &str) -> Value {
        self.app.rows(&self.ana, sql).await
    }
}

fn id(view: &Value) -> String {
    view["dataset_id"].as_str().unwrap().to_owned()
}

/// Code, field and message of an answer that has to be an error.
fn refusal(reply: &Reply, status: u16) -> (String, String, String) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body: Value = serde_json::from_str(reply.text()).unwrap();
    let error = &body["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&error["code"]), text(&error["details"]["field"]), text(&error["message"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_becomes_a_dataset_that_knows_its_source() {
    let Some(scene) = Scene::new().await else { return };
    let key = "exports/売上 2024.csv";
    scene.from.put(key, "day;shop;amount\n2024-01-05;Oslo;10\n2024-01-06;東京;20\n").await;
    let more = json!({
        "name": "sales", "has_header": true, "delimiter": ";", "encoding": "utf-8", "partition_column": "day"
    });
    let view = scene.import(key, more).await.data(201);
    assert_eq!(view["source_type"], "s3_csv");
    assert_eq!(view["source_config"]["s3_bucket"], scene.from.name.as_str());
    assert_eq!(view["source_config"]["s3_key"], key);
    assert_eq!((&view["name"], &view["row_count"]), (&json!("sales"), &json!(2)));
    assert_eq!(
        scene.rows("select shop, amount from sales order by day").await,
        json!([["Oslo", 10], ["東京", 20]])
    );

    // The same source, newer.
    let id = id(&view);
    scene
        .from
        .put(key, "day;shop;amount\n2024-01-05;Oslo;10\n2024-01-06;東京;20\n2024-01-07;Lima;30\n")
        .await;
    let dry = scene.again(&id, "reimport/dry-run", json!({})).await.data(200);
    assert_eq!((&dry["has_schema_changes"], &dry["new_row_count"]), (&json!(false), &json!(3)));
    let done = scene.again(&id, "import", json!({})).await.data(200);
    assert_eq!((&done["import_status"], &done["version"]), (&json!("completed"), &json!(2)));
    assert_eq!(scene.rows("select sum(amount) from sales").await, json!([[60]]));

    // Other columns are written when they are confirmed.
    scene.from.put(key, "day;shop;amount;note\n2024-01-05;Oslo;10;x\n").await;
    let pending = scene.again(&id, "import", json!({})).await.data(200);
    assert_eq!(pending["import_status"], "pending_confirmation");
    assert_eq!(pending["schema_changes"][0]["column"], "note");
    let done = scene.again(&id, "import", json!({ "force": true })).await.data(200);
    assert_eq!(done["version"], 3);

    // Gone.
    let store = scene.from.store();
    object_store::ObjectStoreExt::delete(store.as_ref(), &object_store::path::Path::parse(key).unwrap())
        .await
        .unwrap();
    let (code, field, message) = refusal(&scene.again(&id, "import", json!({})).await, 400);
    assert_eq!((code.as_str(), field.as_str()), ("VALIDATION_ERROR", "s3_key"), "{message}");
    assert_eq!(scene.rows("select count(*) from sales").await, json!([[1]]), "the last version stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_allowed_is_said() {
    let Some(scene) = Scene::new().await else { return };
    scene.from.put("a.csv", "x\n1\n").await;
    scene.own.put("datasets/stolen.csv", "x\n1\n").await;
    let ask = async |app: &TestApp, by: &Person, bucket: &str, key: &str| {
        let body = json!({ "s3_bucket": bucket, "s3_key": key, "name": "t" });
        app.post("/api/datasets/s3-import").by(by).json(&body).send().await
    };
    let check = async |bucket: &str, key: &str, status: u16, field: &str, part: &str| {
        let reply = ask(&scene.app, &scene.ana, bucket, key).await;
        let (_, found, message) = refusal(&reply, status);
        assert_eq!(found, field, "{message}");
        assert!(message.contains(part), "{message}");
    };
    let name = scene.from.name.as_str();
    check(name, "b.csv", 400, "s3_key", "there is no `b.csv`").await;
    check(name, "b/", 400, "s3_key", "there is nothing below `b/`").await;
    check("no-such-bucket-here", "a.csv", 400, "s3_bucket", "there is no bucket `no-such-bucket-here`").await;
    check("Not A Bucket", "a.csv", 400, "s3_bucket", "expected 3 to 63").await;
    check(name, "../a.csv", 400, "s3_key", "no `.` or `..`").await;
    check(&scene.own.name, "datasets/stolen.csv", 403, "", "nothing is imported from there").await;
    let nobody = scene.import("a.csv", json!({ "delimeter": ";" })).await;
    assert_eq!(refusal(&nobody, 400).1, "delimeter");

    // A service whose keys do not open the bucket, and one whose operator named others.
    let closed = TestApp::with(&[scene.own.settings_by(STRANGER), vec![("OBJECT_STORE", "folder")]].concat());
    let bob = closed.ana().await;
    let (code, _, message) = refusal(&ask(&closed, &bob, name, "a.csv").await, 403);
    assert_eq!(
        (code.as_str(), message),
        ("FORBIDDEN", format!("the service may not read `s3://{name}/a.csv`"))
    );
    let settings = [vec![("S3_IMPORT_BUCKETS", "sales, exports")], scene.own.settings()].concat();
    let picky = TestApp::with(&settings);
    let eve = picky.ana().await;
    let (code, _, message) = refusal(&ask(&picky, &eve, name, "a.csv").await, 403);
    assert_eq!(code, "FORBIDDEN", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_below_a_prefix_are_one_dataset() {
    let Some(scene) = Scene::new().await else { return };
    // In the order of their keys; a last line without an end; a mark of a program; another encoding further on.
    scene.from.put("y/01.csv", "id,city\n1,Oslo\n2,Lima").await;
    let (kyoto, _, _) = encoding_rs::SHIFT_JIS.encode("id,city\n3,京都の支店\n4,札幌\n");
    scene.from.put("y/02.csv", kyoto.into_owned()).await;
    scene.from.put("y/deeper/03.csv", "id,city\r\n5,Bergen\r\n").await;
    scene.from.put("y/_SUCCESS", "").await;
    scene.from.put("yet/another.csv", "id,city\n99,No\n").await;
    let view = scene.import("y/", json!({ "name": "cities", "encoding": "shift_jis" })).await.data(201);
    assert_eq!((&view["row_count"], &view["source_config"]["s3_key"]), (&json!(5), &json!("y/")));
    let all = json!([[1, "Oslo"], [2, "Lima"], [3, "京都の支店"], [4, "札幌"], [5, "Bergen"]]);
    assert_eq!(scene.rows("select id, city from cities order by id").await, all);

    // Found, where the first object does not show it.
    let view = scene.import("y/", json!({ "name": "found" })).await.data(201);
    assert_eq!(view["row_count"], 5);
    assert_eq!(scene.rows("select id, city from found order by id").await, all);

    // One more object is one more part of the next version.
    scene.from.put("y/04.csv", "id,city\n6,Nice\n").await;
    let done = scene.again(&id(&view), "import", json!({})).await.data(200);
    assert_eq!(done["row_count"], 6);

    // Another header is another table; a wrong row is found in its object.
    scene.from.put("y/05.csv", "city,id\nRome,7\n").await;
    let (_, _, message) = refusal(&scene.import("y/", json!({ "name": "mixed" })).await, 400);
    assert!(message.contains("`05.csv`") && message.contains("not that of `01.csv`"), "{message}");
    scene.from.put("z/1.csv", "id,city\n1,Oslo\n").await;
    scene.from.put("z/2.csv", "id,city\n2,Oslo\n3\n").await;
    let (_, _, message) = refusal(&scene.import("z/", json!({ "name": "ragged" })).await, 400);
    assert!(message.contains("line 3") && message.contains("(in `2.csv`)"), "{message}");
}

/// Many pieces, so that those asked for ahead come together in order; plain and compressed.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_read_as_it_comes() {
    let Some(scene) = Scene::new().await else { return };
    let rows = 700_000_u64;
    let mut csv = String::from("id,double,text\n");
    for id in 0..rows {
        csv.push_str(&format!("{id},{},row number {id:08}\n", 2 * id));
    }
    assert!(csv.len() > 20 << 20, "{} bytes are too few pieces", csv.len());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    scene.from.put("large.csv.gz", gzip.finish().unwrap()).await;
    scene.from.put("large.csv", csv).await;
    for key in ["large.csv", "large.csv.gz"] {
        let name = key.replace('.', "_");
        let view = scene.import(key, json!({ "name": name })).await.data(201);
        assert_eq!(view["row_count"], rows, "{key}");
        let sql = format!("select sum(id), sum(double), count(distinct text) from \"{name}\"");
        assert_eq!(
            scene.rows(&sql).await,
            json!([[rows * (rows - 1) / 2, rows * (rows - 1), rows]]),
            "{key}"
        );
    }
    assert!(scene.app.spooled().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_waits_on_the_disk_within_its_limit() {
    let Some(scene) = Scene::new().await else { return };
    scene.from.put("t.csv", "id,city\n1,Oslo\n2,Lima\n").await;
    let csv = id(&scene.import("t.csv", json!({ "name": "t" })).await.data(201));
    let export = format!("/api/datasets/{csv}/export?format=parquet");
    let parquet = scene.app.get(&export).by(&scene.ana).send().await;
    assert_eq!(parquet.status, 200);
    let bytes = parquet.bytes.to_vec();
    scene.from.put("t.parquet", bytes.clone()).await;
    let view = scene.import("t.parquet", json!({ "name": "typed" })).await.data(201);
    assert_eq!(view["source_type"], "s3_file");
    assert_eq!(scene.rows("select id, city from typed order by id").await, json!([[1, "Oslo"], [2, "Lima"]]));
    assert!(scene.app.spooled().is_empty(), "what was spooled is removed");

    let mut large = bytes;
    large.resize((1 << 20) + 1, 0);
    scene.from.put("large.parquet", large).await;
    let small = TestApp::with(&[scene.own.settings(), vec![("IMPORT_UPLOAD_MB", "1")]].concat());
    let bob = small.ana().await;
    let body = json!({ "s3_bucket": scene.from.name, "s3_key": "large.parquet", "name": "large" });
    let reply = small.post("/api/datasets/s3-import").by(&bob).json(&body).send().await;
    assert_eq!(refusal(&reply, 413).0, "PAYLOAD_TOO_LARGE");
    scene.from.put("p/1.parquet", "PAR1").await;
    let (_, field, message) = refusal(&scene.import("p/", json!({ "name": "many" })).await, 400);
    assert_eq!(field, "s3_key", "{message}");
    let (_, _, message) = refusal(&scene.import("p/1.parquet", json!({ "name": "broken" })).await, 400);
    assert!(message.contains("1.parquet"), "{message}");
}
