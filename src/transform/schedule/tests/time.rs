//! Time that passes when nothing else can happen, and what single processes see of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::START;
use crate::clock::{Clock, Timer, Timestamp};

/// Turns in which nothing happens, after which nothing will: each task that was woken has had one.
const QUIET_TURNS: usize = 4;

/// The one time of a test.
#[derive(Debug, Default)]
pub(super) struct Time(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// Counts what happens.
    events: u64,
    /// Calls of a real store that other threads work on.
    in_flight: u64,
    /// Who waits until when, in the order that they began to.
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

impl Time {
    pub(super) fn now(&self) -> Duration {
        let mut state = self.state();
        state.events += 1;
        state.now
    }

    /// Waits. Also when the time is already there, others have their turn first.
    pub(super) async fn wait_until(&self, time: Duration) {
        let (told, wait) = oneshot::channel();
        {
            let mut state = self.state();
            state.events += 1;
            let place = (time.max(state.now), state.events);
            state.waiting.insert(place, told);
        }
        // The other end is dropped with the test.
        let _ = wait.await;
    }

    /// Lets a call of a store come to its end, or be given up, before time goes on.
    pub(super) async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let _call = InFlight::new(self);
        call.await
    }

    /// Lets everything happen that happens until then.
    pub(super) async fn run_until(&self, end: Duration) {
        loop {
            self.settle().await;
            let mut state = self.state();
            while let Some(first) = state.waiting.first_entry() {
                if !first.get().is_closed() {
                    break;
                }
                first.remove();
            }
            let next = state.waiting.keys().next().copied().filter(|(time, _)| *time <= end);
            let Some(place) = next else {
                state.now = state.now.max(end);
                return;
            };
            state.now = place.0;
            if let Some(waits) = state.waiting.remove(&place) {
                let _ = waits.send(());
            }
        }
    }

    /// The same for so long from now on.
    pub(super) async fn run_for(&self, time: Duration) {
        self.run_until(self.now() + time).await;
    }

    /// Lets everything happen that takes no time.
    pub(super) async fn settle(&self) {
        let mut quiet = 0;
        let mut events = 0;
        while quiet < QUIET_TURNS {
            tokio::task::yield_now().await;
            let state = self.state();
            quiet = if state.events == events && state.in_flight == 0 { quiet + 1 } else { 0 };
            events = state.events;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call of a store that may still be waited for.
struct InFlight<'a>(&'a Time);

impl<'a> InFlight<'a> {
    fn new(time: &'a Time) -> Self {
        time.state().in_flight += 1;
        Self(time)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.events += 1;
    }
}

/// What one process sees of time: a clock that may be wrong, and nothing while it is stopped.
#[derive(Debug)]
pub(super) struct Local {
    time: Arc<Time>,
    state: Mutex<LocalState>,
}

#[derive(Debug, Default)]
struct LocalState {
    clock_ahead_s: i64,
    stopped_until: Duration,
}

impl Local {
    pub(super) fn new(time: Arc<Time>) -> Self {
        Self { time, state: Mutex::default() }
    }

    /// Makes the clock wrong, from now on.
    pub(super) fn set_clock_ahead(&self, seconds: i64) {
        self.state().clock_ahead_s = seconds;
    }

    /// Stops the process where it is, as by SIGSTOP: it goes on later with what it knew.
    pub(super) fn stop_for(&self, time: Duration) {
        let until = self.time.now() + time;
        let mut state = self.state();
        state.stopped_until = state.stopped_until.max(until);
    }

    /// Returns once the process is not stopped.
    pub(super) async fn runs(&self) {
        loop {
            let until = self.state().stopped_until;
            if self.time.now() >= until {
                return;
            }
            self.time.wait_until(until).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, LocalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for Local {
    fn now(&self) -> Timestamp {
        let ahead = self.state().clock_ahead_s;
        let micros = i64::try_from(self.time.now().as_micros()).unwrap();
        Timestamp::from_micros(START.micros() + micros).plus_seconds(ahead)
    }
}

#[async_trait]
impl Timer for Local {
    fn uptime(&self) -> Duration {
        self.time.now()
    }

    async fn wait_until(&self, uptime: Duration) {
        self.time.wait_until(uptime).await;
        self.runs().await;
    }
}
