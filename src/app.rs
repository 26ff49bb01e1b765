//! The composition root: the only file that chooses backends. It turns a configuration into services,
//! in one pass from the bottom up, and runs them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

use crate::account::{AccountSettings, Accounts};
use crate::audit_log::{AuditLog, RetryFile};
use crate::auth::Principal;
use crate::auth::password::{Cost, Policy};
use crate::auth::token::Algorithm;
use crate::catalog::store::dynamo::DynamoSettings;
use crate::catalog::store::{Records, RecordsPlace, Stores};
use crate::clock::{Clock, SystemClock};
use crate::clockwork;
use crate::config::{Config, Environment, ExecutorServiceConfig, JwtAlgorithm, MetadataConfig, SqlIsolation};
use crate::data_folder::{DataFolder, RunningServer};
use crate::dataset::decode::DecodeLimits;
use crate::dataset::jobs::Jobs;
use crate::dataset::{Datasets, Settings};
use crate::engine::{AdmissionLimits, Engine, EngineConfig};
use crate::error::{Error, Result};
use crate::executor::ExecutorService;
use crate::health::Probe;
use crate::machine;
use crate::macros::Macros;
use crate::places;
use crate::server::http::{
    self, AppState, ExecutorDoor, HttpSettings, OperatorToken, RateLimits, Rates, Readiness, Services,
};
use crate::sql_worker::{SqlWorkers, WorkerSettings};
use crate::storage::Objects;
use crate::telemetry::{self, Metrics};

/// How often tokens that have expired are forgotten.
const UPKEEP_INTERVAL: Duration = Duration::from_hours(1);
/// How long an ended query waits for others before they are stored together.
const HISTORY_DELAY: Duration = Duration::from_millis(500);
/// How often the collector comes by.
const HOURS_BETWEEN_COLLECTIONS: u64 = 24;
/// Imports that wait for their turn.
const IMPORTS_WAITING_MAX: usize = 32;
/// Imports at a time: each uses all cores for itself.
const IMPORTS_RUNNING_MAX: usize = 2;

/// The service on a data folder, without a socket.
#[derive(Debug)]
pub struct App {
    pub state: AppState,
    stores: Stores,
    records: Records,
    audit: AuditLog,
    folder: DataFolder,
    objects: Objects,
    /// Where other people's statements run, if not in this process.
    workers: Option<SqlWorkers>,
}

impl App {
    /// Puts the service of `folder` together.
    ///
    /// # Errors
    /// `Unavailable` when a part of the folder cannot be used; the message names it.
    pub fn open(config: &Config, folder: DataFolder) -> Result<Self> {
        Self::open_between(config, folder, |stores| stores)
    }

