//! Credentials as every AWS program finds them: environment, profile, web identity, container, instance.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error, Result};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

/// Credentials that end sooner are renewed, so that no request is signed with ones that end on its way.
const RENEWED_BEFORE: Duration = Duration::from_mins(5);
/// How long ones that are still good are used after a renewal failed, before it is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Credentials that say no end may be changed behind our back, such as those of a profile.
const READ_AGAIN_AFTER: Duration = Duration::from_mins(15);

/// The chain, and what it found last.
#[derive(Debug)]
pub(super) struct AwsChain {
    region: String,
    chain: OnceCell<DefaultCredentialsChain>,
    /// Held while they are renewed: one request asks, the others wait for it.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    credential: Arc<AwsCredential>,
    renew_at: Instant,
    /// None: they do not end.
    ends_at: Option<Instant>,
}

impl AwsChain {
    /// Asks nobody until the first request.
    pub(super) fn new(region: String) -> Self {
        Self { region, chain: OnceCell::new(), kept: Mutex::default() }
    }

    async fn find(&self) -> Result<Credentials> {
        let build = || {
            let region = Region::new(self.region.clone());
            // On the heap: the chain is large, and requests hold this among futures of their own.
            Box::pin(async { DefaultCredentialsChain::builder().region(region).build().await })
        };
        let chain = self.chain.get_or_init(build).await;
        chain.provide_credentials().await.map_err(|cause| Error::Unauthenticated {
            path: String::new(),
            source: format!("<Code>NoCredentials</Code> AWS's chain found none: {}", aws_error(&cause))
                .into(),
        })
    }
}

/// The error with its causes: the first one only says that something is wrong.
fn aws_error(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[async_trait]
impl CredentialProvider for AwsChain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        if let Some(good) = kept.as_ref().filter(|kept| now < kept.renew_at) {
            return Ok(Arc::clone(&good.credential));
        }
        match self.find().await {
            Ok(found) => {
                // `elapsed` fails for a time to come, and says how far off it is.
                let left = found.expiry().map(|ends| match ends.elapsed() {
                    Ok(_) => Duration::ZERO,
                    Err(to_come) => to_come.duration(),
                });
                let renew_in = left.map_or(READ_AGAIN_AFTER, |left| left.saturating_sub(RENEWED_BEFORE));
                let credential = Arc::new(AwsCredential {
                    key_id: found.access_key_id().to_owned(),
                    secret_key: found.secret_access_key().to_owned(),
                    token: found.session_token().map(str::to_owned),
                });
                *kept = Some(Kept {
                    credential: Arc::clone(&credential),
                    renew_at: now + renew_in,
                    ends_at: left.map(|left| now + left),
                });
                Ok(credential)
            }
            Err(error) => match kept.as_mut() {
                Some(old) if old.ends_at.is_none_or(|end| now < end) => {
                    tracing::warn!(%error, "credentials could not be renewed; those there are still good");
                    old.renew_at = now + TRIED_AGAIN_AFTER;
                    Ok(Arc::clone(&old.credential))
                }
                _ => Err(error),
            },
        }
    }
}
