//! Background work. A task is ended when its handle is dropped, so nothing outlives the request or
//! the service that asked for it, but for what is asked to come to its end; blocking work gets its panic
//! turned into an error.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;

/// The stack of a thread that serves: enough to walk what a statement of ordinary length is parsed to. Only what is
/// touched is ever backed by memory.
const SERVING_STACK_BYTES: usize = 16 << 20;

/// The threads that answer clients.
///
/// # Errors
/// When they cannot be started.
pub fn serving() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_stack_size(SERVING_STACK_BYTES).build()
}

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

/// Lets `future` run to its end while nobody waits for it. Where no tasks run any more, it is dropped.
pub fn detach<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        drop(runtime.spawn(future));
    }
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

/// Threads for work that keeps a processor busy, apart from those that answer clients. Dropping it ends what runs
/// on them at its next pause.
#[derive(Debug)]
pub struct Workers(Option<Runtime>);

impl Workers {
    /// `threads` threads whose names start with `name`. `niceness` (0 to 19) is how far they stand back when
    /// others want the processor too.
    ///
    /// # Errors
    /// `Internal` when they cannot be started.
    pub fn start(name: &str, threads: usize, niceness: i32) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .enable_all()
            .on_thread_start(move || {
                // A platform that knows no priority of threads gives each the same share, which is right as well.
                let _ = rustix::process::setpriority_process(None, niceness);
            })
            .build()
            .map_err(Error::internal)?;
        Ok(Self(Some(runtime)))
    }

    /// Starts `future` there; dropping the handle ends it.
    ///
    /// # Panics
    /// Never: the threads are there until this is dropped.
    pub fn spawn<F>(&self, future: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        #[expect(clippy::expect_used, reason = "it is taken only when this is dropped")]
        let runtime = self.0.as_ref().expect("the threads are there");
        AbortOnDropHandle::new(runtime.spawn(future))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where tasks run, and nothing depends on their end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
