//! Where objects are, what imports may read, and where Python runs: settings in the words of those who open them.
//! `app.rs` asks.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, ExecutorConfig, ObjectStoreKind, SandboxTier};
use crate::data_folder::DataFolder;
use crate::dataset::source::Sources;
use crate::error::Result;
use crate::executor::{
    AdmissionLimits, Executor, ExecutorSettings, PythonSettings, RemoteSettings, Tier, Timeouts,
};
use crate::machine;
use crate::storage::{ImportBuckets, ObjectsPlace, S3, S3Settings};

/// What the process takes beside what its parts are told that they may use, and what the workers do before they run
/// anything.
const PROCESS_BYTES: u64 = 1536 << 20;
/// What inputs that are kept may take of the memory of all runs, while those leave it.
const SHARE_OF_KEPT_INPUTS: u64 = 4;
/// A budget that is less lets nothing run.
const EXECUTOR_BYTES_MIN: u64 = 512 << 20;

/// How S3 is reached. Objects and imports have one each, so that other people's buckets, when they fail, do not use up
/// what our own may be asked again.
fn s3(config: &Config) -> S3 {
    let set = &config.objects;
    S3::new(S3Settings {
        endpoint: set.endpoint.clone(),
        region: set.region.clone(),
        keys: set.keys.clone(),
        hedged_reads: set.hedged_reads,
    })
}

/// What imports may read beside files of this machine.
#[must_use]
pub fn sources(config: &Config, folder: &DataFolder) -> Sources {
    let set = &config.objects;
    let own = (set.kind == ObjectStoreKind::S3).then(|| set.bucket.clone());
    Sources {
        buckets: Arc::new(ImportBuckets::new(s3(config), own, set.import_buckets.clone())),
        spool_folder: folder.spool(),
        spool_bytes_max: config.imports.upload_bytes_max,
    }
}

/// The bucket, for who keeps nothing of it; `None` when objects are in a folder.
#[must_use]
pub fn bucket(config: &Config) -> Option<ObjectsPlace> {
    let name = config.objects.bucket.clone();
    let bucket = ObjectsPlace::Bucket { s3: s3(config), name, kept_in: None };
    (config.objects.kind == ObjectStoreKind::S3).then_some(bucket)
}

/// Where the files of datasets are to be.
#[must_use]
pub fn objects(config: &Config, folder: &DataFolder) -> ObjectsPlace {
    match config.objects.kind {
        ObjectStoreKind::Folder => ObjectsPlace::Folder(folder.objects()),
        ObjectStoreKind::S3 => {
            let kept = Some(config.objects.cache_bytes_max).filter(|bytes| *bytes > 0);
            let kept_in = kept.map(|bytes| (folder.cache(), bytes));
            ObjectsPlace::Bucket { s3: s3(config), name: config.objects.bucket.clone(), kept_in }
        }
    }
}

/// Where Python runs. Of the memory that is available, `taken_bytes` are for others.
///
/// # Errors
/// As [`Executor::remote`].
pub fn executor(set: &ExecutorConfig, taken_bytes: u64) -> Result<Executor> {
    match (&set.endpoint, &set.token) {
        (Some(url), Some(token)) => Executor::remote(RemoteSettings {
            url: url.clone(),
            token: token.clone(),
            timeouts: timeouts(set),
            wait_max: Duration::from_secs(set.waiting_s),
        }),
        _ => Ok(Executor::local(executor_settings(set, taken_bytes))),
    }
}

/// What an executor in this process may use, beside others that may use `taken_bytes` of memory.
#[must_use]
pub fn executor_settings(set: &ExecutorConfig, taken_bytes: u64) -> ExecutorSettings {
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let memory_bytes_max = set.memory_bytes_max.unwrap_or_else(|| {
        let taken = taken_bytes.saturating_add(PROCESS_BYTES);
        machine::memory_available_bytes().saturating_sub(taken).max(EXECUTOR_BYTES_MIN)
    });
    ExecutorSettings {
        python: PythonSettings {
            program: set.worker.clone(),
            home: set.python_home.clone(),
            tier_min: match set.tier_min {
                SandboxTier::A => Tier::A,
                SandboxTier::B => Tier::B,
                SandboxTier::C => Tier::C,
            },
        },
        admission: AdmissionLimits {
            memory_bytes_max,
            cards_max: count(set.cards_max),
            transforms_max: count(set.transforms_max),
            waiting_max: count(set.waiting_max),
            wait_max: Duration::from_secs(set.waiting_s),
        },
        kept_bytes_max: set.kept_bytes_max.unwrap_or(memory_bytes_max / SHARE_OF_KEPT_INPUTS),
        timeouts: timeouts(set),
    }
}

fn timeouts(set: &ExecutorConfig) -> Timeouts {
    Timeouts {
        card: Duration::from_secs(set.card_timeout_s),
        transform: Duration::from_secs(set.transform_timeout_s),
    }
}
