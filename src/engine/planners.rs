//! Threads that plan statements: a few, each with a deep stack.
//!
//! Why: planning recurses as deep as a statement is nested, and it does not give way: on a thread that serves
//! requests, a statement that takes a minute to plan keeps everybody waiting, and no deadline can end it. Here its
//! caller is told in time, and the thread counts as lost until it comes back.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::deep;
use crate::error::{Error, Result};
use crate::limits;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, started when they are first needed and ended with this.
#[derive(Debug)]
pub(super) struct Planners(Arc<Shared>);

struct Shared {
    /// A std mutex: nothing is awaited while it is held.
    state: Mutex<State>,
    wanted: Condvar,
    /// Threads that may plan at the same time.
    threads_max: usize,
    /// The longest that planning may take.
    time_max: Duration,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("threads_max", &self.threads_max).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Threads whose caller has gone, or was told that it took too long.
    lost: usize,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a job is, so that its thread and its caller agree on whether it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running,
    Ended,
    Lost,
}

impl Planners {
    pub(super) fn new() -> Self {
        Self::with_time(limits::PLANNING_TIME_MAX)
    }

    fn with_time(time_max: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let shared =
            Shared { state: Mutex::default(), wanted: Condvar::new(), threads_max: cores.max(2), time_max };
        Self(Arc::new(shared))
    }

    /// Runs `work` on one of the threads, and waits for it as long as planning may take.
    ///
    /// # Errors
    /// What `work` failed with, `TimedOut`, or `Unavailable` when no thread can take it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (mut answer, outcome) = oneshot::channel();
        let progress = Arc::new(Mutex::new(Progress::Waiting));
        let (runtime, caller) =
            (Handle::current(), Caller { shared: &self.0, progress: Arc::clone(&progress) });
        let shared = Arc::clone(&self.0);
        self.enqueue(Box::new(move || {
            if answer.is_closed() {
                return;
            }
            advance(&progress, Progress::Waiting, Progress::Running);
            // The caller may go away; what gives way then ends here.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        () = answer.closed() => None,
                        outcome = work => Some(outcome),
                    }
                })
            }));
            if !advance(&progress, Progress::Running, Progress::Ended) {
                shared.state().lost -= 1;
            }
            // A panic drops `answer`, and is reported as the end of the thread's work.
            if let Ok(Some(outcome)) = outcome {
                let _gone = answer.send(outcome);
            }
        }))?;
        let waited = tokio::time::timeout(self.0.time_max, outcome).await;
        drop(caller);
        match waited {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::internal("a statement was not planned: its planning panicked")),
            Err(_) => Err(Error::TimedOut(format!(
                "planning the statement took longer than {} ms: make it shorter, or ask in several steps",
                self.0.time_max.as_millis()
            ))),
        }
    }

    fn enqueue(&self, job: Job) -> Result<()> {
        let mut state = self.0.state();
        if state.lost >= limits::PLANNERS_LOST_MAX {
            return Err(busy("statements that take long to plan keep all planners busy"));
        }
        if state.waiting.len() >= limits::PLANNINGS_WAITING_MAX {
            return Err(busy("too many statements wait to be planned"));
        }
        state.waiting.push_back(job);
        let useful = state.threads - state.lost;
        if state.idle < state.waiting.len() && useful < self.0.threads_max {
            let shared = Arc::clone(&self.0);
            let thread =
                std::thread::Builder::new().name("planner".to_owned()).stack_size(deep::THREAD_BYTES);
            match thread.spawn(move || work(&shared)) {
                Ok(_) => state.threads += 1,
                // Others will come to it, if there are any.
                Err(_) if useful > 0 => {}
                Err(cause) => {
                    state.waiting.pop_back();
                    return Err(Error::internal(cause));
                }
            }
        }
        drop(state);
        self.0.wanted.notify_one();
        Ok(())
    }

    /// Threads whose statement takes longer than anybody waits for.
    pub(super) fn lost(&self) -> usize {
        self.0.state().lost
    }
}

impl Drop for Planners {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.wanted.notify_all();
    }
}

fn busy(why: &str) -> Error {
    Error::Unavailable { message: format!("{why}: try again later"), cause: None }
}