    /// The same, with something between the service and its stores: a test counts their calls.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_between(
        config: &Config,
        folder: DataFolder,
        between: impl FnOnce(Stores) -> Stores,
    ) -> Result<Self> {
        let objects = places::objects(config, &folder).open(|objects| objects)?;
        Self::open_on(config, folder, between, objects)
    }

    /// The same, with something between the service and its objects.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_over(
        config: &Config,
        folder: DataFolder,
        between: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Result<Self> {
        let objects = places::objects(config, &folder).open(between)?;
        Self::open_on(config, folder, |stores| stores, objects)
    }

    fn open_on(
        config: &Config,
        folder: DataFolder,
        between: impl FnOnce(Stores) -> Stores,
        stored: Objects,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let objects = Arc::clone(stored.store());
        let records = records_place(config, folder.database()).open()?;
        let stores = between(records.stores().clone());
        let queue = folder.audit_retry();
        let queue = RetryFile::open(&queue).map_err(|cause| Error::unusable(&queue, cause))?;
        let audit = AuditLog::new(Arc::clone(&stores.audit), Arc::new(queue));
        let mut engine = engine_config(config, folder.spill());
        let workers = match config.queries.isolation {
            SqlIsolation::Off => None,
            SqlIsolation::Worker => {
                let objects_are_files = stored.are_files();
                let settings = WorkerSettings { objects_are_files, ..WorkerSettings::shares_of(&engine) };
                Some(SqlWorkers::new(settings, Arc::clone(&objects)))
            }
        };
        engine.isolation = workers.clone().map(|workers| Arc::new(workers) as _);
        let executor = places::executor(&config.executor, memory_of_queries(&engine))?;
        let engine = Engine::new(engine, Arc::clone(&objects), Arc::clone(&stores.history))?;
        let settings = Settings {
            threads: import_threads(config),
            versions_kept: usize::try_from(config.data.versions_kept).unwrap_or(usize::MAX),
            grace_seconds: i64::try_from(config.data.gc_grace_hours).unwrap_or(i64::MAX / 3600) * 3600,
            objects_are_shared: !stored.are_files(),
            decode: DecodeLimits::default(),
        };
        let datasets = Datasets::new(
            stores.clone(),
            Arc::clone(&objects),
            engine.clone(),
            Arc::clone(&clock),
            settings,
            places::sources(config, &folder),
        );
        let parts = (datasets.clone(), engine.clone(), executor.clone(), audit.clone());
        let (transforms, scheduler) = clockwork::transforms(config, &stores, parts, Arc::clone(&clock));
        let imports = Arc::new(Jobs::new(IMPORTS_RUNNING_MAX, IMPORTS_WAITING_MAX));
        let health = Probe::new(
            stores.clone(),
            objects,
            if stored.are_files() { folder.objects() } else { folder.spill() },
            engine.clone(),
            Arc::clone(&imports),
            workers.clone(),
            executor.clone(),
            Instant::now(),
        );
        let state = AppState::new(Services {
            accounts: Accounts::new(&stores, audit.clone(), &account_settings(config, &folder)?)?,
            catalog: Arc::clone(&stores.datasets),
            clock,
            datasets,
            engine: engine.clone(),
            executor,
            health: Arc::new(health),
            imports,
            macros: Macros::new(Arc::clone(&stores.macros), engine.clone()),
            metrics: Metrics::install()?,
            readiness: Readiness::new(true),
            operator_token: OperatorToken::random(),
            scheduler,
            transforms,
            settings: http_settings(config, &folder),
        });
        Ok(Self { state, stores, records, audit, folder, objects: stored, workers })
    }

    /// Asks the server that keeps the records, if one does, whether it has all that is needed.
    ///
    /// # Errors
    /// `Unavailable`, which names the server and says what to do.
    pub async fn reach_store(&self) -> Result<()> {
        Ok(self.records.check().await?)
    }

    /// Listens and serves until the process is asked to stop.
    ///
    /// # Errors
    /// `Unavailable` when the address cannot be listened on.
    pub async fn serve(self, config: &Config, stop: impl Future<Output = ()>) -> Result<()> {
        self.reach_store().await?;
        self.objects.check().await?;
        // Before anybody can ask: a server that was told to isolate, and cannot, must not answer.
        if let Some(workers) = &self.workers {
            workers.warm().await?;
        }
        let (listener, url) = listen(config.server.address()).await?;
        let token = self.state.operator_token.secret().expose_secret().to_owned();
        let server = RunningServer { url, pid: std::process::id(), token };
        let _announcement = self.folder.announce(&server)?;
        self.offer_setup(&server.url).await?;
        tracing::info!(url = %server.url, version = env!("CARGO_PKG_VERSION"), "serving");
        // It takes seconds, and what needs it waits.
        self.state.executor.warm();
        let upkeep = crate::tasks::spawn(upkeep(self.stores.clone(), self.audit.clone(), self.state.clone()));
        let history = crate::tasks::spawn(history(self.state.clone()));
        let scheduler = Arc::clone(&self.state.scheduler);
        let scheduling = crate::tasks::spawn(async move { scheduler.run().await });
        http::serve(listener, http::router(self.state.clone()), self.state.clone(), stop).await;
        drop((upkeep, history, scheduling));
        // What runs is given up, so that another process, or the next start, goes on with it.
        self.state.transforms.stop().await;
        self.audit.retry().await;
        keep_history(&self.state).await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Without any user, prints how the first one is made. The code goes to the terminal, not to the log.
    async fn offer_setup(&self, url: &str) -> Result<()> {
        let Some(code) = self.state.accounts.setup.begin().await? else { return Ok(()) };
        let text = format!(
            "There is no user yet. Make the first administrator in one of two ways:\n  \
             shirabe users add you@example.com --role admin --password-stdin\n  \
             curl {url}/api/auth/setup -H 'content-type: application/json' \\\n    \
             -d '{{\"code\": \"{}\", \"email\": \"you@example.com\", \"password\": \"…\"}}'\n",
            code.text()
        );
        telemetry::tell_operator(&text);
        Ok(())
    }
}

/// Listens and runs Python for services in other processes, until `stop` is done.
///
/// # Errors
/// `Unavailable` when the address cannot be listened on.
pub async fn serve_executor(config: &ExecutorServiceConfig, stop: impl Future<Output = ()>) -> Result<()> {
    let (listener, url) = listen(config.executor.address()).await?;
    let service = ExecutorService::new(places::executor_settings(&config.executor, 0));
    service.warm();
    let metrics = Metrics::install()?;
    let door = ExecutorDoor { service, token: config.token.clone(), metrics: metrics.clone() };
    tracing::info!(%url, version = env!("CARGO_PKG_VERSION"), "serving");
    http::serve_executor(listener, http::executor_router(door), &metrics, stop).await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address).await.map_err(|cause| Error::Unavailable {
        message: format!("cannot listen on {address}: {cause}"),
        cause: Some(Box::new(cause)),
    })?;
    let address = listener.local_addr().map_err(Error::internal)?;
    Ok((listener, format!("http://{address}")))
}

