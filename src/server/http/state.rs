//! What handlers may ask, put together by the composition root.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRequestParts, State};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::health::HealthProbe;
use super::rate_limit::RateLimits;
use crate::account::Accounts;
use crate::catalog::store::DatasetStore;
use crate::cidr::Cidr;
use crate::clock::Clock;
use crate::dataset::jobs::Jobs;
use crate::dataset::{Datasets, Outcome};
use crate::engine::Engine;
use crate::executor::Executor;
use crate::macros::Macros;
use crate::telemetry::Metrics;
use crate::transform::Transforms;
use crate::transform::schedule::Scheduler;

/// The services behind the door, and the door's own settings.
#[derive(Debug)]
pub struct Services {
    pub accounts: Accounts,
    /// Where statements look datasets up.
    pub catalog: Arc<dyn DatasetStore>,
    pub clock: Arc<dyn Clock>,
    pub datasets: Datasets,
    pub engine: Engine,
    /// Where Python runs.
    pub executor: Executor,
    pub health: Arc<dyn HealthProbe>,
    pub imports: Arc<Jobs<Outcome>>,
    pub macros: Macros,
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub transforms: Transforms,
    /// Starts transforms by the clock.
    pub scheduler: Arc<Scheduler<Transforms>>,
    /// Who presents it is the operator. Made anew at each start.
    pub operator_token: OperatorToken,
    pub settings: HttpSettings,
}

/// Settings of the door.
#[derive(Debug)]
pub struct HttpSettings {
    /// Exact origins of web pages that may call.
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<Cidr>,
    /// `None`: calls are not counted.
    pub rate_limits: Option<RateLimits>,
    pub upload_bytes_max: u64,
    /// Where uploads wait until they are read; emptied at start.
    pub spool_folder: PathBuf,
}

/// The services, as every handler takes them.
#[derive(Debug, Clone, FromRequestParts)]
#[from_request(via(State))]
pub struct AppState(Arc<Services>);

impl AppState {
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Whether load balancers should send requests here.
#[derive(Debug)]
pub struct Readiness(AtomicBool);

impl Readiness {
    #[must_use]
    pub fn new(ready: bool) -> Self {
        Self(AtomicBool::new(ready))
    }

    /// Says so from now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The secret by which the command line on this machine proves that it may read the data folder.
pub struct OperatorToken(SecretString);

impl OperatorToken {
    /// What every such token starts with, so that it is told apart from others at a glance.
    pub const PREFIX: &'static str = "shop_";

    /// A new one, of 256 random bits.
    #[must_use]
    pub fn random() -> Self {
        let (a, b) = (crate::ids::random_digits(), crate::ids::random_digits());
        Self(SecretString::from(format!("{}{a}{b}", Self::PREFIX)))
    }

    /// The token itself, for the file that only the operator can read.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Takes the same time wherever the two differ.
    pub(super) fn matches(&self, token: &str) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}
