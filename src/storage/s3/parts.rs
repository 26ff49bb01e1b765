//! An object on its way into a bucket.
//!
//! One of a single part goes in one request instead of three: a dataset split by day is many small files. And an
//! upload that is dropped before its end is aborted, because a bucket keeps, and charges for, parts that nobody
//! ever sees. What a crash leaves is for a rule of the bucket (`AbortIncompleteMultipartUpload`).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::try_join_all;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use crate::tasks;

/// An upload that starts with its second part.
#[derive(Debug)]
pub(super) struct PartedUpload {
    shared: Arc<Shared>,
    done: bool,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    to: Path,
    options: PutMultipartOptions,
    /// Parts that nobody has sent yet, in their order.
    waiting: Mutex<Vec<PutPayload>>,
    started: tokio::sync::Mutex<Option<Box<dyn MultipartUpload>>>,
}

impl PartedUpload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, to: Path, options: PutMultipartOptions) -> Self {
        let (waiting, started) = Default::default();
        Self { shared: Arc::new(Shared { store, to, options, waiting, started }), done: false }
    }
}

impl Shared {
    /// Sends the parts that wait, unless there is only the first, which waits for a second.
    async fn send(&self) -> Result<()> {
        let sending = {
            let mut started = self.started.lock().await;
            let parts = {
                let mut waiting = self.waiting();
                if started.is_none() && waiting.len() < 2 {
                    return Ok(());
                }
                std::mem::take(&mut *waiting)
            };
            let upload = match started.as_mut() {
                Some(upload) => upload,
                None => {
                    let upload = self.store.put_multipart_opts(&self.to, self.options.clone()).await?;
                    started.insert(upload)
                }
            };
            parts.into_iter().map(|part| upload.put_part(part)).collect::<Vec<_>>()
        };
        try_join_all(sending).await.map(drop)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<PutPayload>> {
        // Nothing is awaited while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MultipartUpload for PartedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.shared.waiting().push(data);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.send().await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut started = self.shared.started.lock().await;
        let result = match started.as_mut() {
            Some(upload) => upload.complete().await?,
            None => {
                let parts = std::mem::take(&mut *self.shared.waiting());
                let whole: PutPayload = parts.into_iter().flatten().collect();
                let PutMultipartOptions { tags, attributes, extensions } = self.shared.options.clone();
                let options = PutOptions { mode: PutMode::Create, tags, attributes, extensions };
                self.shared.store.put_opts(&self.shared.to, whole, options).await?
            }
        };
        self.done = true;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.done = true;
        self.shared.waiting().clear();
        match self.shared.started.lock().await.as_mut() {
            Some(upload) => upload.abort().await,
            None => Ok(()),
        }
    }
}

impl Drop for PartedUpload {
    fn drop(&mut self) {
        // A part that is still being sent holds the lock for a moment only, and went before its upload.
        let Ok(mut started) = self.shared.started.try_lock() else { return };
        let Some(mut upload) = started.take().filter(|_| !self.done) else { return };
        let to = self.shared.to.clone();
        tasks::detach(async move {
            if let Err(error) = upload.abort().await {
                tracing::warn!(%to, %error, "parts of an upload that failed stay in the bucket");
            }
        });
    }
}
