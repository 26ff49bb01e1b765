//! Where the objects of an installation are: a folder or a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use super::{Bucket, DurableLocal, S3, probe};
use crate::error::Error;

/// Where objects are to be.
#[derive(Debug)]
pub enum ObjectsPlace {
    Folder(PathBuf),
    Bucket {
        s3: S3,
        name: String,
        /// Where parts that were read are kept, and how many bytes of them.
        kept_in: Option<(PathBuf, u64)>,
    },
}

/// Objects that are there.
#[derive(Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What a message calls it; `None` for a folder, which was used when it was opened.
    name: Option<String>,
}

impl ObjectsPlace {
    /// Opens it, with something `between` the service and what `object_store` knows: a test counts, or fails.
    ///
    /// # Errors
    /// `Unavailable` when a folder cannot be used. A bucket is not asked yet: see [`Objects::check`].
    pub fn open(
        self,
        between: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Result<Objects, Error> {
        match self {
            Self::Folder(path) => {
                let store = DurableLocal::open(&path).map_err(|cause| Error::unusable(&path, cause))?;
                Ok(Objects { store: between(Arc::new(store)), name: None })
            }
            Self::Bucket { s3, name, kept_in } => {
                let mut store = Bucket::over(between(s3.bucket(&name)?));
                if let Some((folder, bytes_max)) = kept_in {
                    store = store.kept_in(folder, bytes_max);
                }
                let name = format!("the bucket `{name}` at {}", s3.place());
                Ok(Objects { store: Arc::new(store), name: Some(name) })
            }
        }
    }
}

impl Objects {
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Whether a file of it can be handed to another process.
    #[must_use]
    pub fn are_files(&self) -> bool {
        self.name.is_none()
    }

    /// Asks a bucket whether it can be used, before anybody relies on it.
    ///
    /// # Errors
    /// `Unavailable`, with its name, its server, and what is wrong.
    pub async fn check(&self) -> Result<(), Error> {
        let Some(name) = &self.name else { return Ok(()) };
        probe(&self.store).await.map_err(|error| Error::Unavailable {
            message: format!("{name} cannot be used: {error}"),
            cause: Some(Box::new(error)),
        })
    }
}
