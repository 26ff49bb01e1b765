//! The zygote from which runs are forked now, and the next one.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ended::Failure;
use super::run::{Finished, Request};
use super::selftest::{SelfTest, self_test};
use super::zygote::Zygote;
use crate::job::Tier;

/// How to start it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary `shirabe-worker`.
    pub program: PathBuf,
    /// The virtual environment with the libraries. Any user has to be able to read it.
    pub home: PathBuf,
    /// The least confined tier that may be used.
    pub tier_min: Tier,
    /// A folder in which anybody may write, for the canary of the self-test.
    pub folder: PathBuf,
    /// A zygote is replaced after so many runs, because all its runs share their memory's layout.
    pub runs_max: u32,
    pub age_max: Duration,
}

impl Settings {
    #[must_use]
    pub fn new(program: PathBuf, home: PathBuf) -> Self {
        Self {
            program,
            home,
            tier_min: Tier::C,
            folder: PathBuf::from("/tmp"),
            runs_max: 500,
            age_max: Duration::from_secs(3600),
        }
    }
}

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the Python worker cannot be started: {0}")]
    Start(#[from] io::Error),
    /// Nothing runs unconfined, so nothing runs.
    #[error("no tier of the sandbox stands all tests: {}", reasons(.0))]
    NoTier(SelfTest),
}

fn reasons(test: &SelfTest) -> String {
    let reasons = test
        .results
        .iter()
        .filter_map(|result| Some(format!("{}: {}", result.tier, result.reason.as_ref()?)));
    reasons.collect::<Vec<_>>().join("; ")
}

/// Runs jobs, each in a process of its own. Ends what runs when it is dropped.
#[derive(Debug)]
pub struct PythonWorkers {
    settings: Settings,
    tier: Tier,
    self_test: SelfTest,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Zygote>,
    next: Option<std::thread::JoinHandle<io::Result<Zygote>>>,
}

impl PythonWorkers {
    /// Starts a zygote, and runs every hostile script against it.
    ///
    /// # Errors
    /// When it does not start, and when no tier stands all scripts.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let zygote = Zygote::start(&settings.program, &settings.home)?;
        let test = self_test(&zygote, settings.tier_min, &settings.folder)?;
        let Some(tier) = test.tier else { return Err(StartError::NoTier(test)) };
        // What the scripts have met is the first thing to be replaced.
        drop(zygote);
        let current = Arc::new(Zygote::start(&settings.program, &settings.home)?);
        let state = Mutex::new(State { current, next: None });
        Ok(Self { settings, tier, self_test: test, state })
    }

    /// How runs are confined.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    #[must_use]
    pub fn self_test(&self) -> &SelfTest {
        &self.self_test
    }

    /// The zygote that the next run is forked from: another one when the last is gone, old or much used.
    ///
    /// # Errors
    /// When there is none and none can be started.
    pub fn zygote(&self) -> io::Result<Arc<Zygote>> {
        let mut state = self.state();
        let is_ready = state.next.as_ref().is_some_and(std::thread::JoinHandle::is_finished);
        let is_gone = state.current.has_ended();
        if (is_ready || is_gone)
            && let Some(next) = state.next.take()
        {
            let next = next.join().map_err(|_| io::Error::other("starting it has panicked"))?;
            match next {
                Ok(next) => state.current = Arc::new(next),
                // The old one goes on, and the next run tries again.
                Err(_) if !is_gone => {}
                Err(error) => return Err(error),
            }
        }
        if state.current.has_ended() {
            state.current = Arc::new(Zygote::start(&self.settings.program, &self.settings.home)?);
        }
        let current = Arc::clone(&state.current);
        let is_old = current.run_count() >= self.settings.runs_max || current.age() >= self.settings.age_max;
        if is_old && state.next.is_none() {
            let Settings { program, home, .. } = self.settings.clone();
            state.next = Some(std::thread::spawn(move || Zygote::start(&program, &home)));
        }
        Ok(current)
    }

    /// Runs a job on the tier of the self-test, and waits for its end. `on_line` gets each line that it prints.
    #[must_use]
    pub fn run(&self, request: &Request<'_>, on_line: &mut dyn FnMut(&str)) -> Finished {
        let request = Request { tier: self.tier, ..*request };
        let mut run = || match self.zygote() {
            Ok(zygote) => zygote.run(&request, on_line),
            Err(error) => Finished::unavailable(error.to_string()),
        };
        let finished = run();
        // The zygote was on its way out. No user code has run, so nobody sees that it is tried again.
        if finished.may_be_tried_again() && !finished.has_begun { run() } else { finished }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PythonWorkers {
    fn drop(&mut self) {
        if let Some(next) = self.state().next.take() {
            // It ends when it is dropped here, whatever came of it.
            drop(next.join());
        }
    }
}

impl Finished {
    /// Whether the worker, and not the job, was at fault: another run may go well.
    #[must_use]
    pub fn may_be_tried_again(&self) -> bool {
        matches!(self.result, Err(Failure::Unavailable(_) | Failure::Unfit(_)))
    }
}
