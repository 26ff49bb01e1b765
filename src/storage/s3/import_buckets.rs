//! Buckets that people may import from.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use super::S3;
use crate::error::Error;

/// Opens buckets for imports. A port: a test may have buckets that fail.
pub trait SourceBuckets: fmt::Debug + Send + Sync {
    /// The bucket `name`. Whether it is there is seen when it is read.
    ///
    /// # Errors
    /// `Forbidden` for a bucket that nobody may import from.
    fn open(&self, name: &str) -> Result<Arc<dyn ObjectStore>, Error>;
}

/// Buckets of one server.
#[derive(Debug, Clone)]
pub struct ImportBuckets {
    s3: S3,
    /// Holds the files of all datasets, also of those that a caller may not read.
    own: Option<String>,
    /// `None`: any other.
    allowed: Option<Vec<String>>,
}

impl ImportBuckets {
    #[must_use]
    pub fn new(s3: S3, own: Option<String>, allowed: Option<Vec<String>>) -> Self {
        Self { s3, own, allowed }
    }
}

impl SourceBuckets for ImportBuckets {
    fn open(&self, name: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        if self.own.as_deref() == Some(name) {
            let message = format!("`{name}` holds the files of datasets: nothing is imported from there");
            return Err(Error::Forbidden(message));
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.iter().any(|one| one == name)) {
            let message = format!("`{name}` is none of the buckets that may be imported from");
            return Err(Error::Forbidden(message));
        }
        self.s3.bucket(name)
    }
}
