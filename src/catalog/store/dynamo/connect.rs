//! The client: where it connects to, as whom, and how long it tries.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_dynamodb::config::Region;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::{Client, Config};
use tokio::sync::OnceCell;

use super::DynamoSettings;
use super::counted::Counted;
use crate::catalog::store::StoreCalls;

/// Attempts of one call. Between them it waits, a random part of a time that doubles; and all calls together have a
/// budget of retries, so that a server in trouble is not asked three times as much.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(3);
/// Of a call with all its attempts.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Both keys for a local server, which takes any. It keeps tables apart by the first unless it is told `-sharedDb`.
const LOCAL_KEY: &str = "local";

pub(super) fn client(settings: &DynamoSettings, calls: StoreCalls) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS_MAX)
        .with_initial_backoff(BACKOFF_FIRST)
        .with_max_backoff(BACKOFF_MAX);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .operation_attempt_timeout(ATTEMPT_DEADLINE)
        .operation_timeout(CALL_DEADLINE)
        .build();
    let mut config = Config::builder()
        .behavior_version_latest()
        .region(Region::new(settings.region.clone()))
        .retry_config(retries)
        .timeout_config(timeouts)
        .interceptor(Counted { calls });
    config = match &settings.endpoint {
        Some(endpoint) if endpoint.starts_with("http://") => {
            config.endpoint_url(endpoint).credentials_provider(Local)
        }
        Some(endpoint) => config.endpoint_url(endpoint).credentials_provider(Chain::of(settings)),
        None => config.credentials_provider(Chain::of(settings)),
    };
    Client::from_conf(config.build())
}

/// The default chain of AWS, made when it is first asked: making it looks at files.
#[derive(Debug)]
struct Chain {
    region: String,
    chain: OnceCell<DefaultCredentialsChain>,
}

impl Chain {
    fn of(settings: &DynamoSettings) -> Self {
        Self { region: settings.region.clone(), chain: OnceCell::new() }
    }

    async fn credentials(&self) -> provider::Result {
        let region = Region::new(self.region.clone());
        let chain =
            self.chain.get_or_init(|| DefaultCredentialsChain::builder().region(region).build()).await;
        chain.provide_credentials().await
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// For a server without TLS: the keys of the environment, or any. Those of a machine's role are not shown to it.
#[derive(Debug)]
struct Local;

impl ProvideCredentials for Local {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match EnvironmentVariableCredentialsProvider::new().provide_credentials().await {
                Ok(found) => Ok(found),
                Err(_) => Ok(Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "shirabe")),
            }
        })
    }
}
