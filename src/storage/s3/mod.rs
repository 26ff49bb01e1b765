//! Buckets: how they are reached, and one as the store of our objects.
//!
//! ```text
//!  dataset, engine ─▶ Bucket ─▶ AmazonS3 ─▶ attempts ─▶ counted requests ─▶ the server
//!                     small objects whole,   signs      again for a bounded time,
//!                     uploads that fail end             within a budget of all
//! ```
//!
//! Why: `object_store` speaks the protocol; what it leaves to its users is here. Credentials come from AWS's own
//! chain when none are set, every request is counted, what is tried again is bounded for all requests together, an
//! upload that came to nothing is aborted. It must not know which keys mean what.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider, Checksum};
use object_store::{ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;

mod attempts;
mod bucket;
mod chain;
mod chunks;
mod import_buckets;
mod latencies;
mod parts;
mod retry_budget;
mod wire;

pub use bucket::Bucket;
pub use import_buckets::{ImportBuckets, SourceBuckets};

use super::classify;
use crate::error::Error;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request may take, its answer included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How buckets are reached.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The server's address; `None`: that of AWS for the region.
    pub endpoint: Option<String>,
    pub region: String,
    /// Access key and secret; `None`: AWS's own chain.
    pub keys: Option<(String, SecretString)>,
    /// Whether a read whose answer is late is made a second time.
    pub hedged_reads: bool,
}

/// A server of buckets. Cheap to clone: clones share a budget of requests that are made again.
#[derive(Debug, Clone)]
pub struct S3 {
    endpoint: Option<String>,
    region: String,
    credentials: AwsCredentialProvider,
    shared: Arc<attempts::Shared>,
}

impl S3 {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(settings: S3Settings) -> Self {
        let S3Settings { endpoint, region, keys, hedged_reads } = settings;
        let credentials: AwsCredentialProvider = match keys {
            Some((key_id, secret)) => Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id,
                secret_key: secret.expose_secret().to_owned(),
                token: None,
            })),
            None => Arc::new(chain::AwsChain::new(region.clone())),
        };
        Self { endpoint, region, credentials, shared: Arc::new(attempts::Shared::new(hedged_reads)) }
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
        // What is tried again is decided by the connector, for all requests together.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
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
            .with_http_connector(wire::Connector {
                threads: Handle::try_current().ok(),
                shared: Arc::clone(&self.shared),
            });
        match &self.endpoint {
            Some(endpoint) => builder = builder.with_endpoint(endpoint),
            // A dot in the name would not match the certificate of the host.
            None => builder = builder.with_virtual_hosted_style_request(!name.contains('.')),
        }
        let built = builder.build().map_err(|cause| classify(cause, name))?;
        Ok(Arc::new(built))
    }
}
