//! Where objects are, and how S3 is reached, for objects and for imports.

use secrecy::SecretString;

use super::setting::{Reader, Setting};

const STORE: Setting = Setting {
    name: "OBJECT_STORE",
    default: None,
    meaning: "where the files of datasets are: `folder` (below `DATA_DIR`) or `s3`; when it is not set, `s3` if \
              `S3_ENDPOINT` or `S3_BUCKET_DATASETS` is set, else `folder`",
};
const BUCKET: Setting = Setting {
    name: "S3_BUCKET_DATASETS",
    default: Some("bi-datasets"),
    meaning: "bucket of the files of datasets; it must exist, and belong to one installation",
};
const ENDPOINT: Setting = Setting {
    name: "S3_ENDPOINT",
    default: None,
    meaning: "address of an S3 server other than AWS, such as `http://127.0.0.1:9000`",
};
const REGION: Setting =
    Setting { name: "S3_REGION", default: Some("ap-northeast-1"), meaning: "region of the buckets" };
const ACCESS_KEY: Setting = Setting {
    name: "S3_ACCESS_KEY",
    default: None,
    meaning: "access key for a local server; when it is not set, AWS's own chain: environment, profile, web \
              identity, container, instance",
};
const SECRET_KEY: Setting =
    Setting { name: "S3_SECRET_KEY", default: None, meaning: "secret that belongs to `S3_ACCESS_KEY`" };
const IMPORT_BUCKETS: Setting = Setting {
    name: "S3_IMPORT_BUCKETS",
    default: None,
    meaning: "buckets that people may import from, separated by commas; when it is not set, all that the service \
              can read, but for the one of datasets",
};
const CACHE: Setting = Setting {
    name: "S3_CACHE_MB",
    default: Some("0"),
    meaning: "disk below `DATA_DIR` for parts of objects in S3 that were read, in MiB; `0` keeps none",
};
const HEDGED_READS: Setting = Setting {
    name: "S3_HEDGED_READS",
    default: Some("true"),
    meaning: "whether a read from S3 whose answer is late is made a second time; never more than a tenth of all \
              requests are made again",
};

pub(super) const SETTINGS: &[&Setting] =
    &[&STORE, &BUCKET, &ENDPOINT, &REGION, &ACCESS_KEY, &SECRET_KEY, &IMPORT_BUCKETS, &CACHE, &HEDGED_READS];

/// Where the files of datasets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectStoreKind {
    Folder,
    S3,
}

/// Settings of objects.
#[derive(Debug, Clone)]
pub struct ObjectConfig {
    pub kind: ObjectStoreKind,
    pub bucket: String,
    pub endpoint: Option<String>,
    pub region: String,
    /// Access key and secret; `None`: AWS's own chain.
    pub keys: Option<(String, SecretString)>,
    /// `None`: any.
    pub import_buckets: Option<Vec<String>>,
    pub cache_bytes_max: u64,
    /// Whether a read whose answer is late is made a second time.
    pub hedged_reads: bool,
}

impl ObjectConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let named = reader.optional(&STORE, "`folder` or `s3`", |text| match text {
            "folder" => Some(ObjectStoreKind::Folder),
            "s3" => Some(ObjectStoreKind::S3),
            _ => None,
        });
        // Runbooks from before there was a choice set only these, and mean S3.
        let implied = match reader.is_set(ENDPOINT.name) || reader.is_set(BUCKET.name) {
            true => ObjectStoreKind::S3,
            false => ObjectStoreKind::Folder,
        };
        let bucket = reader.required(&BUCKET, "the name of a bucket", bucket_name);
        let endpoint = reader.optional(&ENDPOINT, "an address such as `http://127.0.0.1:9000`", |text| {
            let url = url::Url::parse(text).ok()?;
            let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some();
            (plain && url.query().is_none()).then(|| text.trim_end_matches('/').to_owned())
        });
        let region = reader.text(&REGION);
        let keys = keys(reader);
        let import_buckets = reader.optional(&IMPORT_BUCKETS, "names of buckets", |text| {
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(bucket_name).collect()
        });
        let cache_mb = reader.number(&CACHE, 0, 16 << 20);
        let hedged_reads = reader.switch(&HEDGED_READS);
        Some(Self {
            kind: named?.unwrap_or(implied),
            bucket: bucket?,
            endpoint: endpoint?,
            region: region?,
            keys: keys?,
            import_buckets: import_buckets?,
            cache_bytes_max: cache_mb? << 20,
            hedged_reads: hedged_reads?,
        })
    }
}

/// The pair, or that there is none.
#[expect(clippy::option_option, reason = "outer: could it be read; inner: was it there")]
fn keys(reader: &mut Reader<'_>) -> Option<Option<(String, SecretString)>> {
    match (reader.text(&ACCESS_KEY), reader.text(&SECRET_KEY)) {
        (Some(key), Some(secret)) => Some(Some((key, secret.into()))),
        (None, None) => Some(None),
        (Some(_), None) => {
            reader.problem("`S3_ACCESS_KEY` is set, but `S3_SECRET_KEY` is not".to_owned());
            None
        }
        (None, Some(_)) => {
            reader.problem("`S3_SECRET_KEY` is set, but `S3_ACCESS_KEY` is not".to_owned());
            None
        }
    }
}

/// As S3 allows it: it may become a part of a host's name.
fn bucket_name(text: &str) -> Option<String> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    ((3..=63).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
