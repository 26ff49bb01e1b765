//! Settings, read once from the environment at start-up, one file a section.
//!
//! Why one reader: a setting that is read in one place has one name, one default and one check, and the
//! table of all of them ([`settings`]) is what the README and `shirabe serve --help` show. All problems
//! are reported at once. It must not know what the settings are used for, nor touch the disk.

use std::fmt;

mod auth;
mod data;
mod executor;
mod imports;
mod logs;
mod metadata;
mod objects;
mod queries;
mod rate_limits;
mod scheduler;
mod server;
mod setting;

pub use auth::{AuthConfig, JwtAlgorithm};
pub use data::DataConfig;
pub use executor::{ExecutorConfig, SandboxTier};
pub use imports::ImportConfig;
pub use logs::{LogConfig, LogFormat, LogLevel};
pub use metadata::{DynamoDbConfig, MetadataConfig};
pub use objects::{ObjectConfig, ObjectStoreKind};
pub use queries::{QueryConfig, SqlIsolation};
pub use rate_limits::RateLimitConfig;
pub use scheduler::SchedulerConfig;
pub use server::{Environment, ServerConfig};
pub use setting::Setting;

use secrecy::SecretString;
use setting::Reader;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerConfig,
    pub auth: AuthConfig,
    pub data: DataConfig,
    pub metadata: MetadataConfig,
    pub objects: ObjectConfig,
    pub imports: ImportConfig,
    pub queries: QueryConfig,
    pub executor: ExecutorConfig,
    pub scheduler: SchedulerConfig,
    pub rate_limits: RateLimitConfig,
    pub logs: LogConfig,
    /// Settings that are set but that this release does nothing with; worth a warning.
    pub unused: Vec<&'static str>,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// Every setting that is wrong, with what was expected and what came.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_lookup(&environment)
    }

    /// Reads settings from anything that knows their values by name. An empty value counts as not set,
    /// because that is how compose files leave a variable out.
    ///
    /// # Errors
    /// Every setting that is wrong, with what was expected and what came.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut reader = Reader::new(lookup);
        let environment = Environment::read(&mut reader);
        let server = ServerConfig::read(&mut reader, environment);
        let auth = AuthConfig::read(&mut reader, environment);
        let data = DataConfig::read(&mut reader);
        let metadata = MetadataConfig::read(&mut reader);
        let objects = ObjectConfig::read(&mut reader);
        let imports = ImportConfig::read(&mut reader);
        let queries = QueryConfig::read(&mut reader);
        let executor = ExecutorConfig::read(&mut reader);
        let rate_limits = RateLimitConfig::read(&mut reader);
        let logs = LogConfig::read(&mut reader);
        let unused = NOT_YET.iter().copied().filter(|name| reader.is_set(name)).collect();
        let scheduler = SchedulerConfig::read(&mut reader);
        let all =
            (server, auth, data, metadata, objects, imports, queries, executor, scheduler, rate_limits, logs);
        let problems = reader.into_problems();
        match all {
            (
                Some(server),
                Some(auth),
                Some(data),
                Some(metadata),
                Some(objects),
                Some(imports),
                Some(queries),
                Some(executor),
                Some(scheduler),
                Some(rate_limits),
                Some(logs),
            ) if problems.is_empty() => Ok(Self {
                server,
                auth,
                data,
                metadata,
                objects,
                imports,
                queries,
                executor,
                scheduler,
                rate_limits,
                logs,
                unused,
            }),
            _ => Err(Problems(problems)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// What `shirabe executor` is told: it has no stores, and needs no secret but the one of its callers.
#[derive(Debug, Clone)]
pub struct ExecutorServiceConfig {
    pub executor: ExecutorConfig,
    pub token: SecretString,
    pub logs: LogConfig,
}

impl ExecutorServiceConfig {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// Every setting that is wrong, with what was expected and what came.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_lookup(&environment)
    }

    /// Reads settings from anything that knows their values by name.
    ///
    /// # Errors
    /// As [`ExecutorServiceConfig::from_env`].
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut reader = Reader::new(lookup);
        let executor = ExecutorConfig::read(&mut reader);
        let logs = LogConfig::read(&mut reader);
        let token = executor.as_ref().and_then(|executor| executor.token.clone());
        if executor.is_some() && token.is_none() {
            reader.problem("`EXECUTOR_TOKEN` is not set: callers have to know it".to_owned());
        }
        let problems = reader.into_problems();
        match (executor, token, logs) {
            (Some(executor), Some(token), Some(logs)) if problems.is_empty() => {
                Ok(Self { executor, token, logs })
            }
            _ => Err(Problems(problems)),
        }
    }
}

