//! The workers of this process: started when they are first needed, or ahead of that, and tested before they are used.
//!
//! Starting takes seconds, most of them for the hostile scripts, so it happens on a thread of its own, once for all who
//! wait. What failed is tried again after a while: a script that found a busy machine is no reason to stay shut.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use shirabe_wire::Tier;
use shirabe_wire::host::{PythonWorkers, Settings};
use tokio::sync::oneshot;

use crate::telemetry::SANDBOX_TIER;

/// How long a failure to start stands.
const FAILURE_STANDS: Duration = Duration::from_secs(60);
const MESSAGE_CHARS_MAX: usize = 1000;

/// Where the worker is, and what it may be used for.
#[derive(Debug, Clone)]
pub struct PythonSettings {
    /// The program; beside this one when none is named.
    pub program: Option<PathBuf>,
    /// The virtual environment with the libraries.
    pub home: PathBuf,
    pub tier_min: Tier,
}

/// Workers that run, or why there are none, in words.
type Started = Result<Arc<PythonWorkers>, Arc<str>>;

/// The workers of this process. Clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct Workers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: PythonSettings,
    start: Mutex<Option<Start>>,
}

#[derive(Debug)]
struct Start {
    begun: Instant,
    started: Shared<BoxFuture<'static, Started>>,
}

impl Start {
    fn has_failed(&self) -> bool {
        self.started.peek().is_some_and(Result::is_err)
    }

    fn stands(&self) -> bool {
        self.begun.elapsed() < FAILURE_STANDS
    }
}

/// How far they have come.
#[derive(Debug)]
pub(super) enum Progress {
    NotStarted,
    Starting,
    Ready(Arc<PythonWorkers>),
    Failed(Arc<str>),
}

impl Workers {
    pub(super) fn new(settings: PythonSettings) -> Self {
        Self(Arc::new(Inner { settings, start: Mutex::new(None) }))
    }

    /// The workers, once they are there.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) async fn ready(&self) -> Started {
        self.start().await
    }

    /// Starts them, if nobody has.
    pub(super) fn warm(&self) {
        drop(self.start());
    }

    pub(super) fn progress(&self) -> Progress {
        match self.state().as_ref().map(|start| start.started.peek().cloned()) {
            None => Progress::NotStarted,
            Some(None) => Progress::Starting,
            Some(Some(Ok(workers))) => Progress::Ready(workers),
            Some(Some(Err(reason))) => Progress::Failed(reason),
        }
    }

    /// Why nothing runs, while that is not tried again.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        let state = self.state();
        let start = state.as_ref().filter(|start| start.stands())?;
        start.started.peek()?.as_ref().err().cloned()
    }

    fn state(&self) -> MutexGuard<'_, Option<Start>> {
        self.0.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Shared<BoxFuture<'static, Started>> {
        let mut state = self.state();
        if let Some(start) = state.as_ref().filter(|start| !start.has_failed() || start.stands()) {
            return start.started.clone();
        }
        let (tell, told) = oneshot::channel();
        let settings = self.0.settings.clone();
        // A thread that nobody waits for when the service ends: then the worker ends as well.
        let spawned = std::thread::Builder::new().name("python-start".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = tell.send(start(settings));
        });
        let started = async move {
            match (spawned, told.await) {
                (Err(cause), _) => Err(format!("there is no thread to start it on: {cause}").into()),
                (Ok(_), Ok(started)) => started,
                (Ok(_), Err(_)) => Err("starting it has panicked".into()),
            }
        };
        let started = started.boxed().shared();
        *state = Some(Start { begun: Instant::now(), started: started.clone() });
        drop(state);
        // So that it is known how it went, though nobody waits.
        let seen = started.clone();
        crate::tasks::detach(async move { drop(seen.await) });
        started
    }
}

fn start(settings: PythonSettings) -> Started {
    let begun = Instant::now();
    let started = try_start(settings).map(Arc::new);
    match &started {
        Ok(workers) => {
            let (tier, seconds) = (workers.tier(), begun.elapsed().as_secs_f64());
            metrics::gauge!(SANDBOX_TIER, "tier" => tier.to_string()).set(1.0);
            let selftest = workers.self_test().score();
            tracing::info!(%tier, memory = super::MEMORY, selftest, seconds, "the sandbox for Python is ready");
        }
        Err(reason) => tracing::warn!(%reason, "Python does not run"),
    }
    started.map_err(Arc::from)
}

fn try_start(settings: PythonSettings) -> Result<PythonWorkers, String> {
    let PythonSettings { program, home, tier_min } = settings;
    let program = match program {
        Some(program) => program,
        None => beside_this_one().ok_or("it is not known where this program is")?,
    };
    // Before anything is started, so that the message names the setting.
    if !program.is_file() {
        return Err(format!("there is no worker at `{}` (`EXECUTOR_WORKER`)", program.display()));
    }
    if !home.is_dir() {
        return Err(format!(
            "there are no Python libraries at `{}` (`EXECUTOR_PYTHON_HOME`)",
            home.display()
        ));
    }
    let settings = Settings { tier_min, ..Settings::new(program, home) };
    PythonWorkers::start(settings).map_err(|error| shortened(&error.to_string()))
}

/// `shirabe-worker` in the folder of this program.
fn beside_this_one() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.with_file_name("shirabe-worker"))
}

fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}
