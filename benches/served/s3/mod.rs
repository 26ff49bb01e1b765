//! A service whose objects are in S3, on a server of this machine, and what changes when that server is far away.
//!
//! Compared: the same service over a folder; over S3; over S3 behind answers whose first byte comes 30 to 100 ms late,
//! as from a real bucket. Imports into each of them. Two services on the same tables and bucket.
//! Measured: `queries.rs` TPC-H, cold and warm, with requests and bytes; `import.rs` megabytes a second; `publish.rs`
//! how long after its acknowledgement a version is answered by the other replica.
//! Checked in the same run: answers are the same rows, imports have as many.
//! Not measured: a real bucket, whose bytes also take time on their way.
//!
//! `./dev bench s3` starts the servers, makes the bucket and says where they are by `--s3 URL --dynamodb URL`.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use shirabe::storage::{ObjectsPlace, S3, S3Settings};
use shirabe_benches::{Outcome, argument};

use super::ground::Ground;
use distance::{Distance, Late};

mod distance;
mod import;
mod publish;
mod queries;

const BUCKET: &str = "bi-datasets";
const REGION: &str = "ap-northeast-1";
const KEYS: (&str, &str) = ("shirabe", "shirabe-secret");

/// How late first bytes are on the way to a bucket.
const FAR: Late = Late { from: Duration::from_millis(30), to: Duration::from_millis(100), stuck_every: None };

/// The server of buckets, near and far.
#[derive(Debug)]
struct Place {
    near: String,
    far: Distance,
    /// As `far`, and one answer in fifty takes a second.
    unsteady: Distance,
}

pub(super) async fn measure(ground: &Ground) -> Outcome<()> {
    let near = argument("--s3").ok_or("`--s3 URL` is needed; `./dev bench s3` has one")?;
    let far = Distance::to(&near, FAR).await?;
    let unsteady = Late { stuck_every: Some((50, Duration::from_secs(1))), ..FAR };
    let place = Place { unsteady: Distance::to(&near, unsteady).await?, far, near };
    queries::measure(ground, &place).await?;
    import::measure(ground, &place).await?;
    publish::measure(&place).await
}

/// Settings of a service whose objects are in the bucket at `url`.
fn settings(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OBJECT_STORE", "s3".to_owned()),
        ("S3_ENDPOINT", url.to_owned()),
        ("S3_BUCKET_DATASETS", BUCKET.to_owned()),
        ("S3_ACCESS_KEY", KEYS.0.to_owned()),
        ("S3_SECRET_KEY", KEYS.1.to_owned()),
    ]
}

/// The bucket at `url`, as the service uses it.
async fn bucket(url: &str) -> Outcome<Arc<dyn ObjectStore>> {
    let s3 = S3::new(S3Settings {
        endpoint: Some(url.to_owned()),
        region: REGION.to_owned(),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned().into())),
        hedged_reads: true,
    });
    let place = ObjectsPlace::Bucket { s3, name: BUCKET.to_owned(), kept_in: None };
    let objects = place.open(|objects| objects)?;
    objects.check().await?;
    Ok(Arc::clone(objects.store()))
}
