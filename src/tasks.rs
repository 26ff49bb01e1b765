//! Background work. A task is ended when its handle is dropped, so nothing outlives the request or
//! the service that asked for it, but for what is asked to come to its end; blocking work gets its panic
//! turned into an error.

use std::future::Future;

use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;

/// Starts `future` in the background; dropping the handle ends it.
pub fn spawn<F>(future: F) -> AbortOnDropHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts tasks; the handle aborts on drop"
    )]
    AbortOnDropHandle::new(tokio::task::spawn(future))
}

/// Runs `future` to its end even when the caller goes away meanwhile, and waits for it.
///
/// # Errors
/// `Internal` when it panicked.
pub async fn to_the_end<F>(future: F) -> Result<F::Output, Error>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "the task is to outlive whoever waits for it")]
    let task = tokio::task::spawn(future);
    task.await.map_err(Error::internal)
}

/// Runs `work` on a thread that may block.
///
/// # Errors
/// What `work` returned, or `Internal` when it panicked.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(cause) => Err(Error::internal(cause).into()),
    }
}