/// Names of the contract that choose parts which this release does not have. Set, they are named in a
/// warning: whoever set `VERTEX_AI_PROJECT_ID` must not believe that something runs there.
const NOT_YET: &[&str] = &["S3_BUCKET_STATIC", "VERTEX_AI_PROJECT_ID"];

/// Every setting there is, in the order of the sections.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    [
        server::SETTINGS,
        auth::SETTINGS,
        data::SETTINGS,
        metadata::SETTINGS,
        objects::SETTINGS,
        imports::SETTINGS,
        queries::SETTINGS,
        executor::SETTINGS,
        scheduler::SETTINGS,
        rate_limits::SETTINGS,
        logs::SETTINGS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// What is wrong with the settings, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Config, Problems> {
        let values: HashMap<&str, &str> = values.iter().copied().collect();
        Config::from_lookup(&|name| values.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults_of_the_contract() {
        let config = read(&[]).unwrap();
        assert_eq!(config.server.address().to_string(), "127.0.0.1:8000");
        assert_eq!(config.server.environment, Environment::Local);
        assert_eq!(config.auth.jwt_expire_minutes, 1440);
        assert_eq!(config.auth.password_length_min, 8);
        assert_eq!(config.data.folder.to_str(), Some("./data"));
        assert_eq!(config.imports.upload_bytes_max, 100 * 1024 * 1024);
        assert_eq!(config.queries.timeout_s, 60);
        assert_eq!((config.executor.card_timeout_s, config.executor.transform_timeout_s), (10, 300));
        assert_eq!((config.executor.cards_max, config.executor.transforms_max), (10, 5));
        assert_eq!(config.executor.address().to_string(), "127.0.0.1:8080");
        assert!(config.executor.endpoint.is_none() && config.executor.token.is_none());
        assert_eq!((config.scheduler.enabled, config.scheduler.interval_s), (false, 60));
        assert_eq!(config.rate_limits.login_per_minute.get(), 5);
        assert!(config.rate_limits.enabled);
        assert!(config.unused.is_empty());
    }

    #[test]
    fn a_wrong_value_is_named_with_what_was_expected() {
        check(&[("API_PORT", "80000")], "`API_PORT` is `80000`: expected a port, 1 to 65535");
        check(&[("API_HOST", "here")], "`API_HOST` is `here`: expected an IP address");
        check(&[("ENV", "prod")], "`ENV` is `prod`: expected `local`, `staging` or `production`");
        check(&[("RATE_LIMIT_ENABLED", "maybe")], "expected `true` or `false`");
        check(&[("JWT_ALGORITHM", "none")], "expected `HS256`, `HS384` or `HS512`");
        check(&[("PASSWORD_MIN_LENGTH", "4")], "expected a whole number, 8 to 128");
        check(&[("CORS_ORIGINS", "*")], "`*` would let any site");
        check(&[("CORS_ORIGINS", "https://a.example/path")], "expected origins such as");
        check(&[("TRUSTED_PROXIES", "10.0.0.0/33")], "expected addresses or networks");
        check(&[("QUERY_TIMEOUT_SECONDS", "0")], "expected a whole number, 1 to 86400");
        check(&[("OBJECT_STORE", "gcs")], "`OBJECT_STORE` is `gcs`: expected `folder` or `s3`");
        check(&[("S3_ENDPOINT", "here")], "`S3_ENDPOINT` is `here`: expected an address such as");
        check(&[("S3_BUCKET_DATASETS", "Our Data")], "expected the name of a bucket");
        check(&[("EXECUTOR_PORT", "0")], "`EXECUTOR_PORT` is `0`: expected a port, 1 to 65535");
        check(&[("EXECUTOR_TOKEN", "short")], "`EXECUTOR_TOKEN`: expected at least 32");
        check(&[("EXECUTOR_ENDPOINT", "executor:8080")], "expected an address such as");
        check(&[("EXECUTOR_ENDPOINT", "http://executor:8080")], "but `EXECUTOR_TOKEN` is not");
        check(&[("SANDBOX_MIN_TIER", "D")], "`SANDBOX_MIN_TIER` is `D`: expected `A`, `B` or `C`");
        check(&[("SCHEDULER_INTERVAL_SECONDS", "0")], "expected a whole number, 1 to 3600");
        check(&[("SQL_ISOLATION", "yes")], "`SQL_ISOLATION` is `yes`: expected `off` or `worker`");

        #[track_caller]
        fn check(values: &[(&str, &str)], expected: &str) {
            let problems = read(values).unwrap_err().to_string();
            assert!(problems.contains(expected), "{problems}");
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let problems = read(&[("API_PORT", "x"), ("LOG_LEVEL", "loud"), ("ENV", "production")]).unwrap_err();
        assert_eq!(problems.to_string().lines().count(), 3, "{problems}");
        assert!(problems.to_string().contains("`JWT_SECRET_KEY` is not set"), "{problems}");
    }

    #[test]
    fn the_secret_is_required_outside_local_and_never_shown() {
        let secret = "0123456789abcdef0123456789abcdef";
        let config = read(&[("ENV", "production"), ("JWT_SECRET_KEY", secret)]).unwrap();
        assert!(!format!("{config:?}").contains(secret));
        let problems = read(&[("JWT_SECRET_KEY", "too-short-secret")]).unwrap_err().to_string();
        assert!(problems.contains("at least 32 characters, got 16"), "{problems}");
        assert!(!problems.contains("too-short-secret"), "{problems}");
    }

    #[test]
    fn an_executor_needs_its_own_secret_and_no_other() {
        let read = |token: Option<&'static str>| {
            ExecutorServiceConfig::from_lookup(&move |name| match name {
                "ENV" => Some("production".to_owned()),
                "EXECUTOR_TOKEN" => token.map(str::to_owned),
                _ => None,
            })
        };
        let secret = "0123456789abcdef0123456789abcdef";
        assert!(!format!("{:?}", read(Some(secret)).unwrap()).contains(secret));
        let problems = read(None).unwrap_err().to_string();
        assert!(problems.contains("`EXECUTOR_TOKEN` is not set"), "{problems}");
    }

    #[test]
    fn an_empty_value_is_not_set_and_what_is_not_used_is_told() {
        let config = read(&[("API_PORT", ""), ("S3_BUCKET_STATIC", "bi-static")]).unwrap();
        assert_eq!(config.server.port, 8000);
        assert_eq!(config.unused, ["S3_BUCKET_STATIC"]);
    }

    #[test]
    fn objects_are_in_s3_when_it_is_said_or_implied() {
        use ObjectStoreKind::{Folder, S3};
        check(&[], Folder, "bi-datasets");
        check(&[("S3_BUCKET_DATASETS", "team-data")], S3, "team-data");
        check(&[("S3_ENDPOINT", "http://127.0.0.1:9000")], S3, "bi-datasets");
        check(&[("S3_REGION", "us-east-1")], Folder, "bi-datasets");
        check(&[("OBJECT_STORE", "s3")], S3, "bi-datasets");
        // Imports from S3, and objects in the folder.
        check(&[("OBJECT_STORE", "folder"), ("S3_ENDPOINT", "http://127.0.0.1:9000")], Folder, "bi-datasets");

        #[track_caller]
        fn check(values: &[(&str, &str)], kind: ObjectStoreKind, bucket: &str) {
            let config = read(values).unwrap().objects;
            assert_eq!((config.kind, config.bucket.as_str()), (kind, bucket), "{values:?}");
        }
    }

    #[test]
    fn the_keys_of_s3_come_in_pairs_and_are_not_shown() {
        let config = read(&[("S3_ACCESS_KEY", "me"), ("S3_SECRET_KEY", "my-secret")]).unwrap();
        assert_eq!(config.objects.keys.as_ref().map(|(key, _)| key.as_str()), Some("me"));
        assert!(!format!("{config:?}").contains("my-secret"));
        let problems = read(&[("S3_ACCESS_KEY", "me")]).unwrap_err().to_string();
        assert!(problems.contains("`S3_SECRET_KEY` is not"), "{problems}");
    }

    #[test]
    fn every_setting_is_in_the_table_once() {
        let mut names = HashSet::new();
        for setting in settings() {
            assert!(names.insert(setting.name), "`{}` stands twice", setting.name);
            assert!(setting.meaning.len() > 10, "`{}` is not explained", setting.name);
        }
        let asked = std::cell::RefCell::new(Vec::new());
        let lookup = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            None
        };
        Config::from_lookup(&lookup).unwrap();
        for name in asked.into_inner() {
            assert!(names.contains(name.as_str()) || NOT_YET.contains(&name.as_str()), "`{name}`");
        }
    }
}
