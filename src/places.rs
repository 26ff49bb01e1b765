//! Where objects are, and what imports may read: settings in the words of those who open them. `app.rs` asks.

use std::sync::Arc;

use crate::config::{Config, ObjectStoreKind};
use crate::data_folder::DataFolder;
use crate::dataset::source::Sources;
use crate::storage::{ImportBuckets, ObjectsPlace, S3, S3Settings};

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
