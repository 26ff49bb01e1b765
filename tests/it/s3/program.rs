//! The program as people run it, with its objects in a bucket.

use std::process::{Command, Stdio};

use serde_json::json;

use super::TestBucket;
use crate::crash::folder::Folder;
use crate::crash::server::{Server, answer};

fn output(mut command: Command) -> (bool, String) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_imports_from_s3_and_workers_read_from_it() {
    let (Some(bucket), Some(from)) = (TestBucket::new().await, TestBucket::new().await) else { return };
    from.put("2024/01.csv", "id,city\n1,Oslo\n2,Lima\n").await;
    from.put("2024/02.csv", "id,city\n3,Nice\n").await;
    let folder = Folder::new();
    let command = |arguments: &[&str]| {
        let mut command = folder.command(arguments);
        command.envs(bucket.settings());
        command
    };
    let address = format!("s3://{}/2024/", from.name);
    let (good, text) = output(command(&["inspect", &address]));
    assert!(good && text.contains("city"), "{text}");
    let (good, text) = output(command(&["import", &address, "--name", "cities"]));
    assert!(good && text.contains("cities: 3 rows, 2 columns, version 1"), "{text}");
    from.put("2024/03.csv", "id,city\n4,Bergen\n").await;
    let (good, text) = output(command(&["import", &address, "--name", "cities", "--replace"]));
    assert!(good && text.contains("cities: 4 rows, 2 columns, version 2"), "{text}");
    let (good, text) = output(command(&["import", &format!("s3://{}/none.csv", from.name)]));
    assert!(!good && text.contains("there is no `none.csv`"), "{text}");
    let (good, text) = output(command(&["check"]));
    assert!(good, "{text}");

    let mut serve = command(&["serve"]);
    serve.env("SQL_ISOLATION", "worker");
    let server = Server::start(serve, &folder.data(), |_| String::new());
    let sql = json!({ "sql": "select count(*), max(city) from cities" });
    let (status, reply) = answer(server.post("/api/query").json(&sql)).await;
    assert_eq!((status, &reply["data"]["rows"]), (200, &json!([[4, "Oslo"]])), "{reply}");
    drop(server);

    // A bucket that is not there is told before anything is served.
    let mut lost = command(&["serve"]);
    lost.env("S3_BUCKET_DATASETS", "no-such-bucket-here");
    let (good, text) = output(lost);
    let said = format!("the bucket `no-such-bucket-here` at {} cannot be used", bucket.endpoint);
    assert!(!good && text.contains(&said) && text.contains("is not there"), "{text}");
}

/// A bucket may be shared with other services, and what is nobody's there may be theirs.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_import_that_crashed_leaves_nothing_in_the_bucket() {
    let Some(bucket) = TestBucket::new().await else { return };
    let folder = Folder::new();
    let file = folder.write("t.csv", "id,city\n1,Oslo\n");
    let command = |arguments: &[&str]| {
        let mut command = folder.command(arguments);
        command.envs(bucket.settings());
        command
    };
    let import = ["import", file.to_str().unwrap(), "--name", "t"];
    let mut crash = command(&import);
    let ended = crash.env("FAILPOINTS", "import.manifest_stored=return").status().unwrap();
    assert!(!ended.success(), "{ended}");
    assert!(bucket.keys().await.iter().any(|key| key.contains("/versions/")), "{:?}", bucket.keys().await);
    // Whose dataset this is, nothing else tells.
    let others = "datasets/ds_00000000000000000000000000000001/versions/v00000001-other.json";
    bucket.put(others, "{}").await;

    let (good, text) = output(command(&["gc"]));
    assert!(good, "{text}");
    assert_eq!(bucket.keys().await, [others], "{text}");
    let (good, text) = output(command(&import));
    assert!(good && text.contains("t: 1 rows, 2 columns, version 1"), "{text}");
    let (good, text) = output(command(&["check"]));
    assert!(good, "{text}");
}
