//! Buckets: how they are reached, and one as the store of our objects.
//!
//! ```text
//!  dataset, engine ─▶ Bucket ─▶ AmazonS3 ─▶ counted requests ─▶ the server
//!                     small objects whole,   signs, retries
//!                     uploads that fail end  for a bounded time
//! ```
//!
//! Why: `object_store` speaks the protocol; what it leaves to its users is here. Credentials come from AWS's own
//! chain when none are set, every request is counted, an upload that came to nothing is aborted. It must not know
//! which keys mean what.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider, Checksum};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;

mod bucket;
mod chain;
mod chunks;
mod import_buckets;
mod parts;
mod wire;

pub use bucket::Bucket;
pub use import_buckets::{ImportBuckets, SourceBuckets};

use super::classify;
use crate::error::Error;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request may take, its answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A request is not tried again when it was first made longer ago than this: whoever waits is told instead.
const RETRY_BUDGET: Duration = Duration::from_secs(8);
/// How often it is tried again in that time, each time after a longer pause of random length.
const RETRIES_MAX: usize = 5;

/// How buckets are reached.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The server's address; `None`: that of AWS for the region.
    pub endpoint: Option<String>,
    pub region: String,
    /// Access key and secret; `None`: AWS's own chain.
    pub keys: Option<(String, SecretString)>,
}

/// A server of buckets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3 {
    endpoint: Option<String>,
    region: String,
    credentials: AwsCredentialProvider,
}

impl S3 {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(settings: S3Settings) -> Self {
        let S3Settings { endpoint, region, keys } = settings;
        let credentials: AwsCredentialProvider = match keys {
            Some((key_id, secret)) => Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id,
                secret_key: secret.expose_secret().to_owned(),
                token: None,
            })),
            None => Arc::new(chain::AwsChain::new(region.clone())),
        };
        Self { endpoint, region, credentials }
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("AWS in {}", self.region))
    }

    /// A bucket as it is. Whether it is there is seen when it is used.
    ///
    /// # Errors
    /// `Unavailable` when the settings make no client.
    pub fn bucket(&self, name: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        let client = ClientOptions::new()
            .with_allow_http(self.endpoint.as_deref().is_some_and(|address| address.starts_with("http://")))
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_BUDGET };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&self.region)
            .with_credentials(Arc::clone(&self.credentials))
            .with_client_options(client)
            .with_retry(retry)
            // The server compares what arrives, each part by itself.
            .with_checksum_algorithm(Checksum::SHA256)
            // Requests have a thread of their own kind: a query that keeps its threads busy does not hold up the
            // bytes that it waits for.
            .with_http_connector(wire::Counted::on(Handle::try_current().ok()));
        match &self.endpoint {
            Some(endpoint) => builder = builder.with_endpoint(endpoint),
            // A dot in the name would not match the certificate of the host.
            None => builder = builder.with_virtual_hosted_style_request(!name.contains('.')),
        }
        let built = builder.build().map_err(|cause| classify(cause, name))?;
        Ok(Arc::new(built))
    }
}
