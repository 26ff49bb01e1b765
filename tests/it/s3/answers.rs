//! What S3 answers when something is wrong, over real HTTP, from a server that says what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::any;
use axum::{Router, serve};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use shirabe::error::{Code, Error};
use shirabe::storage::{self, Bucket, Objects, ObjectsPlace, S3, S3Settings};
use shirabe::tasks;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::TestBucket;
use super::bucket::{OWNER, STRANGER};

/// A server with answers to give, the last one again and again.
struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

type Answer = (u16, &'static str);

impl Scripted {
    async fn new(answers: &[Answer]) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let left = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
        let seen = Arc::clone(&asked);
        let handler = any(async move |request: Request<Body>| {
            seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
            let mut left = left.lock().unwrap();
            let (status, body) = if left.len() > 1 { left.pop_front().unwrap() } else { left[0] };
            let whole = format!("<?xml version=\"1.0\"?><Error><Code>{body}</Code></Error>");
            let mut response =
                Response::builder().status(status).header("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT");
            if status == 206 {
                response =
                    response.header("content-range", format!("bytes 0-{}/{}", body.len() - 1, body.len()));
            }
            response.body(Body::from(if status < 300 { body.to_owned() } else { whole })).unwrap()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handler);
        let server = tasks::spawn(async move { serve(listener, router).await.unwrap() });
        Self { url, asked, _server: server }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(Bucket::over(s3(&self.url, OWNER).bucket("bi-datasets").unwrap()))
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn s3(url: &str, keys: (&str, &str)) -> S3 {
    S3::new(S3Settings {
        endpoint: Some(url.to_owned()),
        region: "ap-northeast-1".to_owned(),
        keys: Some((keys.0.to_owned(), keys.1.to_owned().into())),
        hedged_reads: true,
    })
}

fn key() -> Path {
    Path::from("datasets/ds_0123456789ab/versions/000001-00000000.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_name() {
    check((404, "NoSuchKey"), Code::StorageDamaged, "it is missing").await;
    check((404, "NoSuchBucket"), Code::ServiceUnavailable, "the bucket of the datasets is not there").await;
    check((403, "InvalidObjectState"), Code::DatasetArchived, "archived: restore it").await;
    check((403, "AccessDenied"), Code::ServiceUnavailable, "lack a right").await;
    check((403, "RequestTimeTooSkewed"), Code::ServiceUnavailable, "its clock is more than 15 minutes off")
        .await;
    check((403, "InvalidAccessKeyId"), Code::ServiceUnavailable, "credentials").await;
    check((301, "PermanentRedirect"), Code::ServiceUnavailable, "`S3_REGION`").await;
    check((400, "AuthorizationHeaderMalformed"), Code::ServiceUnavailable, "`S3_REGION`").await;

    async fn check(answer: Answer, code: Code, message: &str) {
        let server = Scripted::new(&[answer]).await;
        let error = storage::get_checked(&server.store(), &key(), "0").await.unwrap_err();
        assert_eq!(error.code(), code, "{answer:?}: {error:?}");
        assert!(error.to_string().contains(message), "{answer:?}: {error}");
        assert_eq!(server.asked(), 1, "{answer:?}: asking again does not help");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_asked_again_for_a_bounded_time() {
    let server = Scripted::new(&[(503, "SlowDown"), (500, "InternalError"), (200, "good")]).await;
    let found = storage::get_checked(&server.store(), &key(), &storage::hash(b"good")).await.unwrap();
    assert_eq!((found.as_ref(), server.asked()), (&b"good"[..], 3));

    let server = Scripted::new(&[(503, "SlowDown")]).await;
    let started = Instant::now();
    let error = storage::get_checked(&server.store(), &key(), "0").await.unwrap_err();
    assert_eq!(error.code(), Code::ServiceUnavailable);
    assert!(error.to_string().contains("come back later"), "{error}");
    assert_eq!(server.asked(), 6, "once, and five times again");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// The first request stored the object, and its answer was an error: the second finds the name taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_by_oneself_is_no_error() {
    let server = Scripted::new(&[(500, "InternalError"), (412, "PreconditionFailed"), (200, "{}")]).await;
    let written = storage::put_new(&server.store(), &key(), Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(written.byte_count, 2);
    let asked = server.asked.lock().unwrap().join(" ");
    assert_eq!(asked.matches("PUT").count(), 2, "{asked}");

    let server = Scripted::new(&[(412, "PreconditionFailed"), (200, "somebody else's")]).await;
    let error = storage::put_new(&server.store(), &key(), Bytes::from_static(b"{}")).await.unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
}

async fn refused(place: ObjectsPlace) -> String {
    let objects: Objects = place.open(|objects| objects).unwrap();
    let error = objects.check().await.unwrap_err();
    assert_eq!(error.code(), Code::ServiceUnavailable, "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_is_named_at_the_start() {
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let message =
        refused(ObjectsPlace::Bucket { s3: s3(&url, OWNER), name: "team".to_owned(), kept_in: None }).await;
    assert_eq!(
        message,
        format!("the bucket `team` at {url} cannot be used: the object store does not answer")
    );

    let Some(bucket) = TestBucket::new().await else { return };
    let at = |keys, name: &str| ObjectsPlace::Bucket {
        s3: s3(&bucket.endpoint, keys),
        name: name.to_owned(),
        kept_in: None,
    };
    let message = refused(at(OWNER, "no-such-bucket-here")).await;
    assert!(message.contains("`no-such-bucket-here`") && message.contains("is not there"), "{message}");
    let message = refused(at(STRANGER, &bucket.name)).await;
    assert!(message.contains(&bucket.name) && message.contains("lack a right"), "{message}");
    let message = refused(at((OWNER.0, "another-secret"), &bucket.name)).await;
    assert!(message.contains("does not know the service's credentials"), "{message}");
    let objects = at(OWNER, &bucket.name).open(|objects| objects).unwrap();
    objects.check().await.unwrap();
}

/// An object of one part goes in one request; one that comes to nothing leaves no parts behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_whole_or_leaves_nothing() {
    let Some(bucket) = TestBucket::new().await else { return };
    let store: Arc<dyn ObjectStore> =
        Arc::new(Bucket::over(s3(&bucket.endpoint, OWNER).bucket(&bucket.name).unwrap()));
    let bytes: Vec<u8> = (0..20_u32 << 20).map(|at| (at % 251) as u8).collect();
    for (name, length) in [("small", 1000), ("one", 8 << 20), ("many", 20 << 20)] {
        let path = Path::from(format!("datasets/{name}"));
        let mut upload = storage::Upload::start(&store, path.clone()).await.unwrap();
        for piece in bytes[..length].chunks(1 << 20) {
            upload.write(piece).await.unwrap();
        }
        let (written, _) = upload.finish().await.unwrap();
        assert_eq!(written.byte_count, length as u64);
        let read = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert!(read == bytes[..length], "{name}");
        assert_eq!(storage::hash(&read), written.blake3);
    }
    let mut dropped = storage::Upload::start(&store, Path::from("datasets/dropped")).await.unwrap();
    dropped.write(&bytes[..17 << 20]).await.unwrap();
    assert_eq!(bucket.uploads().await, 1, "two parts are there");
    drop(dropped);
    let gone = async {
        while bucket.uploads().await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the upload is aborted");
    assert_eq!(bucket.keys().await, ["datasets/many", "datasets/one", "datasets/small"]);
}
