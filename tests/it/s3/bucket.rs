//! A bucket on the server of the tests, and a store that counts what is asked of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequestBody;
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use shirabe::ids::random_digits;

use crate::support::TestApp;

/// Keys that the server knows: all rights, and next to none.
pub(super) const OWNER: (&str, &str) = ("shirabe", "shirabe-secret");
pub(super) const STRANGER: (&str, &str) = ("stranger", "stranger-secret");

/// The address of the server.
#[expect(clippy::disallowed_methods, reason = "`./dev test` says where the server is")]
pub(super) fn endpoint() -> Option<String> {
    let found = std::env::var("SHIRABE_S3").ok();
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "`SHIRABE_S3` is not set: see `./dev test`");
    found
}

/// A bucket of its own.
#[derive(Debug, Clone)]
pub(crate) struct TestBucket {
    pub(super) endpoint: String,
    pub(super) name: String,
}

impl TestBucket {
    /// A new one; none without a server.
    pub(crate) async fn new() -> Option<Self> {
        let bucket = Self { endpoint: endpoint()?, name: format!("test-{}", &random_digits()[..16]) };
        let (store, within) = (bucket.as_owner(), Duration::from_mins(1));
        let url = store.signed_url(http::Method::PUT, &Path::default(), within).await.unwrap();
        let made = reqwest::Client::new().put(url).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        Some(bucket)
    }

    fn as_owner(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region("ap-northeast-1")
            .with_bucket_name(&self.name)
            .with_access_key_id(OWNER.0)
            .with_secret_access_key(OWNER.1)
            .build()
            .unwrap()
    }

    /// The bucket itself, to look into it and to put things there.
    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.as_owner())
    }

    pub(super) async fn put(&self, key: &str, bytes: impl Into<PutPayload>) {
        self.as_owner().put(&Path::parse(key).unwrap(), bytes.into()).await.unwrap();
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        let store = self.as_owner();
        let mut keys: Vec<_> =
            store.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        keys.sort();
        keys
    }

    /// Uploads that have parts and no end.
    pub(super) async fn uploads(&self) -> usize {
        // The path of the bucket itself is that of an empty key; the parameter is signed with it by hand.
        let credential =
            AwsCredential { key_id: OWNER.0.to_owned(), secret_key: OWNER.1.to_owned(), token: None };
        let url = format!("{}/{}?uploads=", self.endpoint, self.name);
        let mut request = http::Request::builder().uri(&url).body(HttpRequestBody::empty()).unwrap();
        AwsAuthorizer::new(&credential, "s3", "ap-northeast-1").authorize(&mut request, None);
        let asked = reqwest::Client::new().get(&url).headers(request.headers().clone());
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.unwrap().matches("<UploadId>").count()
    }

    /// Settings of a service that keeps its objects here, acting by `keys`.
    pub(super) fn settings_by<'a>(&'a self, keys: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        vec![
            ("OBJECT_STORE", "s3"),
            ("S3_ENDPOINT", &self.endpoint),
            ("S3_BUCKET_DATASETS", &self.name),
            ("S3_ACCESS_KEY", keys.0),
            ("S3_SECRET_KEY", keys.1),
        ]
    }

    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        self.settings_by(OWNER)
    }

    /// A service that keeps its objects here.
    pub(super) fn app(&self) -> TestApp {
        TestApp::with(&self.settings())
    }

    /// The same, and what it asks of the bucket.
    pub(super) fn counted_app(&self, more: &[(&str, &str)]) -> (TestApp, Usage) {
        let usage = Usage::default();
        let settings = [self.settings(), more.to_vec()].concat();
        let app = TestApp::over(&settings, |inner| Arc::new(Counted { inner, usage: usage.clone() }));
        (app, usage)
    }
}

/// What was asked of a bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    gets: AtomicU64,
    heads: AtomicU64,
    puts: AtomicU64,
    lists: AtomicU64,
    bytes: AtomicU64,
}

/// The counts since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) gets: u64,
    pub(super) heads: u64,
    pub(super) puts: u64,
    pub(super) lists: u64,
    /// Read.
    pub(super) bytes: u64,
}

impl Usage {
    pub(super) fn take(&self) -> Taken {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        let Counts { gets, heads, puts, lists, bytes } = &*self.0;
        Taken {
            gets: take(gets),
            heads: take(heads),
            puts: take(puts),
            lists: take(lists),
            bytes: take(bytes),
        }
    }
}

#[derive(Debug)]
struct Counted {
    inner: Arc<dyn ObjectStore>,
    usage: Usage,
}

impl Counted {
    fn count(&self, which: impl Fn(&Counts) -> &AtomicU64, by: u64) {
        which(&self.usage.0).fetch_add(by, Ordering::SeqCst);
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.count(|counts| &counts.puts, 1);
        self.inner.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.count(|counts| &counts.puts, 1);
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            self.count(|counts| &counts.heads, 1);
            return self.inner.get_opts(from, options).await;
        }
        self.count(|counts| &counts.gets, 1);
        let found = self.inner.get_opts(from, options).await?;
        self.count(|counts| &counts.bytes, found.range.end - found.range.start);
        Ok(found)
    }

    async fn get_ranges(&self, _: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        panic!("{} ranges are asked for at once, which are requests that nobody counts", ranges.len())
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(|counts| &counts.lists, 1);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count(|counts| &counts.lists, 1);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