/// Offers waiting audit records again and forgets what has expired, at start and every hour; collects an hour
/// after the start and then once a day.
async fn upkeep(stores: Stores, audit: AuditLog, state: AppState) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    for hour in 0_u64.. {
        interval.tick().await;
        audit.retry().await;
        if let Err(error) = stores.tokens.forget_expired(state.clock.now()).await {
            tracing::warn!(%error, "expired tokens could not be forgotten");
        }
        if let Err(error) = state.engine.trim_history().await {
            tracing::warn!(%error, "old queries could not be forgotten");
        }
        if hour % HOURS_BETWEEN_COLLECTIONS != 1 {
            continue;
        }
        match state.datasets.collect(&Principal::operator(), false).await {
            Ok(collected) => tracing::info!(
                versions_expired = collected.versions_expired,
                objects_deleted = collected.objects_deleted,
                bytes_deleted = collected.bytes_deleted,
                "collected"
            ),
            Err(error) => tracing::warn!(%error, "the collector came to no end"),
        }
    }
}

/// Stores queries that have ended, soon after they have, and many at a time.
async fn history(state: AppState) {
    loop {
        state.engine.history_changed().await;
        tokio::time::sleep(HISTORY_DELAY).await;
        keep_history(&state).await;
    }
}

async fn keep_history(state: &AppState) {
    if let Err(error) = state.engine.store_history().await {
        tracing::warn!(%error, "the history of queries could not be stored; it waits");
    }
}

/// Where records are.
pub(crate) fn records_place(config: &Config, database: PathBuf) -> RecordsPlace {
    match &config.metadata {
        MetadataConfig::Sqlite => RecordsPlace::File(database),
        MetadataConfig::DynamoDb(tables) => RecordsPlace::Tables(DynamoSettings {
            endpoint: tables.endpoint.clone(),
            region: tables.region.clone(),
            table_prefix: tables.table_prefix.clone(),
        }),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// What queries and what is kept of them may take.
fn memory_of_queries(engine: &EngineConfig) -> u64 {
    (engine.memory_bytes_max + engine.result_cache_bytes_max + engine.hot_bytes_max) as u64
}

fn import_threads(config: &Config) -> usize {
    config.imports.threads.and_then(|threads| usize::try_from(threads).ok()).unwrap_or_else(cores)
}

fn engine_config(config: &Config, spill: std::path::PathBuf) -> EngineConfig {
    let mut engine = EngineConfig::new(spill);
    engine.target_partitions = cores();
    engine.deadline = Duration::from_secs(config.queries.timeout_s);
    let queries = &config.queries;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    engine.memory_bytes_max = queries.memory_bytes_max.map_or_else(machine::memory_for_queries, size);
    engine.memory_per_query_bytes_max = match queries.memory_per_query_bytes_max {
        Some(bytes) => size(bytes),
        None => engine.memory_bytes_max,
    };
    engine.spill_bytes_max = queries.spill_bytes_max;
    engine.spill_per_query_bytes_max = queries.spill_per_query_bytes_max.unwrap_or(queries.spill_bytes_max);
    engine.result_bytes_max = queries.result_bytes_max;
    engine.scan_bytes_max = queries.scan_bytes_max;
    engine.result_cache_bytes_max = size(queries.cache_bytes_max);
    engine.hot_bytes_max = queries.column_bytes_max.map_or_else(machine::memory_for_columns, size);
    engine.history_max = queries.history_max;
    let running_max = queries.running_max.map_or_else(|| 4 * cores().max(2), size);
    // Three quarters: whoever keeps as many queries going as they may leaves room for others.
    let of_one_user = queries.running_per_user_max.map_or_else(|| (running_max * 3).div_ceil(4), size);
    engine.admission = AdmissionLimits {
        running_max,
        running_per_user_max: of_one_user.min(running_max),
        waiting_max: size(queries.waiting_max),
        waiting_per_user_max: size(queries.waiting_per_user_max),
    };
    engine
}

fn account_settings(config: &Config, folder: &DataFolder) -> Result<AccountSettings> {
    let token_secret: SecretString = match &config.auth.jwt_secret {
        Some(secret) => secret.clone(),
        None if config.server.environment == Environment::Local => folder.secret()?,
        None => {
            return Err(Error::invalid("`JWT_SECRET_KEY` is not set; only `ENV=local` makes one by itself"));
        }
    };
    Ok(AccountSettings {
        token_secret,
        token_algorithm: match config.auth.jwt_algorithm {
            JwtAlgorithm::Hs256 => Algorithm::Hs256,
            JwtAlgorithm::Hs384 => Algorithm::Hs384,
            JwtAlgorithm::Hs512 => Algorithm::Hs512,
        },
        token_lifetime_s: i64::try_from(config.auth.jwt_expire_minutes).unwrap_or(i64::MAX / 60) * 60,
        password_policy: Policy { length_min: config.auth.password_length_min },
        password_cost: Cost::default(),
    })
}

fn http_settings(config: &Config, folder: &DataFolder) -> HttpSettings {
    let limits = &config.rate_limits;
    let rates = Rates {
        login_per_minute: limits.login_per_minute,
        user_per_minute: limits.user_per_minute,
        total_per_minute: limits.total_per_minute,
    };
    HttpSettings {
        cors_origins: config.server.cors_origins.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        rate_limits: limits.enabled.then(|| RateLimits::new(rates)),
        upload_bytes_max: config.imports.upload_bytes_max,
        spool_folder: folder.spool(),
    }
}