/// What each thread does.
fn work(shared: &Shared) {
    let mut state = shared.state();
    loop {
        if let Some(job) = state.waiting.pop_front() {
            drop(state);
            job();
            state = shared.state();
            // More than are wanted when those that were lost come back.
            if state.threads - state.lost > shared.threads_max {
                break;
            }
        } else if state.closed {
            break;
        } else {
            state.idle += 1;
            state = shared.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
    state.threads -= 1;
}

/// Whoever waits for a job; going away while it runs loses its thread.
struct Caller<'a> {
    shared: &'a Shared,
    progress: Arc<Mutex<Progress>>,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        // The state first, so that the thread cannot take back what is not counted yet.
        let mut state = self.shared.state();
        if advance(&self.progress, Progress::Running, Progress::Lost) {
            state.lost += 1;
        }
    }
}

fn advance(progress: &Mutex<Progress>, from: Progress, to: Progress) -> bool {
    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = *progress == from;
    if fits {
        *progress = to;
    }
    fits
}

/// All threads, kept from work: to see who waits for them.
#[cfg(test)]
pub(super) struct Busy {
    planners: Arc<Planners>,
    /// Dropped before who waits for them.
    _gates: Vec<std::sync::mpsc::Sender<()>>,
    _kept: Vec<tokio_util::task::AbortOnDropHandle<()>>,
}

#[cfg(test)]
impl Busy {
    pub(super) async fn all(planners: &Arc<Planners>) -> Self {
        let (mut gates, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..planners.0.threads_max {
            let (gate, wait) = std::sync::mpsc::channel();
            let (begun, has_begun) = oneshot::channel();
            let planners = Arc::clone(planners);
            gates.push(gate);
            kept.push(crate::tasks::spawn(async move {
                let work = async move {
                    let _told = begun.send(());
                    let _opened = wait.recv();
                    Ok(())
                };
                planners.run(work).await.expect("it only waits");
            }));
            has_begun.await.expect("a thread has taken it");
        }
        Self { planners: Arc::clone(planners), _gates: gates, _kept: kept }
    }

    /// Until somebody else has something to be planned.
    pub(super) async fn one_waits(&self) {
        while self.planners.0.state().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn plans_on_threads_of_their_own() {
        let planners = Planners::new();
        let here = std::thread::current().id();
        let there = planners.run(async move { Ok(std::thread::current().id()) }).await.unwrap();
        assert_ne!(here, there);
        let error = planners.run(async { Err::<(), _>(Error::BadData("no".to_owned())) }).await.unwrap_err();
        assert_eq!(error.to_string(), "no");
        let error = planners.run(async { panic!("oh") as Result<()> }).await.unwrap_err();
        assert_eq!(error.code(), Code::InternalError);
        planners.run(async { Ok(()) }).await.unwrap();
        assert_eq!(planners.lost(), 0);
    }

    #[tokio::test]
    async fn a_thread_that_does_not_come_back_keeps_nobody_waiting() {
        let planners = Arc::new(Planners::new());
        let gates: Vec<_> =
            (0..limits::PLANNERS_LOST_MAX).map(|_| std::sync::mpsc::channel::<()>()).collect();
        let (mut open, mut waits) = (Vec::new(), Vec::new());
        for (gate, wait) in gates {
            open.push(gate);
            waits.push(wait);
        }
        for (index, wait) in waits.into_iter().enumerate() {
            let (begun, has_begun) = oneshot::channel();
            let stuck = planners.run(async move {
                let _told = begun.send(());
                let _ = wait.recv();
                Ok(())
            });
            // Its caller goes away as soon as it runs.
            tokio::select! {
                biased;
                _ = stuck => panic!("it is stuck"),
                begun = has_begun => begun.unwrap(),
            }
            assert_eq!(planners.lost(), index + 1);
            if index + 1 < limits::PLANNERS_LOST_MAX {
                assert_eq!(
                    planners.run(async { Ok(7) }).await.unwrap(),
                    7,
                    "others are planned all the same"
                );
            }
        }
        let error = planners.run(async { Ok(()) }).await.unwrap_err();
        assert_eq!(error.code(), Code::ServiceUnavailable, "{error}");
        drop(open);
        while planners.lost() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(planners.run(async { Ok(7) }).await.unwrap(), 7);
        assert!(
            planners.0.state().threads <= planners.0.threads_max + 1,
            "those that came back are not kept"
        );
    }

    #[tokio::test]
    async fn planning_takes_its_time_and_no_more() {
        let planners = Planners::with_time(Duration::from_millis(20));
        let error = planners.run(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!(error.code(), Code::QueryTimeout);
        assert!(error.to_string().contains("planning"), "{error}");
    }
}
